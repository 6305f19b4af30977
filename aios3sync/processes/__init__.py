"""Processes that send and fetch small files next to the event loop of the session.

What runs in them starts quickly and needs the standard library alone. A process handles only the case in
which all is well; it returns every other job with a reason, and the session does that job itself.
"""
