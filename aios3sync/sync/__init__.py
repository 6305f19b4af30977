"""The sync engine: compares a source with a target, sends, deletes and records; services only subscribe to it."""
