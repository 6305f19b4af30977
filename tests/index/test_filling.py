"""Backfill, reconcile and feed: afterwards the index equals the bucket, whatever failed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aioboto3  # noqa: F401 - loaded here: importing it on the event loop would block
import anyio
import pytest
from anyio import to_thread

import aios3sync
from aios3sync.core.entries import RecordedEntry, TargetEntry
from aios3sync.core.keys import Location
from aios3sync.errors import StoreError
from aios3sync.events import Adopted, Deleted, Finished, Forgotten, Kept, Updated, Uploaded, Warned
from aios3sync.index.backfill import IndexProgress
from aios3sync.index.db.open import open_backend
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.feed import feed_index
from aios3sync.index.object_index import ObjectIndex
from aios3sync.index.rows import ObjectIndexError, ObjectRow, Page, Removal, Selection, Upsert
from aios3sync.index.staleness import new_mark, stale_prefixes
from aios3sync.store.protocol import ObjectStore, StoreCapabilities
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.servers import Endpoint
from aios3sync.testing.trees import make_tree
from tests.clients import boto3_client

UNKNOWN_ORDER = StoreCapabilities()
TREE = {
    **{f"p/d{n % 23:02}/{n:04}.jpg": b"x" * (n % 50) for n in range(400)},
    **{f"p/flat{n:03}": b"y" for n in range(60)},
    "p/": b"",
    "p/one/deep/deeper/file": b"z",
    "p-other/file": b"z",
}


def index_of(backend: IndexBackend, store: ObjectStore) -> ObjectIndex:
    async def opened(bucket: str) -> ObjectStore:
        return store

    return ObjectIndex(backend, opened)


def per_directory(key: str) -> Any:
    """Sort as a server that sorts each directory: a folder is at the place of its name without ``/``."""
    return [part.encode() for part in key.split("/")]


@pytest.fixture(params=["byte order", "known byte order", "per directory"])
def memory(request: pytest.FixtureRequest) -> MemoryStore:
    known = request.param == "known byte order"
    order: dict[str, Any] = {"order": per_directory} if request.param == "per directory" else {}
    return MemoryStore(
        objects=TREE,
        capabilities=StoreCapabilities(sorted_listing=known),
        page_size=lambda asked: min(asked, 17),
        **order,
    )


async def assert_equal(backend: IndexBackend, memory: MemoryStore, prefix: str = "") -> None:
    rows = {row.key: (row.size, row.etag) for row in await backend.scan("bucket", prefix, "", 100_000)}
    assert rows == {
        key: (len(held.body), held.etag) for key, held in memory.objects.items() if key.startswith(prefix)
    }


# Backfill


async def test_a_backfill_makes_the_index_equal_to_the_bucket(
    backend: IndexBackend, memory: MemoryStore
) -> None:
    index, events = index_of(backend, memory), list[IndexProgress]()
    report = await index.backfill("s3://bucket/p", on_event=events.append)
    await assert_equal(backend, memory, "p/")
    assert await backend.scan("bucket", "p-other", "", 10) == []
    assert (report.listed, report.inserted, report.resumed) == (462, 462, False)
    assert events[-1].phase == "build"
    assert list(await backend.state()) == ["listed:s3://bucket/p/"], "nothing else is left of it"


async def test_a_second_backfill_deletes_rows_without_objects(
    backend: IndexBackend, memory: MemoryStore
) -> None:
    index = index_of(backend, memory)
    await index.backfill("s3://bucket")
    for key in list(memory.objects)[::3]:
        del memory.objects[key]
    report = await index.backfill("s3://bucket")
    await assert_equal(backend, memory)
    assert (report.inserted, report.unchanged) == (0, len(memory.objects))
    assert report.deleted == 463 - len(memory.objects)


async def test_a_listing_that_breaks_off_deletes_no_row_and_is_resumed(
    backend: IndexBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.index.backfill._BATCH", 20)
    memory = MemoryStore(objects=TREE, capabilities=UNKNOWN_ORDER, page_size=lambda asked: min(asked, 10))
    index = index_of(backend, memory)
    await backend.load("bucket", [ObjectRow("p/stale", 1)], 1.0)
    faulty = FaultyStore(memory)
    faulty.on("list_page", key="p/d20/", error=unavailable(), times=1)
    with pytest.raises(StoreError):
        await index_of(backend, faulty).backfill("s3://bucket/p")
    assert await backend.get("bucket", ["p/stale"]), "an error proves nothing"
    there = (await index.totals("p/", bucket="bucket")).objects
    assert there > 100
    counted = FaultyStore(memory)
    report = await index_of(backend, counted).backfill("s3://bucket/p")
    assert report.resumed
    whole = FaultyStore(memory)
    await assert_equal(backend, memory, "p/")
    await index_of(backend, whole).backfill("s3://bucket/p")
    assert counted.calls["list_page"] < whole.calls["list_page"], "what was done is not listed again"


async def test_an_old_attempt_is_not_resumed(backend: IndexBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryStore(objects=TREE, capabilities=UNKNOWN_ORDER, page_size=lambda asked: min(asked, 10))
    faulty = FaultyStore(memory)
    faulty.on("list_page", skip=30, times=1, error=unavailable())
    with pytest.raises(StoreError):
        await index_of(backend, faulty).backfill("s3://bucket/p")
    monkeypatch.setattr("aios3sync.index.backfill._RESUMABLE", 0.0)
    report = await index_of(backend, memory).backfill("s3://bucket/p")
    assert (report.resumed, report.listed) == (False, 462)
    await assert_equal(backend, memory, "p/")


KILLED = """
import os, signal, sys
import anyio
from aios3sync.index import backfill
from aios3sync.index.object_index import ObjectIndex
from aios3sync.index.db.open import open_backend
from aios3sync.store.protocol import StoreCapabilities
from aios3sync.testing.memory import MemoryStore

