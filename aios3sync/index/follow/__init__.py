"""Keep an index current with the S3 event notifications in a queue."""
