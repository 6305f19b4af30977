"""The object index and the catalog: what is in a bucket, kept in a database or in the bucket itself."""
