"""Parts of large files share their memory: it is used again, and its budget is kept."""

from __future__ import annotations

import os

import pytest

from aios3sync.store.protocol import Body, PutOptions, PutResult
from aios3sync.sync.run import Buffers
from tests.sync.conftest import MIB, Bench


def test_a_buffer_that_was_given_back_is_used_again() -> None:
    buffers = Buffers()
    first, second = buffers.take(10), buffers.take(10)
    assert first is not second
    buffers.give(first)
    assert buffers.take(7) is first


def test_a_buffer_that_is_too_small_is_dropped() -> None:
    buffers = Buffers()
    small = buffers.take(10)
    buffers.give(small)
    assert len(buffers.take(11)) == 11
    assert buffers.take(5) is not small


async def test_large_files_are_sent_whole_though_their_memory_is_shared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts of several files, the last one of each shorter, go through few buffers."""
    bodies = {f"f{n}": os.urandom(11 * MIB + n) for n in range(3)}
    bench.tree(dict(bodies))
    taken: list[int] = []
    seen: list[type] = []
    put_part = bench.memory.put_part

    async def watched(
        key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        seen.append(type(body))
        return await put_part(key, upload_id, number, body, options, md5=md5)

    monkeypatch.setattr(bench.memory, "put_part", watched)
    take = Buffers.take

    def counted(buffers: Buffers, size: int) -> bytearray:
        buffer = take(buffers, size)
        taken.append(id(buffer))
        return buffer

    monkeypatch.setattr(Buffers, "take", counted)
    report = await bench.sync(part_size=5 * MIB, multipart_threshold=5 * MIB)
    assert report.uploaded == 3
    assert bench.objects() == bodies
    assert len(taken) == 9
    assert set(seen) == {memoryview}
