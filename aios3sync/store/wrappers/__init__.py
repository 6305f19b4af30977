"""The wrappers of every store: counting, retries, limits, bandwidth; one file each, composed in ``stack``."""
