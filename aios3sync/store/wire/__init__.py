"""The fast transport: the hot verbs on an HTTP/1.1 client of our own, the rest through BotoStore.

Only this folder may import httptools. Credentials and addresses come from the session's aioboto3 client.
Importing the folder loads nothing of it: its pure part also serves in processes that have no client.
"""
