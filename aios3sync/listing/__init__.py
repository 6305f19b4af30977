"""Every way to list a bucket: page by page, in parallel, in key order, across runs; it changes nothing."""
