"""How many workers upload at once: at least one, no more than allowed; more readers only for slow storage."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aios3sync.local import read
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.sync.transfers import uploads
from tests.sync.conftest import Bench

pytestmark = pytest.mark.usefixtures("settle")


class Counted:
    """Counts the puts that are in flight at once, and the most of them."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = 0
        put = bench.memory.put

        async def slow(key: str, body: bytes, options: PutOptions, **digests: Any) -> PutResult:
            self.now += 1
            self.most = max(self.most, self.now)
            await anyio.sleep(0.001)
            try:
                return await put(key, body, options, **digests)
            finally:
                self.now -= 1

        monkeypatch.setattr(bench.memory, "put", slow)


async def test_a_session_that_is_busy_elsewhere_still_uploads(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even without a free slot there is one worker, which waits for its turn."""
    bench.tree({f"f{n}": str(n) for n in range(300)})
    counted = Counted(bench, monkeypatch)
    bench.free_slots = lambda: -3
    assert (await bench.sync()).uploaded == 300
    assert counted.most == 1


async def test_there_are_as_many_workers_as_free_slots(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.tree({f"f{n}": str(n) for n in range(300)})
    counted = Counted(bench, monkeypatch)
    bench.free_slots = lambda: 5 - counted.now
    assert (await bench.sync()).uploaded == 300
    assert 4 <= counted.most <= 6


async def test_slots_that_become_free_later_are_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit may grow when all bodies are queued already."""
    bench.tree({f"f{n}": str(n) for n in range(100)})
    counted = Counted(bench, monkeypatch)
    sent: list[int] = []
    bench.free_slots = lambda: (2 if len(sent) < 20 else 12) - counted.now
    bench.on_event = sent.append  # type: ignore[assignment]
    assert (await bench.sync()).uploaded == 100
    assert counted.most > 8


@pytest.mark.parametrize(("blocks", "expected"), [([0] * 1000, 1), (range(1000), uploads._READERS)])
async def test_more_readers_only_where_reading_waits_for_a_device(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, blocks: list[int], expected: int
) -> None:
    monkeypatch.setattr(uploads, "_CHUNK_FILES", 4)
    counts = iter(blocks)
    monkeypatch.setattr(read, "_blocks_read", lambda: next(counts))
    tokens: list[float] = []
    submit = uploads._UploadPool.submit

    async def watched(pool: uploads._UploadPool, bodies: list[uploads._Body]) -> None:
        tokens.append(pool.reading.total_tokens)
        await submit(pool, bodies)

    monkeypatch.setattr(uploads._UploadPool, "submit", watched)
    bench.tree({f"f{n:03}": str(n) for n in range(120)})
    assert (await bench.sync()).uploaded == 120
    assert max(tokens) == expected
