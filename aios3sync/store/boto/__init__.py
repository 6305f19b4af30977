"""The complete transport: BotoStore on one shared aioboto3 client.

Only this folder and ``session.py`` may import aioboto3 or botocore. It calls the low-level operations
alone: ``upload_file`` and similar methods leave running tasks and parts when they are cancelled.
"""

from __future__ import annotations

from aios3sync.store.boto.client import adopt_client, capabilities_of, open_client
from aios3sync.store.boto.credentials import renewable_of
from aios3sync.store.boto.errors import map_errors
from aios3sync.store.boto.store import BotoStore

__all__ = (
    "BotoStore",
    "adopt_client",
    "capabilities_of",
    "map_errors",
    "open_client",
    "renewable_of",
)
