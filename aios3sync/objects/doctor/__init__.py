"""Probes what an endpoint does, one question at a time, on keys that are made for it and removed."""
