"""What the tests on a real cluster share: its scheduler and workers, and a bucket that all of them reach."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

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
