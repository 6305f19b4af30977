"""Clients and buckets of the store tests; one client per module, because opening one takes 0.1 s."""
