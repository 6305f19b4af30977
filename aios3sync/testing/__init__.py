"""Public test kit: a verified in-memory store, faults on purpose, a contract, servers; not for production.

Names are loaded when they are used: ``MemoryStore``, ``FaultyStore`` and ``make_tree`` need nothing else,
``ObjectStoreContract`` needs pytest, ``start_...`` the package of the server that it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._lazy import lazy_names

if TYPE_CHECKING:
    from aios3sync.testing.contract import ODD_KEYS, Deviations, ObjectStoreContract, VersionedContract
    from aios3sync.testing.faulty import Fault, FaultyStore, throttled, unavailable
    from aios3sync.testing.http_server import CannedRequest, CannedServer, canned_server, error_body
    from aios3sync.testing.memory import MemoryStore
    from aios3sync.testing.postgres import start_postgres
    from aios3sync.testing.servers import Endpoint, ServerError, rclone_serve, start_moto, start_seaweedfs
    from aios3sync.testing.stored import StoredObject
    from aios3sync.testing.trees import make_tree
    from aios3sync.testing.versions import VersionHistory

__all__ = (
    "ODD_KEYS",
    "CannedRequest",
    "CannedServer",
    "Deviations",
    "Endpoint",
    "Fault",
    "FaultyStore",
    "MemoryStore",
    "ObjectStoreContract",
    "ServerError",
    "StoredObject",
    "VersionHistory",
    "VersionedContract",
    "canned_server",
    "error_body",
    "make_tree",
    "rclone_serve",
    "start_moto",
    "start_postgres",
    "start_seaweedfs",
    "throttled",
    "unavailable",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.testing.contract": "Deviations ODD_KEYS ObjectStoreContract VersionedContract",
            "aios3sync.testing.faulty": "Fault FaultyStore throttled unavailable",
            "aios3sync.testing.http_server": "CannedRequest CannedServer canned_server error_body",
            "aios3sync.testing.memory": "MemoryStore",
            "aios3sync.testing.postgres": "start_postgres",
            "aios3sync.testing.servers": "Endpoint ServerError rclone_serve start_moto start_seaweedfs",
            "aios3sync.testing.stored": "StoredObject",
            "aios3sync.testing.trees": "make_tree",
            "aios3sync.testing.versions": "VersionHistory",
        },
    )
