"""The fast transport: every verb on an HTTP/1.1 client of our own.

Only this folder may import httptools. Where credentials and addresses come from is in ``sources.py``.
Importing the folder loads nothing of it: its pure part also serves in processes that have no client.
"""
