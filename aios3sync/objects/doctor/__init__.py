"""Probes the behaviour of an endpoint, one question at a time, on keys that it creates and removes."""
