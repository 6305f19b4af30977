"""What commands print: views of a run, tables, JSON lines; nothing here asks S3."""
