"""An object index that follows a run on a real cluster: it is that of a run of one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from PIL import Image

import aios3sync
from aios3sync import events
from aios3sync.distributed import estimates
from aios3sync.distributed.shards import Weight
from aios3sync.errors import UsageError
from aios3sync.index import ObjectIndexError
from aios3sync.testing.servers import Endpoint
from aios3sync.testing.trees import make_tree
from tests.cli.conftest import Bucket
from tests.distributed.dask_commands import ROOT, Cluster, start_cluster

pytestmark = pytest.mark.slow

TREE = {f"d{number % 7}/f{number:03}.txt": b"x" * (number + 1) for number in range(120)} | {
    "a!b": b"1",
    "a/é": b"2",
    "top": b"3",
}


@pytest.fixture
async def s3(bucket: Bucket) -> AsyncIterator[aios3sync.Session]:
    async with aios3sync.connect() as session:
        yield session


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    root.mkdir()
    make_tree(root, TREE)
    Image.new("RGB", (40, 30)).save(root / "picture.png")
    return root


async def rows(index: aios3sync.ObjectIndex, bucket: Bucket, prefix: str) -> list[tuple[Any, ...]]:
    """All that the index knows below a prefix, without the times."""
    page = await index.page(bucket.url(prefix), limit=10_000)
    return [
        (row.key.removeprefix(f"{prefix}/"), *row[1:9], row.uploaded_at > 0, row.last_modified > 0)
        for row in page
    ]


async def test_the_index_is_that_of_a_run_of_one_process(
    s3: aios3sync.Session,
    bucket: Bucket,
    source: Path,
    tmp_path: Path,
    messages: list[bytes],
    no_blocking: BlockBuster,
) -> None:
    """Uploads with the sizes of images and of what was compressed, changes, deletes, what was there."""
    no_blocking.deactivate()  # Dask starts its processes on the event loop
    for prefix in ("one", "all"):
        bucket.put(f"{prefix}/old", b"1")
        bucket.put(f"{prefix}/d1/f001.txt", TREE["d1/f001.txt"])
    options: dict[str, Any] = {"delete": "mirror", "gzip": ("txt",), "max_delete_ratio": 1.0}
    async with s3.index(f"sqlite:///{tmp_path / 'hunter2.db'}") as index:
        alone = await s3.sync(source, bucket.url("one"), index=index, **options)
        report = await s3.sync(source, bucket.url("all"), index=index, cluster="local:2", **options)
        assert (report.uploaded, report.deleted) == (alone.uploaded, alone.deleted)
        assert (report.exit_code, report.warnings) == (0, ())
        found = await rows(index, bucket, "all")
        assert found == await rows(index, bucket, "one")
        assert len(found) == len(TREE) + 1
        (picture,) = await index.get([f"s3://{bucket.name}/all/picture.png"])
        assert (picture.width, picture.height) == (40, 30)
        assert (await index.reconcile(bucket.url("all"), repair=False)).differences == 0
        assert await index.stale() == []
        (source / "top").unlink()
        (source / "a!b").write_bytes(b"changed")
        alone = await s3.sync(source, bucket.url("one"), index=index, **options)
        report = await s3.sync(source, bucket.url("all"), index=index, cluster="local:2", **options)
        assert (report.uploaded, report.deleted, report.warnings) == (1, 1, ())
        assert await rows(index, bucket, "all") == await rows(index, bucket, "one")
        assert await index.stale() == []
        assert await index.backend.state("feeding:") == {}
    assert [message for message in messages if b"hunter2" in message] == []


async def test_the_run_is_cut_by_the_index_and_a_dry_one_leaves_it_as_it_is(
    s3: aios3sync.Session,
    bucket: Bucket,
    cluster: Cluster,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_look(*_: object) -> list[Weight]:
        raise AssertionError("the tree is looked at")

    monkeypatch.setattr(estimates, "directory_weights", no_look)
    monkeypatch.setattr(estimates, "_PLACES_A_SHARD", 4)
    target = bucket.url("p")
    async with s3.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        await s3.sync(source, target, manifest=False, index=index)
        (source / "new").write_bytes(b"new")
        options: dict[str, Any] = {"manifest": False, "index": index, "cluster": cluster.address}
        dry = await s3.sync(source, target, dry_run=True, **options)
        assert (dry.uploaded, dry.warnings) == (1, ())
        assert await index.get([f"{target}/new"]) == []
        report = await s3.sync(source, target, **options)
        assert (report.uploaded, report.warnings) == (1, ())
        assert [row.size for row in await index.get([f"{target}/new"])] == [3]
        with pytest.raises(UsageError, match="a download writes none"):
            await s3.sync(target, tmp_path / "down", **options)


async def test_so_it_is_with_the_manifest_in_the_bucket(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"manifest": bucket.url("state/p.sqlite"), "cluster": cluster.address}
    async with s3.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        report = await s3.sync(source, bucket.url("p"), index=index, **options)
        assert (report.uploaded, report.warnings) == (len(TREE) + 1, ())
        (source / "top").unlink()
        report = await s3.sync(source, bucket.url("p"), index=index, delete="mirror", **options)
        assert (report.deleted, report.warnings) == (1, ())
        assert (await index.reconcile(bucket.url("p"), repair=False)).differences == 0
        assert await index.stale() == []


async def test_a_database_that_fails_is_a_warning_and_fails_no_run(
    s3: aios3sync.Session,
    bucket: Bucket,
    cluster: Cluster,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object) -> None:
        raise ObjectIndexError("the disk is full")

    seen: list[events.Event] = []
    target = bucket.url("p")
    async with s3.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        with monkeypatch.context() as patch:
            patch.setattr(index.backend, "apply_facts", broken)
            report = await s3.sync(source, target, index=index, cluster=cluster.address, on_event=seen.append)
        assert (report.uploaded, report.exit_code) == (len(TREE) + 1, 0)
        warning = f"the index is stale, reconcile {target}/ repairs it: the disk is full"
        assert report.warnings == (warning,)
        assert events.Warned(warning) in seen
        assert [mark.reason for mark in await index.stale()] == ["the disk is full"]
        assert (await index.reconcile(target)).missing == len(TREE) + 1
        assert await index.stale() == []


async def test_a_worker_that_is_killed_leaves_the_index_stale(
    bucket: Bucket, seaweedfs: Endpoint, source: Path, tmp_path: Path, no_blocking: BlockBuster
) -> None:
    """What it had recorded and not told no other worker does again."""
    no_blocking.deactivate()  # this listener ends processes and starts one
    tree = {f"e{number % 9}/f{number:03}": b"y" * 2000 for number in range(270)}
    make_tree(source, tree)
    (tmp_path / "dask").mkdir()
    count = 0
    with start_cluster(tmp_path / "dask", seaweedfs.environment()) as cluster:

        def on_event(event: events.Event) -> None:
            nonlocal count
            count += isinstance(event, events.ObjectUploaded)
            if count >= 60 and len(cluster.workers) == 2:
                for worker in cluster.workers:
                    worker.kill()
                    worker.wait()
                cluster.add_worker()

        async with aios3sync.connect(bandwidth=200_000) as s3, s3.index(str(tmp_path / "i.db")) as index:
            report = await s3.sync(
                source, bucket.url("p"), cluster=cluster.address, on_event=on_event, index=index
            )
            assert report.exit_code == 0
            (warning,) = report.warnings
            assert "a worker was lost" in warning
            (mark,) = await index.stale()
            assert mark.target == f"{bucket.url('p')}/"
            repaired = await index.reconcile(bucket.url("p"))
            assert repaired.extra == repaired.stale == 0
            assert repaired.missing < len(TREE | tree) / 2, "what came is in it all the same"
            assert await index.stale() == []


def test_the_command_line_feeds_the_index(bucket: Bucket, source: Path, tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 'index.db'}"
    command = [sys.executable, "-m", "aios3sync"]
    arguments = ["sync", str(source), bucket.url("p"), "--cluster", "local:2", "--index", place, "--json"]
    dry = subprocess.run([*command, *arguments, "--dry-run"], cwd=ROOT, capture_output=True, check=False)
    assert (dry.returncode, dry.stderr) == (0, b"")
    assert not (tmp_path / "index.db").exists()
    run = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")
    totals = subprocess.run(
        [*command, "index", "totals", bucket.url("p"), "--index", place, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f'"objects":{len(TREE) + 1},' in totals.stdout.replace(" ", ""), totals.stderr