backfill._BATCH = 20
objects = {f"p/d{n % 23:02}/{n:04}.jpg": b"x" * (n % 50) for n in range(400)}
store = MemoryStore(objects=objects, capabilities=StoreCapabilities(), page_size=lambda asked: min(asked, 10))

async def main():
    async def opened(bucket):
        return store

    def on_event(event):
        if event.listed >= int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

    await ObjectIndex(await open_backend(sys.argv[1]), opened).backfill("s3://bucket/p", on_event=on_event)

anyio.run(main)
"""


@pytest.mark.parametrize("after", [40, 200, 390])
async def test_a_killed_backfill_is_continued(
    database: str, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr("aios3sync.index.backfill._BATCH", 20)

    def killed() -> int:
        return subprocess.run([sys.executable, "-c", KILLED, database, str(after)], check=False).returncode

    assert await to_thread.run_sync(killed) == -signal.SIGKILL
    objects = {key: body for key, body in TREE.items() if key.startswith("p/d")}
    memory = MemoryStore(objects=objects, capabilities=UNKNOWN_ORDER, page_size=lambda asked: min(asked, 10))
    del memory.objects["p/d00/0000.jpg"]
    backend = await open_backend(database)
    before = (await backend.totals(Selection("bucket"))).objects
    assert before >= after - 40
    report = await index_of(backend, memory).backfill("s3://bucket/p", on_event=lambda _: None)
    assert report.resumed
    assert report.inserted <= 400 - before
    differences = await index_of(backend, memory).reconcile("s3://bucket/p")
    # Objects that were listed before the crash and deleted since are not in the rest of the listing.
    assert differences.extra <= 1
    await assert_equal(backend, memory, "p/")
    await backend.close()


async def test_changes_during_the_listing_are_newer(backend: IndexBackend) -> None:
    memory = MemoryStore(objects={"p/a": b"old", "p/b": b"old"})

    async def tell(page: Any) -> None:
        moment = time.time() + 1
        await backend.apply("bucket", [Upsert(ObjectRow("p/a", 7, "new"), moment), Removal("p/b", moment)])
        await backend.apply("bucket", [Upsert(ObjectRow("p/c", 1, "c"), moment)])

    class Telling(FaultyStore):
        async def call(self, request: Any) -> Any:
            answer = await super().call(request)
            await tell(answer)
            return answer

    report = await index_of(backend, Telling(memory)).backfill("s3://bucket/p")
    assert {row.key: row.size for row in await backend.scan("bucket", "", "", 9)} == {"p/a": 7, "p/c": 1}
    assert report.ignored == 2


async def test_many_folders_share_prefixes(backend: IndexBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.listing.resumable._MOST", 20)
    memory = MemoryStore(
        objects={f"p/{n:04}/x": b"1" for n in range(0, 3000, 11)} | {"p/0": b"2", "p/12": b"3"}
    )
    await index_of(backend, memory).backfill("s3://bucket/p")
    await assert_equal(backend, memory)


# Reconcile


async def test_reconcile_reports_and_repairs(backend: IndexBackend, memory: MemoryStore) -> None:
    index = index_of(backend, memory)
    await index.backfill("s3://bucket/p")
    await backend.apply(
        "bucket",
        [
            Removal("p/d01/0001.jpg", time.time()),
            Upsert(ObjectRow("p/zzz", 1, "e"), time.time()),
            Upsert(ObjectRow("p/flat000", 5, "e"), time.time()),
            Upsert(ObjectRow("p-other/not", 5, "e"), time.time()),
        ],
    )
    found = await index.reconcile("s3://bucket/p", repair=False)
    assert (found.missing, found.extra, found.stale, found.repaired) == (1, 1, 1, 0)
    assert set(found.keys) == {("missing", "p/d01/0001.jpg"), ("extra", "p/zzz"), ("stale", "p/flat000")}
    assert found.exit_code == 6
    done = await index.reconcile("s3://bucket/p")
    assert (done.listed, done.differences, done.repaired, done.exit_code) == (462, 3, 3, 0)
    await assert_equal(backend, memory, "p/")
    assert await backend.get("bucket", ["p-other/not"]), "other prefixes are left alone"
    assert (await index.reconcile("s3://bucket/p")).differences == 0


async def test_only_a_listing_that_has_ended_shows_everything(
    backend: IndexBackend, memory: MemoryStore
) -> None:
    index = index_of(backend, memory)
    began = time.time()
    await fed(backend, [uploaded("a")])
    assert await index.listed("s3://bucket/p") is None, "a sync does not tell what others put there"
    faulty = FaultyStore(memory)
    faulty.on("list_page", times=-1, error=unavailable())
    for work in (index_of(backend, faulty).backfill, index_of(backend, faulty).reconcile):
        with pytest.raises(StoreError):
            await work("s3://bucket/p")
    await index.reconcile("s3://bucket/p", repair=False)
    assert await index.listed("s3://bucket/p") is None
    await index.backfill("s3://bucket/p")
    first = await index.listed("s3://bucket/p")
    assert first is not None
    assert began <= first <= time.time()
    assert await index.listed("s3://bucket/p/d01") == first
    for other in ("s3://bucket", "s3://bucket/p-other", "s3://bucket2/p"):
        assert await index.listed(other) is None
    await index.reconcile("s3://bucket")
    second = await index.listed("s3://bucket/p")
    assert second is not None
    assert second > first


async def test_an_incomplete_listing_proves_nothing(backend: IndexBackend) -> None:
    memory = MemoryStore(objects=TREE, page_size=lambda asked: min(asked, 50))
    await index_of(backend, memory).backfill("s3://bucket/p")
    faulty = FaultyStore(memory)
    faulty.on("list_page", skip=4, times=-1, error=unavailable())
    with pytest.raises(StoreError):
        await index_of(backend, faulty).reconcile("s3://bucket/p")
    await assert_equal(backend, memory, "p/")


# Feed


def uploaded(key: str, size: int = 3, **facts: Any) -> Uploaded:
    row = RecordedEntry(key, size, 1, 1, 1, "md5", f"e{size}", uploaded_at=9.0, **facts)
    return Uploaded(row, 2, "new", content_type="text/plain")


async def fed(backend: IndexBackend, *batches: Sequence[Any]) -> list[str]:
    async with feed_index(backend, Location("bucket", "p/")) as sink:
        for batch in batches:
            await sink.outcomes(batch)
    return sink.warnings


async def test_outcomes_become_rows_with_full_keys(backend: IndexBackend) -> None:
    stored = TargetEntry("b", 2, "e4", 8.0, "STANDARD_IA")
    adopted = Adopted(RecordedEntry("b", 4, 1, 1, 1, "md5", "e4", encoding="gzip"), stored)
    first = [uploaded("a"), adopted, uploaded("z", encoding="gzip"), uploaded("gone"), Kept("kept")]
    assert await fed(backend, first, [Deleted("gone", 3), Forgotten("never")]) == []
    rows = {row.key: row for row in await backend.scan("bucket", "", "", 9)}
    assert set(rows) == {"p/a", "p/b", "p/z"}
    assert (rows["p/a"].size, rows["p/a"].etag, rows["p/a"].content_type) == (3, "e3", "text/plain")
    assert (rows["p/a"].uploaded_at, rows["p/z"].size) == (9.0, 2)
    adopted_row = ObjectRow(
        "p/b", 2, "e4", "", "STANDARD_IA", uploaded_at=8.0, last_modified=8.0, bucket="bucket"
    )
    assert rows["p/b"] == adopted_row, "the bytes as stored, not those of the file"
    assert await stale_prefixes(backend) == []
    assert await backend.state() == {}


async def test_new_headers_of_an_object_reach_its_row_and_keep_what_else_is_known(
    backend: IndexBackend,
) -> None:
    before = uploaded("a")
    row = before.row._replace(headers="h", uploaded_at=20.0)
    updated = Updated(row, 3, "text/x-log", "STANDARD_IA")
    assert await fed(backend, [replace(before, image=(4, 5))], [updated]) == []
    (found,) = await backend.scan("bucket", "", "", 9)
    assert (found.content_type, found.storage_class, found.uploaded_at) == ("text/x-log", "STANDARD_IA", 9.0)
    assert (found.width, found.height) == (4, 5)


class Broken:
    """A database that fails, or hangs, from a given write on."""

    def __init__(
        self, inner: IndexBackend, *, fine: int, hang: bool = False, error: Exception | None = None
    ) -> None:
        self._inner = inner
        self._fine = fine
        self._hang = hang
        self._error = error or ObjectIndexError("the disk is full")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def apply_facts(self, *arguments: Any) -> Any:
        self._fine -= 1
        if self._fine < 0:
            if self._hang:
                await anyio.sleep(0.3)
            raise self._error
        return await self._inner.apply_facts(*arguments)


@pytest.mark.parametrize(
    ("hang", "error"), [(False, None), (True, None), (False, OverflowError("too large to convert"))]
)
async def test_a_failing_database_never_fails_the_sync_and_says_so(
    backend: IndexBackend, hang: bool, error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.index.feed._QUEUE", 2)
    monkeypatch.setattr("aios3sync.index.feed._QUEUE_TIMEOUT", 0.05)
    monkeypatch.setattr("aios3sync.index.feed._LINGER", 0.0)
    broken: Any = Broken(backend, fine=1, hang=hang, error=error)
    async with feed_index(broken, Location("bucket", "p/")) as sink:
        await sink.outcomes([uploaded("0")])
        await anyio.sleep(0.05)
        for n in range(1, 30):
            await sink.outcomes([uploaded(str(n))])
            await anyio.sleep(0.001)
    (warning,) = sink.warnings
    assert "reconcile s3://bucket/p/" in warning
    (mark,) = await stale_prefixes(backend)
    assert mark.target == "s3://bucket/p/"
    memory = MemoryStore(objects={f"p/{n}": b"xxx" for n in range(30)})
    index = index_of(backend, memory)
    assert (await index.reconcile("s3://bucket/p/0")).missing == 0
    assert await index.stale() == [mark], "a part of the prefix does not heal it"
    assert (await index.reconcile("s3://bucket")).missing == 29
    assert await index.stale() == []


async def test_an_outcome_that_the_index_does_not_understand_never_fails_the_sync(
    backend: IndexBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> None:
        raise TypeError("?")

    monkeypatch.setattr("aios3sync.index.feed.facts_of_outcome", broken)
    async with feed_index(backend, Location("bucket", "p/")) as sink:
        await sink.outcomes([uploaded("0")])
    assert "TypeError" in sink.warnings[0]


async def test_compressed_objects_that_are_adopted_have_the_size_that_is_stored(
    moto: Endpoint, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    bucket = f"adopted-{database.startswith('sqlite'):d}"
    await make_bucket(moto, bucket)
    root = make_tree(tmp_path / "t", {"a.txt": b"x" * 5000, "b.bin": b"y" * 70})
    target, manifest = f"s3://{bucket}/p", tmp_path / "m"
    async with aios3sync.connect() as session, session.index(database) as index:
        await session.sync(root, target, gzip=("txt",), manifest=str(manifest))
        await to_thread.run_sync(manifest.unlink)
        report = await session.sync(root, target, gzip=("txt",), manifest=str(manifest), index=index)
        assert (report.adopted, report.uploaded) == (2, 0)
        (compressed, plain) = await index.page("p/")
        assert (compressed.size < 200, plain.size) == (True, 70)
        assert (await index.reconcile(target, repair=False)).differences == 0


async def test_what_a_sync_writes_outside_its_target_has_a_mark_of_its_own(backend: IndexBackend) -> None:
    broken: Any = Broken(backend, fine=0)
    thumbnails = Location("bucket", ".thumbnails/64/p/")
    async with feed_index(broken, Location("bucket", "p/"), others=[thumbnails]) as sink:
        await sink.outcomes([uploaded("a")])
    (warning,) = sink.warnings
    assert "reconcile s3://bucket/p/ and s3://bucket/.thumbnails/64/p/ repairs it" in warning
    assert {mark.target for mark in await stale_prefixes(backend)} == {"s3://bucket/p/", str(thumbnails)}
    await index_of(backend, MemoryStore(objects={"p/a": b"xxx"})).reconcile("s3://bucket/p")
    assert [mark.target for mark in await stale_prefixes(backend)] == [str(thumbnails)]
    async with feed_index(backend, Location("bucket", "q/"), others=[Location("bucket", "r/")]):
        assert len(await backend.state("feeding:")) == 3
    assert len(await backend.state("feeding:")) == 1


async def test_a_cancelled_sync_reports_its_changes(backend: IndexBackend) -> None:
    with anyio.CancelScope() as scope:
        async with feed_index(backend, Location("bucket", "p/")) as sink:
            await sink.outcomes([uploaded("a")])
            scope.cancel()
            await anyio.sleep(9)
    assert [row.key for row in await backend.scan("bucket", "", "", 9)] == ["p/a"]
    assert await stale_prefixes(backend) == []


async def test_an_error_of_the_sync_is_its_own(backend: IndexBackend) -> None:
    async def sync() -> None:
        async with feed_index(backend, Location("bucket", "p/")) as sink:
            await sink.outcomes([uploaded("a")])
            raise KeyError("sync")

    with pytest.raises(KeyError):
        await sync()
    assert [row.key for row in await backend.scan("bucket", "", "", 9)] == ["p/a"]


async def test_a_running_sync_is_not_stale(backend: IndexBackend) -> None:
    async with feed_index(backend, Location("bucket", "p/")):
        assert await stale_prefixes(backend) == []
        assert len(await backend.state("feeding:")) == 1
    dead = await to_thread.run_sync(lambda: subprocess.Popen([sys.executable, "-c", ""]))
    await to_thread.run_sync(dead.wait)
    mark = new_mark(Location("bucket", "p/"), 1.0)
    document = mark.text().replace(f'"process":{os.getpid()}', f'"process":{dead.pid}')
    await backend.save_state({mark.item: document})
    assert [one.reason for one in await stale_prefixes(backend)] == ["the sync was killed"]


# With a server


@pytest.fixture
async def session(seaweedfs: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    async with aios3sync.connect() as opened:
        yield opened


async def make_bucket(endpoint: Endpoint, name: str) -> None:
    def make() -> None:
        boto3_client(endpoint).create_bucket(Bucket=name)

    await to_thread.run_sync(make)


@pytest.mark.server
async def test_a_sync_keeps_the_index(
    session: aios3sync.Session, seaweedfs: Endpoint, database: str, tmp_path: Path
) -> None:
    bucket = f"fed-{os.getpid()}-{database.startswith('sqlite'):d}"
    await make_bucket(seaweedfs, bucket)
    root = make_tree(tmp_path / "t", {f"d{n % 5}/{n:03}.txt": b"x" * n for n in range(120)})
    heard: list[Any] = []
    async with session.index(database) as index:
        report = await session.sync(root, f"s3://{bucket}/p", index=index, on_event=heard.append)
        assert (report.uploaded, report.warnings) == (120, ())
        assert sum(isinstance(event, Finished) for event in heard) == 1
        assert isinstance(heard[-1], Finished)
        assert (await index.reconcile(f"s3://{bucket}")).differences == 0
        page: Page = await index.page("p/d1/", limit=3, order="size", desc=True)
        assert [row.name for row in page] == ["116.txt", "111.txt", "106.txt"]
        (url, *_) = await index.urls(page)
        assert f"/{bucket}/p/d1/116.txt?" in url
        await to_thread.run_sync((root / "d1" / "116.txt").unlink)
        await session.sync(root, f"s3://{bucket}/p", index=index, delete="mirror")
        assert (await index.totals("p/")).objects == 119
        assert (await index.reconcile(f"s3://{bucket}")).differences == 0
        report = await session.sync(root, f"s3://{bucket}/q", index=index, dry_run=True)
        assert (await index.totals("q/")).objects == 0
        broken: Any = Broken(index.backend, fine=0)
        index.backend = broken
        report = await session.sync(root, f"s3://{bucket}/r", index=index, on_event=heard.append)
        assert report.exit_code == 0
        assert ["the disk is full" in warning for warning in report.warnings] == [True]
        assert any(isinstance(event, Warned) for event in heard)


SYNCING = """
import sys
import anyio, aios3sync
from aios3sync.index import feed

