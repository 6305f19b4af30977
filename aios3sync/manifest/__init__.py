"""Local state: what was uploaded, from which file. One protocol, two formats; nothing here asks S3."""
