"""Single objects: read, written, copied and listed one by one; no manifest, no comparison."""
