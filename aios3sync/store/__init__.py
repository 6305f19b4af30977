"""The S3 seam: one protocol, its implementations and its wrappers."""
