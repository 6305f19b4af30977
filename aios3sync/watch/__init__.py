"""Keeps a target in sync with a changing source: a full sync, then a sync of each batch of changes."""
