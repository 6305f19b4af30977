"""What the S3 API says, shared by both transports; pure."""
