"""Source, Target and Files: what each of them promises the engine, whatever it is made of.

A side of another kind joins by one more line in SOURCES or TARGETS.
"""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.core.entries import SourceEntry, TargetEntry
from aios3sync.core.filters import Filters, make_rules
from aios3sync.core.gitignore import IgnoreTree
from aios3sync.core.keys import Location
from aios3sync.errors import SourceError, StoreError
from aios3sync.local.digest import ChangedError, SmallFile
from aios3sync.local.temporary import temporary_file
from aios3sync.local.tree import LocalTree
from aios3sync.options import SyncOptions
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import DeleteError, DeleteItem, ObjectStore, StoreCapabilities
from aios3sync.sync.bucket import BucketTarget
from aios3sync.sync.deferred import DeferredAction
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.sides import Files, Source, Target, sides_of
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.trees import make_tree

KEYS = ["a", "b/c", "b/d/e", "b0", "c\u00e4", "z"]


def request_of(root: str = "/src", **options: Any) -> SyncRequest:
    return SyncRequest(
        root=root, location=Location.parse("s3://bucket/p"), endpoint="", options=SyncOptions(**options)
    )


def resources_of(store: ObjectStore, profile: EndpointProfile | None = None) -> Resources:
    async def open_store() -> ObjectStore:
        return store

    return Resources(
        open_store=open_store,
        memory=ByteSemaphore(1),
        workers=4,
        profile=profile or EndpointProfile(etags="md5"),
    )


# Sources


def local_tree(tmp_path: Path, tree: dict[str, bytes | str | None]) -> LocalTree:
    root = tmp_path / "root"
    root.mkdir()
    make_tree(root, tree)
    return LocalTree(str(root))


SOURCES: dict[str, Callable[[Path, dict[str, bytes | str | None]], Source[Any]]] = {"LocalTree": local_tree}
each_source = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)


async def keys_of(source: Source[Any], filters: Filters | None = None) -> list[str]:
    walk = source.walk(filters or Filters(), "p/")
    return [entry.key async for batch in walk.stream() for entry in batch.entries]


@each_source
async def test_a_source_yields_its_entries_in_key_order(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path, dict.fromkeys(reversed(KEYS), "1"))
    await source.check()
    assert await keys_of(source) == sorted(KEYS)
    assert await keys_of(source, Filters(rules=make_rules([("exclude", "b/*")], ()))) == sorted(
        key for key in KEYS if not key.startswith("b/")
    )


@each_source
async def test_a_source_finds_one_entry_as_the_walk_does(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path, {"b/c": "123"})
    [batch] = [batch async for batch in source.walk(Filters(), "").stream()]
    assert [await source.entry("b/c")] == batch.entries
    assert isinstance(await source.entry("b"), str)
    assert isinstance(await source.entry("x"), str)


@each_source
async def test_a_source_names_the_ignore_files_above_a_key(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path, {".gitignore": "x", "d/e/.gitignore": "y", "d/e/f": "1"})
    assert [*await source.ignore_files("d/e/f")] == [("", b"x"), ("d/e/", b"y")]
    assert await keys_of(source, Filters(ignored=IgnoreTree())) == [".gitignore", "d/e/.gitignore", "d/e/f"]


async def test_a_tree_that_goes_away_ends_the_walk_with_an_error(tmp_path: Path) -> None:
    """An end without an error would mean that every key is absent."""
    source: Source[SourceEntry] = local_tree(tmp_path, {})
    await anyio.Path(tmp_path / "root").rmdir()
    with pytest.raises(SourceError):
        await keys_of(source)
    with pytest.raises(SourceError):
        await source.check()


async def test_a_walk_in_one_thread_yields_what_the_stream_yields(tmp_path: Path) -> None:
    files: Files = local_tree(tmp_path, dict.fromkeys(KEYS, "1"))
    streamed = [entry async for batch in files.walk(Filters(), "").stream() for entry in batch.entries]
    batches = await anyio.to_thread.run_sync(lambda: [*files.walk(Filters(), "").batches()])
    assert [entry for batch in batches for entry in batch.entries] == streamed


