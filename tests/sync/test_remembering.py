"""What the manifest may say of a run, and when: each of these rules loses data where it is dropped."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio import to_thread
from blockbuster import BlockBuster

from aios3sync import BucketNotFoundError, ManifestError, ObjectNotFoundError, PreconditionFailedError
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.metadata import META_ORIGINAL_MD5
from aios3sync.events import Deleted, Event, ObjectDeleted, ObjectUploaded, Uploaded
from aios3sync.local import compress as compressing
from aios3sync.local import read as reading
from aios3sync.manifest.files import default_path, open_manifest
from aios3sync.manifest.protocol import Binding, Manifest, ManifestState
from aios3sync.manifest.root import Root
from aios3sync.manifest.sqlite import SqliteManifest
from aios3sync.objects.manifest_objects import ManifestObject, ShardObjects
from aios3sync.objects.shared_manifest import SharedManifest, run_shared
from aios3sync.objects.shared_shards import SharedShards
from aios3sync.store.protocol import DeleteError, PutResult
from aios3sync.sync.detector import Detector
from aios3sync.sync.setup import run_sync
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import MIB, Bench, same_size_change

pytestmark = pytest.mark.usefixtures("settle")


def binding_of(bench: Bench) -> Binding:
    return Binding(str(bench.root), bench.endpoint, "bucket", "p/")


def opened(bench: Bench, path: str = "") -> Manifest:
    """The manifest of the pair, as another program would read it. Blocks."""
    binding = binding_of(bench)
    return open_manifest(path or default_path(binding), binding, lambda text: None, read_only=not path)


async def state_of(bench: Bench) -> ManifestState:
    manifest = await to_thread.run_sync(opened, bench)
    try:
        return await manifest.state()
    finally:
        await manifest.close()


# Racy-clean rows: https://git-scm.com/docs/racy-git


@pytest.mark.parametrize("name", ["state.sqlite", "state.json"])
async def test_a_row_that_was_not_settled_is_hashed_again_though_its_stat_is_the_same(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A write in the clock tick of the hashing leaves the stat as it was, and the row with the old MD5."""
    path = str(tmp_path / name)
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", 3600 * 10**9)
    bench.tree({"a": "1", "b": "2"})
    await bench.sync(manifest=path)
    await change_row(bench, path, "b", md5="0" * 32)
    report = await bench.sync(manifest=path)
    assert (report.checked, report.uploaded, report.kept) == ("manifest", 1, 1)


@pytest.mark.parametrize("name", ["state.sqlite", "state.json"])
async def test_a_row_of_another_encoding_is_looked_at_though_its_stat_is_the_same(
    bench: Bench, tmp_path: Path, name: str
) -> None:
    path = str(tmp_path / name)
    bench.tree({"a": "1", "b": "2"})
    await bench.sync(manifest=path)
    await change_row(bench, path, "b", encoding="gzip")
    report = await bench.sync(manifest=path)
    assert (report.checked, report.uploaded, report.kept) == ("manifest", 1, 1)


async def change_row(bench: Bench, path: str, key: str, **changes: Any) -> None:
    manifest = await to_thread.run_sync(opened, bench, path)
    row = await manifest.get(key)
    assert isinstance(row, RecordedEntry)
    await manifest.record([row._replace(**changes)], [])
    await manifest.close()


# Rows first, then counts, events and sinks.


async def test_what_is_counted_and_passed_on_is_recorded_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: set[str] = set()
    early: list[str] = []
    real = SqliteManifest.record

    async def record(self: SqliteManifest, changed: Sequence[Any], gone: Sequence[str]) -> None:
        await real(self, changed, gone)
        rows.update(row.key for row in changed)
        rows.difference_update(gone)

    class Sink:
        async def outcomes(self, batch: Sequence[Any]) -> None:
            early.extend(o.row.key for o in batch if isinstance(o, Uploaded) and o.row.key not in rows)
            early.extend(o.key for o in batch if isinstance(o, Deleted) and o.key in rows)

    def listen(event: Event) -> None:
        if isinstance(event, ObjectUploaded) and event.key not in rows:
            early.append(event.key)
        if isinstance(event, ObjectDeleted) and event.key in rows:
            early.append(event.key)

    monkeypatch.setattr(SqliteManifest, "record", record)
    bench.outcome_sinks, bench.on_event = (Sink(),), listen
    bench.tree({f"f{n}": str(n) for n in range(20)})
    assert (await bench.sync()).uploaded == 20
    (bench.root / "f7").unlink()
    assert (await bench.sync(delete="tracked")).deleted == 1
    assert early == []


