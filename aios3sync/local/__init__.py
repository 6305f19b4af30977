"""The local filesystem: the only part of the engine that looks at files and reads them."""
