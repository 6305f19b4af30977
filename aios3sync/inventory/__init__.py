"""Reads an S3 Inventory: its manifest, its files, and all entries in key order. Writes nothing to S3."""
