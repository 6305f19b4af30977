"""One object to a file: whole or not at all, continued, and nothing of somebody else replaced."""

from __future__ import annotations

import os
from hashlib import md5
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.core.parts import MIB
from aios3sync.errors import (
    DestinationError,
    IntegrityError,
    PreconditionFailedError,
    UnavailableError,
    UsageError,
)
from aios3sync.objects.download import FileOptions, WrittenFile, destination_of, download_object
from aios3sync.objects.reader import range_size_for
from aios3sync.store.protocol import ListedPart, PutOptions
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

MEMORY = 1024 * 1024
RANGE = range_size_for(MEMORY)
BODY = os.urandom(5 * RANGE + 17)


def faulty(body: bytes = BODY) -> FaultyStore:
    return FaultyStore(MemoryStore(objects={"k": body}))


async def download(store: FaultyStore, path: Path, **options: Any) -> WrittenFile:
    place = await anyio.to_thread.run_sync(destination_of, str(path), "k")
    return await download_object(store, "k", place, FileOptions(**{"memory": MEMORY, **options}))


async def replace(store: FaultyStore, body: bytes) -> None:
    await store.put("k", body, PutOptions(), md5=md5(body, usedforsecurity=False).digest())


@pytest.mark.parametrize("fsync", [True, False])
@pytest.mark.parametrize("size", [0, 1, RANGE, RANGE + 1, 5 * RANGE + 17])
async def test_the_bytes_arrive_and_nothing_else_is_left(tmp_path: Path, size: int, *, fsync: bool) -> None:
    body = os.urandom(size)
    written = await download(faulty(body), tmp_path / "x", fsync=fsync)
    assert (written.path, written.size, written.verified) == (str(tmp_path / "x"), size, "md5")
    assert (tmp_path / "x").read_bytes() == body
    assert os.listdir(tmp_path) == ["x"]


async def broken_off(store: FaultyStore, path: Path) -> None:
    """Download until four ranges are on disk; the others fail then."""
    left, enough = 4 * RANGE, anyio.Event()
    store.on("get", skip=4, times=-1, wait=enough, error=unavailable())

    def on_bytes(size: int, _whole: int) -> None:
        nonlocal left
        left -= size
        if not left:
            enough.set()

    with pytest.raises(UnavailableError):
        await download(store, path, on_bytes=on_bytes)
    assert left == 4 * RANGE  # what has to be told again is taken back


async def test_a_download_that_broke_off_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    store = faulty()
    await broken_off(store, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    again = FaultyStore(store)
    store._faults.clear()
    written = await download(again, tmp_path / "x")
    assert again.calls["get"] == 1 + 2  # one opens the object, two ranges were missing
    assert written.verified == "md5"
    assert (tmp_path / "x").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["x"]


async def test_ranges_are_requested_at_the_same_time(tmp_path: Path) -> None:
    store, go = faulty(), anyio.Event()
    reached = [anyio.Event() for _ in range(5)]
    for event in reached:
        store.on("get", skip=1, reached=event, wait=go)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(download, store, tmp_path / "x")
        for event in reached:
            await event.wait()
        go.set()
    assert (tmp_path / "x").read_bytes() == BODY


@pytest.mark.parametrize("memory", [MEMORY, 64 * MIB])
async def test_an_object_of_parts_is_proved_by_its_parts(tmp_path: Path, memory: int) -> None:
    body, store = os.urandom(12 * MIB), MemoryStore()
    upload_id = await store.create_multipart("k", PutOptions())
    parts = []
    for number in (1, 2, 3):
        part = body[(number - 1) * 5 * MIB : number * 5 * MIB]
        digest = md5(part, usedforsecurity=False).digest()
        stored = await store.put_part("k", upload_id, number, part, PutOptions(), md5=digest)
        parts.append(ListedPart(number, stored.etag, len(part)))
    await store.complete_multipart("k", upload_id, parts, PutOptions())
    written = await download(FaultyStore(store), tmp_path / "x", memory=memory)
    assert (written.verified, (tmp_path / "x").read_bytes()) == ("parts", body)


@pytest.mark.parametrize("start", [0, RANGE])
async def test_wrong_bytes_of_an_earlier_run_are_read_again(tmp_path: Path, start: int) -> None:
    body = bytes(2 * RANGE) + BODY
    store = faulty(body)
    await broken_off(store, tmp_path / "x")
    (part,) = tmp_path.glob(".aios3sync-*.part")
    with open(part, "r+b") as file:
        file.seek(start)
        file.write(b"\1" * 70_000)  # where the object has zeros, nothing is written over it
    await download(faulty(body), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == body
    assert os.listdir(tmp_path) == ["x"]


async def test_wrong_bytes_of_the_endpoint_are_an_error_and_no_file(tmp_path: Path) -> None:
    store = faulty()
    store.on("get", skip=2, times=-1, change=lambda found: found._replace(body=bytes(len(found.body))))
    with pytest.raises(IntegrityError):
        await download(store, tmp_path / "x")
    assert os.listdir(tmp_path) == []


async def test_an_object_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    store, other = faulty(), BODY[::-1]
    reached, go = anyio.Event(), anyio.Event()
    store.on("get", skip=1, reached=reached, wait=go)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(download, store, tmp_path / "x")
        await reached.wait()
        await replace(store, other)
        go.set()
    assert (tmp_path / "x").read_bytes() == other
    assert os.listdir(tmp_path) == ["x"]


async def test_an_object_that_is_replaced_all_the_time_is_an_error(tmp_path: Path) -> None:
    store = faulty()
    store.on("get", skip=1, times=-1, change=lambda found: found._replace(head=found.head._replace(etag="0")))
    store.on("get", times=0)
    with pytest.raises(PreconditionFailedError):
        await download(store, tmp_path / "x")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("size", [10, 3 * RANGE])
@pytest.mark.parametrize("before", [b"old", None])
async def test_a_file_that_was_changed_meanwhile_is_kept(
    tmp_path: Path, size: int, before: bytes | None
) -> None:
    store, path = faulty(bytes(size)), tmp_path / "x"
    if before is not None:
        path.write_bytes(before)
    place = await anyio.to_thread.run_sync(destination_of, str(path), "k")
    path.write_bytes(b"work of somebody")
    with pytest.raises(DestinationError, match="was not replaced: "):
        await download_object(store, "k", place, FileOptions(memory=MEMORY))
    assert path.read_bytes() == b"work of somebody"
    assert os.listdir(tmp_path) == ["x"]


async def test_a_cancelled_download_leaves_the_old_file(tmp_path: Path) -> None:
    store, path = faulty(), tmp_path / "x"
    path.write_bytes(b"old")
    reached = anyio.Event()
    store.on("get", skip=2, times=-1, wait=anyio.Event(), reached=reached)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(download, store, path)
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert path.read_bytes() == b"old"
    await download(faulty(), path)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (BODY, ["x"])


@pytest.mark.parametrize(
    ("path", "name", "reason"),
    [
        ("", "..", "needs another name"),
        ("", "a\0b", "needs another name"),
        ("a\0b", "k", "no file can have the path"),
        ("folder", "folder", "is a directory"),
    ],
)
def test_impossible_places_say_why(tmp_path: Path, path: str, name: str, reason: str) -> None:
    (tmp_path / "folder" / "folder").mkdir(parents=True)
    with pytest.raises(UsageError, match=reason):
        destination_of(f"{tmp_path}/{path}", name)