async def test_what_cannot_be_recorded_is_neither_counted_nor_passed_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []

    async def record(self: SqliteManifest, rows: Sequence[Any], gone: Sequence[str]) -> None:
        raise ManifestError("the disk is full")

    class Sink:
        async def outcomes(self, batch: Sequence[Any]) -> None:
            reported.extend(batch)

    def listen(event: Event) -> None:
        if isinstance(event, ObjectUploaded):
            reported.append(event)

    monkeypatch.setattr(SqliteManifest, "record", record)
    bench.outcome_sinks, bench.on_event = (Sink(),), listen
    bench.tree({f"f{n}": str(n) for n in range(20)})
    with pytest.raises(ManifestError, match="the disk is full"):
        await bench.sync()
    assert reported == []


# Complete is what is known to be so.


async def test_P10_the_manifest_is_incomplete_before_the_first_upload_and_the_first_delete(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash right after either leaves a target that the rows do not tell of: the next run has to list."""
    bench.tree({"a": "1", "z": "2"})
    await bench.sync()
    assert (await state_of(bench)).complete
    seen: dict[str, bool] = {}
    put, delete = bench.memory.put, bench.memory.delete_many

    async def watched_put(*args: Any, **more: Any) -> PutResult:
        seen["put"] = (await state_of(bench)).complete
        return await put(*args, **more)

    async def watched_delete(*args: Any) -> list[DeleteError]:
        seen["delete"] = (await state_of(bench)).complete
        return await delete(*args)

    monkeypatch.setattr(bench.memory, "put", watched_put)
    monkeypatch.setattr(bench.memory, "delete_many", watched_delete)
    bench.tree({"new": "3"})
    await bench.sync()
    assert (await state_of(bench)).complete
    (bench.root / "z").unlink()
    await bench.sync(delete="tracked")
    assert seen == {"put": False, "delete": False}
    assert (await state_of(bench)).complete


async def document_of(bench: Bench) -> Root:
    return Root.decoded((await bench.memory.get("state/m")).body)


async def in_bucket(bench: Bench, tmp_path: Path) -> None:
    """Let a run store its manifest in the bucket, as one of several files."""

    async def open_store(*_: object) -> MemoryStore:
        return bench.memory

    bench.runner = lambda request, resources: run_shared(run_sync, request, resources, open_store)
    bench.tree({"a": "1", "z": "2"})
    await bench.sync(manifest="s3://bucket/state/m")
    manifest = ManifestObject(bench.memory, "state/m")
    content = await manifest.read()
    binding = Binding("any machine", bench.endpoint, "bucket", "p/")
    (tmp_path / "mirror").mkdir()
    shards = SharedShards(
        manifest, ShardObjects(bench.memory, "state/m.shards/", str(tmp_path / "mirror")), binding
    )
    await shards.begin(content)
    assert await shards.conclude() == ""
    assert (await document_of(bench)).state.complete


async def test_P10_a_manifest_in_the_bucket_is_incomplete_before_the_first_upload_and_the_first_delete(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine reads what is in the bucket, where this one may never store anything any more."""
    await in_bucket(bench, tmp_path)
    seen: dict[str, tuple[bool, int]] = {}
    put, delete = bench.memory.put, bench.memory.delete_many

    async def watched_put(key: str, *args: Any, **more: Any) -> PutResult:
        if key.startswith("p/"):
            seen["put"] = (root := await document_of(bench)).state.complete, len(root.open_runs)
        return await put(key, *args, **more)

    async def watched_delete(*args: Any) -> list[DeleteError]:
        seen["delete"] = (root := await document_of(bench)).state.complete, len(root.open_runs)
        return await delete(*args)

    monkeypatch.setattr(bench.memory, "put", watched_put)
    monkeypatch.setattr(bench.memory, "delete_many", watched_delete)
    bench.tree({"new": "3"})
    await bench.sync(manifest="s3://bucket/state/m")
    root = await document_of(bench)
    assert (root.state.complete, root.open_runs) == (True, ())
    (bench.root / "z").unlink()
    report = await bench.sync(manifest="s3://bucket/state/m", delete="tracked")
    assert (report.deleted, report.warnings) == (1, ())
    assert seen == {"put": (False, 1), "delete": (False, 1)}
    root = await document_of(bench)
    assert (root.state.complete, root.open_runs) == (True, ())


@pytest.mark.parametrize("name", ["m.sqlite", "m.json"])
async def test_P10_a_killed_run_leaves_the_file_in_the_bucket_incomplete(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A tree that is as it was before the killed run is compared with what that one has left."""

    async def open_store(*_: object) -> MemoryStore:
        return bench.memory

    bench.runner = lambda request, resources: run_shared(run_sync, request, resources, open_store)
    place, key = f"s3://bucket/state/{name}", f"state/{name}"
    bench.tree({"a": "v1"})
    await bench.sync(manifest=place)
    left: list[Any] = []
    put = bench.memory.put

    async def watched(written: str, *args: Any, **more: Any) -> PutResult:
        if written.startswith("p/"):
            left.append(bench.memory.objects[key])
        return await put(written, *args, **more)

    monkeypatch.setattr(bench.memory, "put", watched)
    bench.tree({"a": "v2"})
    assert (await bench.sync(manifest=place)).warnings == ()
    bench.memory.objects[key] = left.pop()
    bench.tree({"a": "v1"})
    report = await bench.sync(manifest=place)
    assert (report.checked, report.uploaded, bench.objects()["a"]) == ("list", 1, b"v1")
    assert (await bench.sync(manifest=place)).checked == "manifest"


async def test_a_long_run_gives_signs_of_life_in_the_bucket_once_it_has_begun(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_bucket(bench, tmp_path)
    monkeypatch.setattr("aios3sync.objects.shared_manifest.RENEWED_S", 0)
    begins: list[bool] = []
    put, begin = bench.memory.put, SharedManifest.begin
    enough = anyio.Event()

    async def watched(self: SharedManifest) -> None:
        begins.append(self.began)
        if len(begins) == 3:
            enough.set()
        await begin(self)

    async def slow(key: str, *args: Any, **more: Any) -> PutResult:
        if key.startswith("p/"):
            with anyio.fail_after(10):
                await enough.wait()
        return await put(key, *args, **more)

    monkeypatch.setattr(SharedManifest, "begin", watched)
    monkeypatch.setattr(bench.memory, "put", slow)
    bench.tree({"new": "3"})
    report = await bench.sync(manifest="s3://bucket/state/m")
    assert (report.uploaded, begins[:3]) == (1, [False, True, True])
    assert (await document_of(bench)).state.complete


async def test_a_run_without_changes_stores_nothing_in_the_bucket(bench: Bench, tmp_path: Path) -> None:
    await in_bucket(bench, tmp_path)
    before = {key: value.etag for key, value in bench.memory.objects.items()}
    report = await bench.sync(manifest="s3://bucket/state/m")
    assert (report.kept, report.checked) == (2, "manifest")
    assert {key: value.etag for key, value in bench.memory.objects.items()} == before


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Set when both walks have ended."""
    event = anyio.Event()
    real = Detector._end

    async def end(self: Detector) -> None:
        await real(self)
        event.set()

    monkeypatch.setattr(Detector, "_end", end)
    return event


async def test_a_run_that_was_stopped_leaves_the_manifest_incomplete(
    bench: Bench, compared: anyio.Event
) -> None:
    """Also if both walks and all that it had begun did end: it was stopped before it deleted."""
    bench.tree({"a": "1", "z": "2"})
    await bench.sync()
    bench.tree({"new": "3"})
    (bench.root / "z").unlink()

    def stop(result: PutResult) -> PutResult:
        bench.stop.request(15)
        return result

    bench.faults.on("put", wait=compared, change=stop)
    report = await bench.sync(delete="mirror")
    assert (report.uploaded, report.cancelled, report.deleted, report.exit_code) == (1, 0, 0, 143)
    assert not (await state_of(bench)).complete
    bench.stop.signal = 0
    assert (await bench.sync()).checked == "list"


async def test_a_run_that_gave_up_some_of_its_items_leaves_the_manifest_incomplete(
    bench: Bench, compared: anyio.Event
) -> None:
    bench.tree({f"f{n}": str(n) for n in range(9)})
    bench.workers = 1
    bench.faults.on("put", wait=compared)
    bench.faults.on("put", skip=2, times=-1, error=BucketNotFoundError("gone", code="NoSuchBucket"))
    with pytest.raises(BucketNotFoundError):
        await bench.sync()
    assert not (await state_of(bench)).complete
    bench.faults.inner, bench.faults._faults = bench.memory, []
    report = await bench.sync()
    assert (report.checked, report.kept, report.uploaded) == ("list", 3, 6)


async def test_P8_what_changed_while_it_was_sent_is_uncertain_so_the_next_run_lists(
    bench: Bench, no_blocking: BlockBuster
) -> None:
    no_blocking.deactivate()  # the test itself writes while the loop runs
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    bench.tree({"a": "changed"})

    def change(result: Any) -> Any:
        (bench.root / "a").write_text("changed once more")
        return result

    bench.faults.on("put", key="p/a", change=change)
    assert (await bench.sync()).failed == 1
    assert not (await state_of(bench)).complete
    assert (await bench.sync()).checked == "list"


async def test_the_listing_is_as_old_as_its_beginning(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written during a listing that takes hours is younger than the listing."""
    clock = [1_000_000.0]
    monkeypatch.setattr("aios3sync.sync.pipeline.time", SimpleNamespace(time=lambda: clock[0]))
    real = bench.memory.list_page

    async def slow(*args: Any, **more: Any) -> Any:
        clock[0] += 3600
        return await real(*args, **more)

    monkeypatch.setattr(bench.memory, "list_page", slow)
    bench.tree({"a": "1"})
    await bench.sync()
    assert (await state_of(bench)).listed_at == 1_000_000.0
    assert clock[0] > 1_000_000.0


# Files that move under our eyes.


def change_within(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, change: Callable[[], None]
) -> None:
    """Change something right after the first call of a function."""
    real, left = getattr(module, name), [1]

    def changing(*args: Any, **more: Any) -> Any:
        result = real(*args, **more)
        if left[0]:
            left[0] = 0
            change()
        return result

    monkeypatch.setattr(module, name, changing)


async def test_C1_a_small_file_that_changes_behind_an_equal_size_and_mtime_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "same size"})
    change_within(monkeypatch, reading, "_read_all", lambda: same_size_change(bench.root / "a"))
    assert (await bench.sync()).uploaded == 1
    assert bench.objects()["a"] == (bench.root / "a").read_bytes() != b"same size"


@pytest.mark.parametrize("field", range(4), ids=["size", "mtime", "ctime", "inode"])
def test_C1_a_file_is_the_same_only_with_every_field_of_its_stat(tmp_path: Path, field: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    found = path.stat()
    stat = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    body = reading.read_same(str(path), tuple(stat))  # type: ignore[arg-type]
    assert body is not None
    assert body[0] == b"12345"
    stat[field] += 1
    assert reading.read_same(str(path), tuple(stat)) is None  # type: ignore[arg-type]


async def test_P8_a_large_file_that_changes_between_its_hashing_and_its_compression_is_compressed_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its metadata would tell the digest of bytes that the object does not hold."""
    bench.tree({"a.txt": os.urandom(6 * MIB)})
    change_within(monkeypatch, compressing, "digest_file", lambda: same_size_change(bench.root / "a.txt"))
    report = await bench.sync(gzip=("txt",), multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert report.uploaded == 1
    now = (bench.root / "a.txt").read_bytes()
    assert gzip.decompress(bench.objects()["a.txt"]) == now
    head = await bench.memory.head("p/a.txt")
    assert head.metadata[META_ORIGINAL_MD5] == MemoryStore(objects={"x": now}).objects["x"].etag


# A target that is not as it was remembered.


@pytest.mark.parametrize(
    "error",
    [
        ObjectNotFoundError("gone", code="NoSuchKey", status=404),
        ObjectNotFoundError("gone", code="NoSuchUpload", status=404),
        PreconditionFailedError("another", code="PreconditionFailed", status=412),
    ],
    ids=lambda error: error.code,
)
async def test_a_changed_target_makes_a_run_list_and_each_key_is_counted_once(
    bench: Bench, error: Exception
) -> None:
    """What else is not as it was remembered is found in the same run; what is done is not done again."""
    bench.tree({"a": "1", "b": "2", "c": "3", "d": "4"})
    await bench.sync()
    bench.tree({"a": "changed", "b": "changed too"})
    del bench.memory.objects["p/d"]
    bench.faults.on("put", key="p/b", times=-1, error=error)
    bench.faults.keys.clear()
    report = await bench.sync()
    assert (report.checked, report.uploaded, report.kept, report.failed) == ("list", 2, 1, 1)
    assert report.planned == 4
    assert bench.objects() == {"a": b"changed", "b": b"2", "c": b"3", "d": b"4"}
    assert bench.faults.keys.count(("put", "p/a")) == 1


async def test_a_run_with_an_unchanged_target_does_not_list(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    bench.tree({"a": "changed"})
    assert (await bench.sync()).requests == {"PutObject": 1}
