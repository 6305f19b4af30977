"""A sync of up to a billion keys on paper and in simulation: ``python -m benchmarks.scale``.

It writes docs/images/scale.svg and all tables of docs/scale.md, that of the constants too; the text around
them is written by hand.
"""
