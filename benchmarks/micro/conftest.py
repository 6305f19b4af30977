"""The sizes and the data of the microbenchmarks.

``python -m pytest benchmarks/micro`` measures, ``--benchmark-disable`` runs each once at toy size.
"""

from __future__ import annotations

import hashlib

import pytest

from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry

_FULL, _TOY = 10_000, 50


@pytest.fixture(scope="session")
def size(pytestconfig: pytest.Config) -> int:
    """The number of items that a measured function handles; divide a figure by it for one item."""
    return _TOY if pytestconfig.getoption("benchmark_disable") else _FULL


@pytest.fixture(scope="session")
def keys(size: int) -> list[str]:
    """Ascending keys, 1000 to a folder."""
    return [f"folder-{number // 1000:03}/file-{number:06}.bin" for number in range(size)]


@pytest.fixture(scope="session")
def sources(keys: list[str]) -> list[SourceEntry]:
    """Files as a walk returns them."""
    return [SourceEntry(key, 4096, 10**18, 10**18, inode) for inode, key in enumerate(keys)]


@pytest.fixture(scope="session")
def recorded(sources: list[SourceEntry]) -> list[RecordedEntry]:
    """The same files as rows of a manifest."""
    digests = [hashlib.md5(entry.key.encode(), usedforsecurity=False).hexdigest() for entry in sources]
    return [RecordedEntry(*entry, digest, digest) for entry, digest in zip(sources, digests, strict=True)]


@pytest.fixture(scope="session")
def targets(recorded: list[RecordedEntry]) -> list[TargetEntry]:
    """The same files as objects of a listing."""
    return [TargetEntry(row.key, row.size, row.etag, 1e9) for row in recorded]
