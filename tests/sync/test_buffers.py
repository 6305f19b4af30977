"""Parts of large files share buffers: their memory is used again, and stays within the budget."""

from __future__ import annotations

import os

import pytest

from aios3sync.store.protocol import Body, PutOptions, PutResult
from aios3sync.sync.transfers.memory import BufferPool
from tests.sync.conftest import MIB, Bench


def test_a_released_buffer_is_used_again() -> None:
    buffers = BufferPool()
    first, second = buffers.acquire(10), buffers.acquire(10)
    assert first is not second
    buffers.release(first)
    assert buffers.acquire(7) is first


def test_a_buffer_that_is_too_small_is_dropped() -> None:
    buffers = BufferPool()
    small = buffers.acquire(10)
    buffers.release(small)
    assert len(buffers.acquire(11)) == 11
    assert buffers.acquire(5) is not small


async def test_large_files_are_sent_whole_though_their_memory_is_shared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts of several files, the last one of each shorter, go through few buffers."""
    bodies = {f"f{n}": os.urandom(11 * MIB + n) for n in range(3)}
    bench.tree(dict(bodies))
    acquired: list[int] = []
    seen: list[type] = []
    put_part = bench.memory.put_part

    async def watched(
        key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        seen.append(type(body))
        return await put_part(key, upload_id, number, body, options, md5=md5)

    monkeypatch.setattr(bench.memory, "put_part", watched)
    acquire = BufferPool.acquire

    def counted(buffers: BufferPool, size: int) -> bytearray:
        buffer = acquire(buffers, size)
        acquired.append(id(buffer))
        return buffer

    monkeypatch.setattr(BufferPool, "acquire", counted)
    report = await bench.sync(part_size=5 * MIB, multipart_threshold=5 * MIB)
    assert report.uploaded == 3
    assert bench.objects() == bodies
    assert len(acquired) == 9
    assert set(seen) == {memoryview}
