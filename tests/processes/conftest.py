"""What the tests of couriers share: a wire store on a canned endpoint, and files to send."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aios3sync.core.etag import META_MTIME
from aios3sync.processes.pool import ProcessPool
from aios3sync.processes.protocol import UploadJob, UploadResult
from aios3sync.store.protocol import PutOptions
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts
from tests.store.wire.conftest import Opened, authority, opened

__all__ = ("authority", "opened")


@dataclass
class Desk:
    """Where files are handed to couriers.

    Attributes:
        receipts: what was delivered, by key.
    """

    couriers: ProcessPool
    limiter: ConcurrencyLimiter
    counts: RequestCounts
    wire: Opened
    root: Path
    options: PutOptions
    receipts: dict[str, UploadResult] = field(default_factory=dict)

    def parcel(self, name: str, body: bytes = b"", **changes: Any) -> UploadJob:
        """A file as a scan would have seen it."""
        path = self.root / name
        path.write_bytes(body or name.encode())
        found = os.stat(path)
        kind = self.couriers.kind(self.options, META_MTIME) if not self.couriers._kinds else 0
        assert kind == 0
        stat = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return UploadJob(str(path), f"p/{name}", kind, *stat)._replace(**changes)

    async def deliver(self, parcels: list[UploadJob]) -> list[str]:
        """Hand over; the keys that came back."""

        def delivered(place: int, receipt: UploadResult) -> None:
            self.receipts[parcels[place].key] = receipt

        back = await self.couriers.deliver(parcels, delivered)
        assert self.limiter.in_flight == 0, "every slot is returned"
        return sorted(parcels[place].key for place in back)


Desks = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def desk(opened: Callable[..., Any], tmp_path: Path) -> Desks:
    """Opens couriers: ``async with desk(url, **connect_options) as desk``."""

    @asynccontextmanager
    async def desk(
        url: str, *, most: int = 1, slots: int = 8, headers: PutOptions | None = None, **options: Any
    ) -> AsyncIterator[Desk]:
        headers = headers or PutOptions("text/plain", metadata={"a": "1", META_MTIME: "", "z": "2"})
        limiter, counts = ConcurrencyLimiter(max(slots, 8), first=slots), RequestCounts()
        root = tmp_path / "source"
        root.mkdir()
        async with opened(url, **options) as wire:
            couriers = ProcessPool(wire.store, limiter, counts, most)
            try:
                yield Desk(couriers, limiter, counts, wire, root, headers)
            finally:
                await couriers.aclose()

    return desk
