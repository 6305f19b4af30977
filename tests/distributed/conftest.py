"""What the tests on a real cluster share: its scheduler and workers, and a bucket that all of them reach."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aios3sync.distributed.dask import DaskExecutor
from aios3sync.index.db.open import open_backend
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.testing.servers import Endpoint
from tests.cli.conftest import Bucket, boto
from tests.distributed.dask_commands import Cluster, start_cluster


@pytest.fixture(scope="module")
def cluster(seaweedfs: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with start_cluster(tmp_path_factory.mktemp("dask"), seaweedfs.environment()) as cluster:
        yield cluster


@pytest.fixture
def bucket(seaweedfs: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    client = boto(seaweedfs)
    name = f"cluster-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return Bucket(seaweedfs, name, client)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that is sent to workers from now on, as it travels."""
    sent: list[bytes] = []
    run, ask = DaskExecutor.run, DaskExecutor.ask

    async def watched_run(self: DaskExecutor, *arguments: Any) -> Any:
        sent.append(pickle.dumps(arguments))
        return await run(self, *arguments)

    async def watched_ask(self: DaskExecutor, *arguments: Any) -> Any:
        sent.append(pickle.dumps(arguments))
        return await ask(self, *arguments)

    monkeypatch.setattr(DaskExecutor, "run", watched_run)
    monkeypatch.setattr(DaskExecutor, "ask", watched_ask)
    return sent


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[IndexBackend]:
    """The database of an empty object index."""
    opened = await open_backend(f"sqlite:///{tmp_path / 'index.db'}")
    yield opened
    await opened.close()
