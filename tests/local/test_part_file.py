"""The ranges of a large file: all bytes are written, zeros are left out, a digest sees every byte once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync.local.part_file import PartFile
from aios3sync.local.write import TreeWriter

BLOCK = 64 * 1024
laws = settings(
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

ZEROS = bytes(BLOCK)
BLOCKS = {
    "zeros": ZEROS,
    "data": bytes(range(1, 256)) * 258,
    "zeros, but for the end": ZEROS[:-1] + b"x",
    "zeros at its start": ZEROS[:16] + b"y" * (BLOCK - 16),
    "one byte first": b"z" + ZEROS[1:],
}


@laws
@given(
    st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=12),
    st.integers(0, BLOCK - 1),
    st.integers(1, 3),
)
def test_what_is_written_is_read(tmp_path: Path, blocks: list[str], cut: int, ranges: int) -> None:
    body = b"".join(BLOCKS[name][:BLOCK] for name in blocks)
    body = body[: len(body) - cut]
    size = -(-len(body) // ranges)
    writer = TreeWriter(str(tmp_path), fsync=False)
    writer.open()
    part = PartFile.open(writer, "file", len(body), f"e{os.urandom(8).hex()}", size)
    try:
        for start in range(0, len(body), size):
            part.write(start, memoryview(body)[start : start + size])
        buffer = bytearray(len(body))
        assert part.read_into(0, memoryview(buffer)) == len(body)
        assert buffer == body
        assert part.finished == set(range(0, len(body), size))
    finally:
        part.discard()
        part.close()
        writer.close()


def test_an_error_of_the_disk_leaves_the_range_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = TreeWriter(str(tmp_path), fsync=False)
    writer.open()
    part = PartFile.open(writer, "file", BLOCK, "e", BLOCK)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        part.write(0, BLOCKS["data"][:BLOCK])
    assert part.finished == set()
    part.close()
    writer.close()
