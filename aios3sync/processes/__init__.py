"""Upload processes: they read, sign and send small files next to the event loop of the session.

What runs in them starts quickly and needs the standard library alone. An upload process handles only the case
in which all is well; it returns every other job with a reason, and the session sends that file itself.
"""
