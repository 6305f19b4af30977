"""A bucket in memory with a fixed clock, whose statistics are computed as a session does it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

import pytest

from aios3sync.core.metadata import META_ORIGINAL_SIZE
from aios3sync.stats.model import BucketStats
from aios3sync.stats.options import StatsOptions
from aios3sync.stats.service import StatsRequest, compute
from aios3sync.store.protocol import PutOptions
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore


@dataclass
class Bench:
    """One bucket; ``now`` is the clock of the endpoint and of the caller."""

    now: float = 1_800_000_000.0
    memory: MemoryStore = field(init=False)
    store: FaultyStore = field(init=False)
    later: list[StatsRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = MemoryStore(clock=lambda: self.now)
        self.store = FaultyStore(self.memory)

    async def put(self, key: str, body: bytes = b"x", **options: Any) -> None:
        """Put an object without a fault."""
        digest = md5(body, usedforsecurity=False).digest()
        await self.memory.put(key, body, PutOptions(**options), md5=digest)

    async def put_delta(self, key: str, stored: int, original: int) -> None:
        """Put an object as DeltaGlider does."""
        metadata = {"dg-tool": "deltaglider/6.2.0", "dg-file-size": str(original), "dg-file-sha256": "0" * 64}
        await self.put(key, bytes(stored), metadata=metadata)

    async def put_gzip(self, key: str, stored: int, original: int) -> None:
        """Put an object as our uploads with gzip do."""
        metadata = {META_ORIGINAL_SIZE: str(original), "aios3sync-md5": "0" * 32}
        await self.put(key, bytes(stored), metadata=metadata, content_encoding="gzip")

    def request(self, prefix: str = "", **options: Any) -> StatsRequest:
        return StatsRequest(
            store=self.store,
            prefix=prefix,
            options=StatsOptions.of(options),
            endpoint="memory",
            workers=8,
            refresh_later=self.later.append,
            now=lambda: self.now,
        )

    async def stats(self, prefix: str = "", **options: Any) -> BucketStats:
        """Return the statistics; ``asked`` then has the requests of this call alone."""
        before = Counter(self.store.calls)
        found = await compute(self.request(prefix, **options))
        self.asked = Counter(self.store.calls) - before
        return found

    asked: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def bench() -> Bench:
    return Bench()
