"""What every store is wrapped in: counting, retries, limits, bandwidth; one file each, composed in ``stack``."""
