"""Keeps an index current with the notifications of a queue."""
