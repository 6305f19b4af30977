"""verify between two buckets: what listings prove, what metadata prove, and what has to be read."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from aios3sync.store.protocol import PutOptions
from tests.sync.copying import MIB, CopyBench, md5

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> CopyBench:
    """Two empty buckets."""
    return CopyBench(tmp_path, apart=True)


async def _store(bench: CopyBench, key: str, body: bytes, **options: str) -> None:
    await bench.target.put(f"b/{key}", body, PutOptions(metadata=options), md5=md5(body))


async def test_listings_are_enough_where_etags_prove_it(bench: CopyBench) -> None:
    await bench.put({"same": b"1", "missing": b"2", "size": b"3", "other": b"4"})
    for key, body in {"same": b"1", "size": b"333", "other": b"5", "extra": b"6"}.items():
        await _store(bench, key, body)
    report = await bench.verify()
    assert (report.same, report.differing, report.read, report.exit_code) == (1, 4, 0, 6)
    assert {found.key: found.kind for found in report.differences} == {
        "missing": "missing",
        "size": "size",
        "other": "content",
        "extra": "extra",
    }
    assert bench.requests() == {"list_page": 2, "head": 2}


async def test_metadata_prove_what_etags_do_not(bench: CopyBench) -> None:
    bench.target._default_encryption = "aws:kms"
    await bench.put({"one": b"1", "two": b"2"})
    digest = base64.b64encode(md5(b"1")).decode()
    await _store(bench, "one", b"1", md5chksum=digest)
    await _store(bench, "two", b"3", md5chksum=digest)
    report = await bench.verify()
    assert (report.same, report.differing, report.read) == (1, 1, 0)


async def test_what_nothing_proves_is_read(bench: CopyBench) -> None:
    await bench.put_parts("parts", bytes(5 * MIB), b"end")
    await bench.put_parts("torn", bytes(5 * MIB), b"one")
    await _store(bench, "parts", bytes(5 * MIB) + b"end")
    await _store(bench, "torn", bytes(5 * MIB) + b"two")
    report = await bench.verify()
    assert (report.same, report.differing, report.read) == (1, 1, 2)


async def test_objects_that_cannot_be_asked_are_failures(bench: CopyBench) -> None:
    await bench.put({"one": b"1"})
    await _store(bench, "one", b"2")
    bench.reads.on("head", times=-1, error=ValueError("odd"))
    report = await bench.verify()
    assert (report.failed, report.exit_code) == (1, 3)
