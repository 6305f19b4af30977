"""The output of commands: views of a run, tables, JSON lines; sends no requests to S3."""
