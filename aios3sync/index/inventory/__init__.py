"""Load an S3 Inventory into the index."""
