"""Public test kit: a verified in-memory store, faults on purpose, a contract, servers; not for production.

Import the modules one by one: ``memory``, ``faulty`` and ``trees`` need nothing, ``contract`` needs pytest,
``servers`` needs the package of the server that it starts.
"""
