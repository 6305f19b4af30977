"""ProcessPool: processes of their own that read, sign and send small files, beside the event loop.

What runs in them starts quickly and needs the standard library alone. A courier knows only the way on which
all is well; whatever else happens is told, and the file goes the usual way.
"""
