"""A sync of up to a billion keys on paper and in simulation: ``python -m benchmarks.scale``.

It writes docs/images/scale.svg and the tables of docs/scale.md; nothing in either is written by hand.
"""
