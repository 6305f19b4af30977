"""The sync engine: compare a source with a target, send, delete, record; services only subscribe to it."""
