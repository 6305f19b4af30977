"""What MemoryStore, FaultyStore and make_tree can do beyond the contract of a store."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import os
from hashlib import md5
from typing import TYPE_CHECKING

import pytest
from anyio import Event, create_task_group, fail_after

from aios3sync.errors import BucketNotFoundError, StoreError, UnavailableError
from aios3sync.store.protocol import PutOptions, StoreCapabilities
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.trees import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from aios3sync.store.protocol import ObjectStore

PLAIN = PutOptions()


async def put(store: ObjectStore, key: str, body: bytes = b"body") -> str:
    return (await store.put(key, body, PLAIN, md5=md5(body).digest())).etag


async def test_pages_may_be_of_any_length() -> None:
    sizes = iter([1, 3, 2, 1000])
    store = MemoryStore(objects=dict.fromkeys("abcdefgh", b""), page_size=lambda _: next(sizes))
    lengths, token = [], None
    while True:
        page = await store.list_page("", token=token)
        lengths.append(len(page.entries))
        if (token := page.next_token) is None:
            break
    assert lengths == [1, 3, 2, 2]


async def test_listings_may_have_another_order() -> None:
    store = MemoryStore(
        objects=dict.fromkeys(["a!b", "a-b", "a/x", "b"], b""),
        order=lambda key: key.split("/"),
        capabilities=StoreCapabilities(),
    )
    keys, token = [], None
    while True:
        page = await store.list_page("", token=token, max_keys=1)
        keys += [entry.key for entry in page.entries]
        if (token := page.next_token) is None:
            break
    assert keys == ["a/x", "a!b", "a-b", "b"]
    assert not store.capabilities.sorted_listing


async def test_under_kms_an_etag_looks_like_an_md5_and_is_none() -> None:
    store = MemoryStore(default_encryption="aws:kms")
    result = await store.put("key", b"body", PLAIN, md5=md5(b"body").digest())
    assert result.encryption == "aws:kms"
    assert len(result.etag) == 32
    assert result.etag != md5(b"body").hexdigest()
    (entry,) = (await store.list_page("")).entries
    assert entry.etag == result.etag


async def test_an_object_under_a_customer_key_takes_the_key_to_read() -> None:
    key = bytes(32)
    store = MemoryStore()
    await store.put("key", b"body", PutOptions(sse_customer_key=key), md5=md5(b"body").digest())
    with pytest.raises(StoreError):
        await store.get("key")
    reader = MemoryStore(sse_customer_key=key)
    reader.objects = store.objects
    assert (await reader.head("key")).encryption == "SSE-C"


async def test_the_clock_is_the_test_s() -> None:
    store = MemoryStore(clock=lambda: 1000.9)
    await put(store, "key")
    assert (await store.head("key")).last_modified == 1000.0


async def test_a_bucket_may_vanish() -> None:
    store = MemoryStore(objects={"key": b""})
    store.exists = False
    with pytest.raises(BucketNotFoundError):
        await store.head("key")


async def test_faults_come_at_the_nth_request_of_a_key() -> None:
    store = FaultyStore(MemoryStore())
    store.on("put", key="x", skip=1, times=2, error=unavailable())
    outcomes = []
    for _ in range(4):
        await put(store, "y")
        try:
            await put(store, "x")
        except UnavailableError:
            outcomes.append("failed")
        else:
            outcomes.append("stored")
    assert outcomes == ["stored", "failed", "failed", "stored"]
    assert store.calls["put"] == 8
    assert store.keys[:2] == [("put", "y"), ("put", "x")]


async def test_a_late_fault_comes_after_the_effect() -> None:
    memory = MemoryStore()
    store = FaultyStore(memory)
    store.on("put", late=unavailable())
    with pytest.raises(UnavailableError):
        await put(store, "key")
    assert memory.bodies() == {"key": b"body"}


async def test_an_etag_may_be_wrong() -> None:
    store = FaultyStore(MemoryStore())
    store.etag("put", "wrong")
    assert await put(store, "key") == "wrong"
    assert await put(store, "key") == md5(b"body").hexdigest()


async def test_a_request_may_wait_for_an_event() -> None:
    store, reached, go = FaultyStore(MemoryStore()), Event(), Event()
    store.on("put", wait=go, reached=reached)
    with fail_after(240):
        async with create_task_group() as group:
            group.start_soon(put, store, "key")
            await reached.wait()
            with pytest.raises(StoreError):
                await store.head("key")
            go.set()
    assert (await store.head("key")).size == 4


async def test_a_request_may_take_its_time() -> None:
    store = FaultyStore(MemoryStore())
    store.on("put", delay=0.001)
    assert await put(store, "key")


def test_a_fault_of_no_verb_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="not a method of the store"):
        FaultyStore(MemoryStore()).on("PutObject")


def test_a_tree_is_made_of_files_folders_and_links(tmp_path: Path) -> None:
    tree = {"a.txt": b"bytes", "b/c/d": "text é", "empty": None, "link": "-> a.txt"}
    root = make_tree(tmp_path / "root", tree, mtime_ns=10**18)
    assert (root / "a.txt").read_bytes() == b"bytes"
    assert (root / "b/c/d").read_text(encoding="utf-8") == "text é"
    assert (root / "empty").is_dir()
    assert (root / "link").is_symlink()
    assert os.stat(root / "a.txt").st_mtime_ns == 10**18
