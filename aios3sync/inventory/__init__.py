"""Reads an S3 Inventory: its manifest, its files, and all of it in key order. It writes nothing to S3."""
