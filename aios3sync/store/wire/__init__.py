"""The fast lane: the hot verbs on an HTTP/1.1 client of our own, the rest through BotoStore.

Only this folder may import httptools. Credentials and addresses come from the session's aioboto3 client.
"""

from __future__ import annotations

from aios3sync.store.boto import BotoStore
from aios3sync.store.wire.address import WireUnavailableError
from aios3sync.store.wire.client import UNSIGNED
from aios3sync.store.wire.lane import WireLane
from aios3sync.store.wire.store import WireStore

__all__ = ("UNSIGNED", "WireLane", "WireStore", "WireUnavailableError", "open_wire")


async def open_wire(
    lane: WireLane, boto: BotoStore, *, sse_customer_key: bytes = b"", request_payer: str = ""
) -> WireStore:
    """A store for the bucket of ``boto``, which serves what is not hot.

    Raises:
        WireUnavailableError: the bucket cannot be served; use ``boto`` itself.
        CredentialsError: there is nothing to sign with.
    """
    route = await lane.route_to(boto.bucket)
    return WireStore(lane, route, boto, sse_customer_key=sse_customer_key, request_payer=request_payer)