def test_the_sides_of_a_local_request_are_one_tree() -> None:
    request = request_of("/src")
    sides = sides_of(request, resources_of(MemoryStore()), request.tree())
    files: object = sides.files
    assert sides.source is files
    assert sides.walked is files
    assert isinstance(sides.listing, BucketTarget)
    assert isinstance(files, LocalTree)
    assert files.path("a") == "/src/a"


# Files


def test_an_open_file_is_read_at_any_offset_into_the_buffer(tmp_path: Path) -> None:
    files: Files = local_tree(tmp_path, {"a": b"0123456789"})
    file = files.open("a")
    buffer = bytearray(b"........")
    with memoryview(buffer)[2:6] as middle:
        file.read_into(3, middle)
    assert buffer == b"..3456.."
    before = file.stat()
    assert (before.key, before.size) == ("a", 10)
    make_tree(tmp_path / "root", {"a": b"0123"})
    assert file.stat() != before
    with memoryview(buffer) as whole, pytest.raises(ChangedError, match="a: changed"):
        file.read_into(0, whole)
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.stat()


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    files: Files = local_tree(tmp_path, {"d/a": "1"})
    os.mkfifo(tmp_path / "root" / "fifo")
    for opened in (files.open, lambda key: files.head(key, 1)):
        for key in ("d", "fifo", "x"):
            with pytest.raises(OSError, match=r"no longer a regular file|No such file"):
                opened(key)


def test_small_files_are_read_up_to_their_room(tmp_path: Path) -> None:
    files: Files = local_tree(tmp_path, {"a": "1", "b": "22", "c": ""})
    read, _ = files.read_small(["a", "b", "c", "x"], [1, 1, 0, 1], by_mtime=False)
    a, b, c, missing = read
    assert isinstance(a, SmallFile)
    assert isinstance(c, SmallFile)
    assert (a.entry.key, a.body, b, c.body) == ("a", b"1", 2, b"")
    assert isinstance(missing, FileNotFoundError)
    assert files.is_missing("x", missing)
    assert not files.is_missing("a", missing)
    assert not files.is_missing("x", PermissionError(13, "no", missing.filename))


def test_a_compressed_copy_has_the_digests_of_both(tmp_path: Path) -> None:
    body = b"text " * 100_000
    files: Files = local_tree(tmp_path, {"a": body})
    with temporary_file() as copy:
        digest, stored_md5, size = files.compress("a", copy, threading.Event(), by_mtime=False)
        copy.seek(0)
        stored = copy.read()
    assert (gzip.decompress(stored), len(stored)) == (body, size)
    assert digest == files.digest("a", threading.Event())
    assert MemoryStore(objects={"x": stored}).objects["x"].etag == stored_md5
    assert files.head("a", 4) == b"text"


# Targets


def bucket_target(memory: MemoryStore, **facts: Any) -> BucketTarget:
    return BucketTarget(request_of(), resources_of(memory), **facts)


def memory_of(keys: list[str], **facts: Any) -> MemoryStore:
    return MemoryStore(objects={f"p/{key}": key.encode() for key in keys} | {"p/": b"", "q": b""}, **facts)


UNSORTED = StoreCapabilities(sorted_listing=False, conditional_delete=True)
TARGETS: dict[str, Callable[[list[str]], Target[Any]]] = {
    "in byte order": lambda keys: bucket_target(memory_of(keys, page_size=lambda _: 2)),
    "in any order": lambda keys: bucket_target(
        memory_of(keys, page_size=lambda _: 2, order=lambda key: key[::-1], capabilities=UNSORTED)
    ),
    "by folders": lambda keys: bucket_target(
        memory_of(keys, page_size=lambda _: 2, order=lambda key: key.split("/"), capabilities=UNSORTED)
    ),
}
each_target = pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS)


