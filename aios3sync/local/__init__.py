"""The local filesystem: only this part of the engine checks, reads and writes files."""
