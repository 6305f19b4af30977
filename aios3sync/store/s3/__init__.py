"""Rules of the S3 API, shared by both transports; pure."""
