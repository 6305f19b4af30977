"""The fast transport: all operations of the store on an HTTP/1.1 client of our own.

Only this folder may import httptools. ``sources.py`` says where credentials and addresses come from.
Importing the folder loads none of its modules: processes without a client use its pure part.
"""
