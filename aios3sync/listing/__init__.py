"""All ways to list a bucket: page by page, in parallel, in key order, across runs. Only reads."""
