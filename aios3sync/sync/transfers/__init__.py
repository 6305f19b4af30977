"""Transfers: uploads, downloads, copies and header updates, small ones whole, large ones in parts."""
