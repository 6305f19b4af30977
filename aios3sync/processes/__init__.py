"""Processes that send and fetch small files next to the event loop of the session.

Their programs start quickly and import only the standard library. A process handles only the successful case;
it returns every other job with a reason, and the session does that job itself.
"""