async def sent(target: Target[Any]) -> list[str]:
    """Return the keys that a target sends."""
    keys: list[str] = []
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](1)

    async def produce() -> None:
        async with send:
            await target.send_entries(send)

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(produce)
        async for page in receive:
            keys += [entry.key for entry in page]
    return keys


@each_target
async def test_a_target_yields_its_entries_in_key_order(make: Any) -> None:
    target = make(KEYS)
    await target.open()
    assert [entry.key async for page in target.entries() for entry in page] == sorted(KEYS)
    assert await sent(target) == sorted(KEYS)
    assert await sent(target) == sorted(KEYS)  # with what the first listing showed


@each_target
async def test_a_target_deletes_what_is_still_as_listed(make: Any) -> None:
    """What is gone already counts as deleted."""
    target = make(KEYS)
    [page] = [page async for page in target.entries()]
    listed = {entry.key: DeferredAction(entry.key, "delete", entry.etag) for entry in page}
    changed = listed["z"]._replace(etag="0" * 32)
    assert target.deletes_at_once >= 2
    errors = await target.delete([listed["a"], listed["b/c"], changed, DeferredAction("x", "delete")])
    assert set(errors) == {"z"}
    assert "PreconditionFailed" in errors["z"]
    assert await sent(target) == sorted({*KEYS} - {"a", "b/c"})


# A bucket as the target


async def test_the_order_of_a_listing_is_remembered_from_run_to_run() -> None:
    memory = memory_of(KEYS, page_size=lambda _: 2, order=lambda key: key[::-1], capabilities=UNSORTED)
    first = bucket_target(memory)
    assert first.order == ""
    await sent(first)
    assert first.order == "unordered"
    trusting = bucket_target(memory, order="ascending")
    assert await sent(trusting) != sorted(KEYS)  # streamed; the comparison notices
    trusting.saw_disorder()
    assert await sent(trusting) == sorted(KEYS)
    assert trusting.order == "unordered"


async def test_disorder_counts_more_than_the_option_of_the_user() -> None:
    profile = EndpointProfile(etags="md5")
    target = BucketTarget(request_of(list_order="bytes"), resources_of(memory_of(KEYS), profile))
    assert await sent(target) == sorted(KEYS)
    orders = [profile.list_order]
    target.saw_disorder()
    orders.append(profile.list_order)
    assert await sent(target) == sorted(KEYS)
    assert orders == ["bytes", "unordered"]


async def test_a_listing_that_breaks_off_is_an_error() -> None:
    """An end without an error would mean that the other keys are absent."""
    faults = FaultyStore(memory_of(KEYS, page_size=lambda _: 2))
    faults.on("list_page", skip=1, error=StoreError("broke off"))
    target = BucketTarget(request_of(), resources_of(faults))
    with pytest.raises(StoreError, match="broke off"):
        assert [page async for page in target.entries()] == []


async def test_deletes_are_sent_without_a_condition_where_only_it_is_refused() -> None:
    memory = memory_of(KEYS)
    sent_items: list[list[DeleteItem]] = []
    warnings: list[str] = []
    real = memory.delete_many

    async def delete_many(items: list[DeleteItem]) -> list[DeleteError]:
        sent_items.append(items)
        refused = [DeleteError(item.key, "AccessDenied", "no", False) for item in items if item.etag]
        return refused or await real(items)

    memory.delete_many = delete_many  # type: ignore[assignment, method-assign]
    target = bucket_target(memory, warn=warnings.append)
    [page] = [page async for page in target.entries()]
    deletes = [DeferredAction(entry.key, "delete", entry.etag) for entry in page]
    assert await target.delete(deletes[:2]) == {}
    assert await target.delete(deletes[2:]) == {}
    assert [len(items) for items in sent_items] == [2, 2, 4]
    assert [bool(items[0].etag) for items in sent_items] == [True, False, False]
    assert len(warnings) == 1
    assert set(memory.objects) == {"p/", "q"}
