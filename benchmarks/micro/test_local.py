"""Microbenchmarks of the local side: walking a tree, writing and reading the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from aios3sync.core.filters import Filters
from aios3sync.local.walk import Walk
from aios3sync.manifest.sqlite import SqliteManifest
from benchmarks.trees import TreePlan, build_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from aios3sync.core.entries import RecordedEntry

_BATCH, _PAGE = 256, 1024


def test_scan(benchmark: BenchmarkFixture, tmp_path: Path, size: int) -> None:
    """Walk a tree of small files."""
    root = build_tree(TreePlan("small", size, 16), tmp_path / "tree").root

    def work() -> int:
        return sum(len(batch.entries) for batch in Walk(str(root), Filters()).batches())

    assert benchmark(work) == size


async def _write(path: Path, rows: Sequence[RecordedEntry]) -> int:
    manifest = SqliteManifest.open(str(path))
    try:
        for start in range(0, len(rows), _BATCH):
            await manifest.record(rows[start : start + _BATCH], ())
        return await manifest.count()
    finally:
        await manifest.close()


async def _read(path: Path) -> int:
    manifest = SqliteManifest.open(str(path), read_only=True)
    seen, after = 0, None
    try:
        while page := await manifest.page(after, _PAGE):
            seen, after = seen + len(page), page[-1].key
    finally:
        await manifest.close()
    return seen


def test_manifest_write(benchmark: BenchmarkFixture, tmp_path: Path, recorded: list[RecordedEntry]) -> None:
    """Record all rows, a transaction each batch; again and again over the same rows."""
    assert benchmark(anyio.run, _write, tmp_path / "manifest", recorded) == len(recorded)


@pytest.fixture
def manifest(tmp_path: Path, recorded: list[RecordedEntry]) -> Path:
    """A manifest with all rows."""
    path = tmp_path / "manifest"
    anyio.run(_write, path, recorded)
    return path


def test_manifest_read(benchmark: BenchmarkFixture, manifest: Path, size: int) -> None:
    """Page through all rows."""
    assert benchmark(anyio.run, _read, manifest) == size