feed._LINGER = 0.0

class Counting:
    count = 0

    async def outcomes(self, batch):
        self.count += len(batch)
        if self.count > 100:
            print(self.count, flush=True)

async def main(root, target, database):
    async with aios3sync.connect(bandwidth=100_000) as session, session.index(database) as index:
        await session.sync(root, target, index=index, outcome_sinks=[Counting()])

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.server
async def test_a_killed_sync_is_found_and_repaired(
    session: aios3sync.Session, seaweedfs: Endpoint, database: str, tmp_path: Path
) -> None:
    bucket = f"killed-{os.getpid()}-{database.startswith('sqlite'):d}"
    await make_bucket(seaweedfs, bucket)
    root = make_tree(tmp_path / "t", {f"d{n % 9}/f{n:04}": os.urandom(1000) for n in range(600)})
    command = [sys.executable, "-c", SYNCING, str(root), f"s3://{bucket}/p", database]

    def killed() -> bytes:
        """Kill the process when it has reported a hundred files; return its output."""
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.kill()
            return line + process.stdout.read()

    assert int((await to_thread.run_sync(killed)).split()[-1]) < 600
    async with session.index(database) as index:
        assert [mark.target for mark in await index.stale()] == [f"s3://{bucket}/p/"]
        found = await index.reconcile(f"s3://{bucket}/p")
        assert found.listed < 600
        assert found.extra == 0, "no upload is reported before it is stored"
        assert await index.stale() == []
        assert (await index.totals("p/", bucket=bucket)).objects == found.listed
        assert (await index.reconcile(f"s3://{bucket}", repair=False)).differences == 0
        await session.sync(root, f"s3://{bucket}/p", index=index)
        assert (await index.reconcile(f"s3://{bucket}", repair=False)).differences == 0
        assert (await index.totals("p/")).objects == 600
