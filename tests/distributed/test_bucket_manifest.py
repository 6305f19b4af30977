"""One sync on a real Dask cluster with its manifest in the bucket: found by all, whoever runs next."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

import aios3sync
from aios3sync import events
from aios3sync.distributed.dask import DaskExecutor
from aios3sync.errors import ManifestError
from aios3sync.testing.servers import Endpoint
from aios3sync.testing.trees import make_tree
from tests.cli.conftest import Bucket
from tests.distributed.dask_commands import Cluster, start_cluster
from tests.distributed.test_cluster import TREE, bodies, counts

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    root.mkdir()
    make_tree(root, TREE)
    return root


def below(bucket: Bucket, prefix: str) -> set[str]:
    return {key for key in sorted(bucket.keys()) if key.startswith(prefix)}


async def test_all_runs_have_one_manifest(
    bucket: Bucket, cluster: Cluster, source: Path, isolated: Path
) -> None:
    target, place = bucket.url("p"), bucket.url("state/m.sqlite")
    async with aios3sync.connect() as s3:
        first = await s3.sync(source, target, manifest=place, cluster=cluster.address)
        assert (first.uploaded, first.exit_code, first.warnings) == (len(TREE), 0, ())
        assert bodies(bucket) == TREE
        again = await s3.sync(source, target, manifest=place, cluster=cluster.address)
        assert (again.kept, again.uploaded, again.checked) == (len(TREE), 0, "manifest")
        alone = await s3.sync(source, target, manifest=place)
        assert counts(alone) == counts(again)
        assert [*isolated.rglob("*.sqlite*")] == []


async def test_deletes_are_held_where_every_node_finds_them_and_a_dry_run_stores_nothing(
    bucket: Bucket, cluster: Cluster, source: Path
) -> None:
    target, place = bucket.url("p"), bucket.url("state/m.sqlite")
    old = {f"p/d{number}/old" for number in range(7)}
    for key in old:
        bucket.put(key, b"1")
    async with aios3sync.connect() as s3:
        options: dict[str, Any] = {"delete": "mirror", "manifest": place, "cluster": cluster.address}
        dry = await s3.sync(source, target, dry_run=True, **options)
        assert (dry.uploaded, dry.deleted, bucket.keys()) == (len(TREE), 7, old)
        first = await s3.sync(source, target, **options)
        assert (first.uploaded, first.deleted, first.exit_code) == (len(TREE), 7, 0)
        assert bodies(bucket) == TREE
        (source / "d1/f001").unlink()
        (source / "top").write_bytes(b"changed")
        before = bucket.keys()
        dry = await s3.sync(source, target, dry_run=True, **options)
        assert (dry.uploaded, dry.deleted, bucket.keys()) == (1, 1, before)
        changed = await s3.sync(source, target, **options)
        assert (changed.uploaded, changed.deleted, changed.kept) == (1, 1, len(TREE) - 2)
        alone = await s3.sync(source, target, delete="mirror", manifest=place)
        assert (alone.kept, alone.planned, alone.deleted) == (len(TREE) - 1, len(TREE) - 1, 0)
    assert not [key for key in sorted(bucket.keys()) if key.endswith(".held")]


async def test_a_folder_below_the_target_is_no_part_of_any_side(
    bucket: Bucket, cluster: Cluster, source: Path, tmp_path: Path
) -> None:
    target = bucket.url("p")
    options: dict[str, Any] = {"delete": "mirror", "delete_protected": True, "manifest": f"{target}/"}
    async with aios3sync.connect() as s3:
        for _ in range(2):
            await s3.sync(source, target, cluster=cluster.address, **options)
        ours = below(bucket, "p/.aios3sync/manifests/")
        assert len(ours) >= 2
        assert bucket.keys() - ours == {f"p/{key}" for key in TREE}
        alone = await s3.sync(source, target, **options)
        assert (alone.kept, alone.planned) == (len(TREE), len(TREE))
        down = await s3.sync(target, tmp_path / "down", manifest=f"{target}/", cluster=cluster.address)
        assert down.downloaded == len(TREE)
        for copied in (len(TREE), 0):
            copy = await s3.sync(target, bucket.url("q"), manifest=f"{target}/", cluster=cluster.address)
            assert (copy.copied, copy.exit_code) == (copied, 0)
        assert bodies(bucket, "q/") == TREE
    assert not (tmp_path / "down" / ".aios3sync").exists()


async def test_a_worker_is_killed_and_another_one_goes_on_from_what_was_stored(
    bucket: Bucket, seaweedfs: Endpoint, source: Path, tmp_path: Path, no_blocking: BlockBuster
) -> None:
    """Its shard has layers below: their names are of use on every node."""
    no_blocking.deactivate()  # this listener looks at the bucket
    target, place = bucket.url("p"), bucket.url("state/m.sqlite")
    tree = {f"e{number % 9}/f{number:03}": b"y" * 2000 for number in range(270)}
    (tmp_path / "dask").mkdir()
    sent: Counter[str] = Counter()
    before: set[str] = set()
    often = (
        "import os, tempfile, aios3sync.distributed.bucket_steps as steps; steps._INTERVAL_S = 0.1;"
        f"tempfile.tempdir = os.path.join({str(tmp_path / 'dask')!r}, str(os.getpid()));"
        "os.makedirs(tempfile.tempdir, exist_ok=True)"
    )
    with start_cluster(tmp_path / "dask", seaweedfs.environment(), preload=often) as cluster:
        async with aios3sync.connect() as s3:
            await s3.sync(source, target, manifest=place, cluster=cluster.address)
        make_tree(source, tree)
        first = below(bucket, "state/")

        def on_event(event: events.Event) -> None:
            sent.update([event.key] if isinstance(event, events.ObjectUploaded) else [])
            if sent.total() >= 60 and cluster.workers[0].poll() is None and not before:
                stored = recorded(bucket, below(bucket, "state/") - first)
                if stored:
                    before.update(stored)
                    cluster.workers[0].kill()
                    cluster.workers[0].wait()
                    # Its machine is gone, and all that it had in a directory of its own.
                    shutil.rmtree(tmp_path / "dask" / str(cluster.workers[0].pid))

        async with aios3sync.connect(bandwidth=100_000) as s3:
            report = await s3.sync(source, target, manifest=place, cluster=cluster.address, on_event=on_event)
    assert before, "it was killed in the middle"
    assert (report.exit_code, report.failed) == (0, 0)
    assert bodies(bucket) == TREE | tree
    assert [key for key in before if sent[key] > 1] == []
    async with aios3sync.connect() as s3:
        again = await s3.sync(source, target, manifest=place)
    assert (again.kept, again.planned, again.checked) == (len(TREE | tree), len(TREE | tree), "manifest")


def recorded(bucket: Bucket, keys: set[str]) -> set[str]:
    """The keys of files in what nodes have stored of their manifests."""
    found: set[str] = set()
    for key in keys:
        if key.endswith(".sqlite") and "-compare." in key:
            with closing(sqlite3.connect(":memory:")) as file:
                content = bytearray(gzip.decompress(bucket.get(key)))
                content[18:20] = b"\1\1"  # no file in memory has a journal of its own
                file.deserialize(bytes(content))
                found |= {name for (name,) in file.execute("SELECT key FROM entries")}
    return found


async def test_two_runs_at_once_lose_nothing(bucket: Bucket, cluster: Cluster, source: Path) -> None:
    target, place = bucket.url("p"), bucket.url("state/m.sqlite")
    options: dict[str, Any] = {"manifest": place, "cluster": cluster.address}
    async with aios3sync.connect() as s3, aios3sync.connect() as other:
        reports = await asyncio.gather(
            s3.sync(source, target, include=["d*"], exclude=["*"], **options),
            other.sync(source, target, exclude=["d*"], **options),
        )
        assert [report.exit_code for report in reports] == [0, 0]
        assert sum(report.uploaded for report in reports) == len(TREE)
        assert bodies(bucket) == TREE
        alone = await s3.sync(source, target, manifest=place)
        assert (alone.kept, alone.uploaded, alone.checked) == (len(TREE), 0, "list")
        assert alone.requests.get("HeadObject", 0) == 0
        again = await s3.sync(source, target, **options)
        assert (again.kept, again.uploaded, again.checked) == (len(TREE), 0, "manifest")


async def test_no_credential_is_in_any_message_or_file(
    bucket: Bucket, cluster: Cluster, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    run = DaskExecutor.run

    async def watched_run(self: DaskExecutor, *arguments: Any) -> Any:
        sent.append(pickle.dumps(arguments))
        return await run(self, *arguments)

    monkeypatch.setattr(DaskExecutor, "run", watched_run)
    async with aios3sync.connect() as s3:
        report = await s3.sync(
            source, bucket.url("p"), manifest=bucket.url("state/"), cluster=cluster.address
        )
    assert (report.uploaded, len(sent) > 3) == (len(TREE), True)
    secret = bucket.endpoint.secret_key.encode()
    kept = [bucket.get(key) for key in below(bucket, "state/")]
    kept = [gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in kept]
    assert len(kept) >= 2
    assert [body for body in (*sent, *kept) if secret in body] == []


async def test_a_manifest_of_json_is_refused(bucket: Bucket, cluster: Cluster, source: Path) -> None:
    async with aios3sync.connect() as s3:
        with pytest.raises(ManifestError, match="a cluster keeps it in SQLite"):
            await s3.sync(source, bucket.url("p"), manifest=bucket.url("m.json"), cluster=cluster.address)
    assert bucket.keys() == set()
