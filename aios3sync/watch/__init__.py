"""Keeps a target in step with a source that changes: a sync, then one of each batch of changes."""
