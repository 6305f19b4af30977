"""Fixtures of the upload process tests: a wire store on a canned endpoint, and files to send."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aios3sync.core.metadata import META_MTIME
from aios3sync.processes.protocol import UploadJob, UploadResult
from aios3sync.processes.upload_pool import UploadPool
from aios3sync.store.protocol import PutOptions
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts
from tests.store.wire.conftest import Opened, authority, opened

__all__ = ("authority", "opened")


@dataclass
class Offloading:
    """A process pool with everything that it needs.

    Attributes:
        stored: the results of stored jobs, by key.
    """

    pool: UploadPool
    limiter: ConcurrencyLimiter
    counts: RequestCounts
    wire: Opened
    root: Path
    options: PutOptions
    stored: dict[str, UploadResult] = field(default_factory=dict)

    def job(self, name: str, body: bytes = b"", **changes: Any) -> UploadJob:
        """Write a file, and return its job as a scan would have made it."""
        path = self.root / name
        path.write_bytes(body or name.encode())
        found = os.stat(path)
        new = not self.pool._setup
        template = self.pool.header_template(self.options, META_MTIME) if new else 0
        assert template == 0
        stat = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return UploadJob(str(path), f"p/{name}", template, *stat)._replace(**changes)

    async def upload(self, jobs: list[UploadJob]) -> list[str]:
        """Upload; return the keys of the returned jobs."""

        def on_stored(position: int, result: UploadResult) -> None:
            self.stored[jobs[position].key] = result

        returned = await self.pool.upload(jobs, on_stored)
        assert self.limiter.in_flight == 0, "every slot is released"
        return sorted(jobs[position].key for position in returned)


OpenOffloading = Callable[..., AbstractAsyncContextManager[Offloading]]


@pytest.fixture
def offloading(opened: Callable[..., Any], tmp_path: Path) -> OpenOffloading:
    """Open a process pool: ``async with offloading(url, **connect_options) as o``."""

    @asynccontextmanager
    async def open_pool(
        url: str, *, most: int = 1, slots: int = 8, headers: PutOptions | None = None, **options: Any
    ) -> AsyncIterator[Offloading]:
        headers = headers or PutOptions("text/plain", metadata={"a": "1", META_MTIME: "", "z": "2"})
        limiter, counts = ConcurrencyLimiter(max(slots, 8), first=slots), RequestCounts()
        root = tmp_path / "source"
        root.mkdir()
        async with opened(url, **options) as wire:
            pool = UploadPool(wire.store, limiter, counts, most)
            try:
                yield Offloading(pool, limiter, counts, wire, root, headers)
            finally:
                await pool.aclose()

    return open_pool
