"""Opens the wire store of a bucket on a lane; it does nothing else."""

from __future__ import annotations

from aios3sync.store.boto import BotoStore
from aios3sync.store.wire.store import WireStore
from aios3sync.store.wire.transport import WireLane

__all__ = ("open_wire",)


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
