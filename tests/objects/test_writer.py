"""An object from a stream: whole or not at all, in bounded memory, whatever its length."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from hashlib import md5

import anyio
import pytest

from aios3sync.errors import IntegrityError, SourceError, UnavailableError
from aios3sync.objects.writer import write_object
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

PART = 1000


async def chunks(body: bytes, size: int = 300) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.fixture
def inner() -> MemoryStore:
    return MemoryStore(min_part_size=1)


@pytest.fixture
def store(inner: MemoryStore) -> FaultyStore:
    return FaultyStore(inner)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 20 * PART, 20 * PART + 7])
@pytest.mark.parametrize("chunk", [7, PART, 5 * PART])
async def test_every_length_arrives(size: int, chunk: int, store: FaultyStore, inner: MemoryStore) -> None:
    body, memory = os.urandom(size), ByteSemaphore(3 * PART)
    sent: list[int] = []
    written = await write_object(
        store,
        "k",
        chunks(body, chunk),
        PutOptions(content_type="text/x"),
        memory,
        part_size=lambda _: PART,
        on_sent=sent.append,
    )
    stored = inner.objects["k"]
    assert (stored.body, stored.options.content_type) == (body, "text/x")
    assert (written.etag, written.size, sum(sent)) == (stored.etag, size, size)
    assert store.calls["put_part"] == (0 if size < PART else -(-size // PART))
    assert memory.in_use == 0


async def test_parts_wait_for_memory(store: FaultyStore, inner: MemoryStore) -> None:
    """With memory for three parts, the stream is read no further than three parts ahead."""
    memory = ByteSemaphore(3 * PART)
    go = anyio.Event()
    store.on("put_part", times=-1, wait=go)
    read = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal read
        async for chunk in chunks(bytes(20 * PART), PART):
            read += len(chunk)
            yield chunk

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: write_object(store, "k", counted(), PutOptions(), memory, part_size=lambda _: PART)
        )
        await anyio.wait_all_tasks_blocked()
        assert read == 3 * PART
        go.set()
    assert inner.objects["k"].body == bytes(20 * PART)


async def broken(body: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunks(body):
        yield chunk
    raise SourceError("it broke")


@pytest.mark.parametrize("fault", ["stream", "create_multipart", "put_part", "complete_multipart"])
async def test_a_failure_leaves_no_object_and_no_parts(
    fault: str, store: FaultyStore, inner: MemoryStore
) -> None:
    memory = ByteSemaphore(4 * PART)
    body = os.urandom(9 * PART)
    source = broken(body) if fault == "stream" else chunks(body)
    if fault != "stream":
        store.on(fault, skip=0 if fault != "put_part" else 4, times=-1, error=unavailable())
    with pytest.raises(SourceError if fault == "stream" else UnavailableError):
        await write_object(store, "k", source, PutOptions(), memory, part_size=lambda _: PART)
    assert inner.objects == {}
    assert await inner.list_multiparts("") == []
    assert memory.in_use == 0


async def test_a_cancelled_write_leaves_no_parts(store: FaultyStore, inner: MemoryStore) -> None:
    memory = ByteSemaphore(4 * PART)
    reached = anyio.Event()
    store.on("put_part", times=-1, skip=2, wait=anyio.Event(), reached=reached)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: write_object(
                store, "k", chunks(bytes(9 * PART)), PutOptions(), memory, part_size=lambda _: PART
            )
        )
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert await inner.list_multiparts("") == []
    assert memory.in_use == 0


async def test_an_object_that_is_not_what_was_sent_is_an_error(
    store: FaultyStore, inner: MemoryStore
) -> None:
    store.on("head", change=lambda head: head._replace(size=1))
    with pytest.raises(IntegrityError, match="it has 1 bytes of 2000"):
        await write_object(
            store, "k", chunks(bytes(2 * PART)), PutOptions(), ByteSemaphore(PART), part_size=lambda _: PART
        )
    store.etag("complete_multipart", f"{'0' * 32}-2")
    with pytest.raises(IntegrityError, match="ETag is that of other parts"):
        await write_object(
            store, "k", chunks(bytes(2 * PART)), PutOptions(), ByteSemaphore(PART), part_size=lambda _: PART
        )


async def test_an_etag_that_is_left_empty_is_asked_for(store: FaultyStore, inner: MemoryStore) -> None:
    store.etag("complete_multipart", "")
    written = await write_object(
        store, "k", chunks(bytes(2 * PART)), PutOptions(), ByteSemaphore(PART), part_size=lambda _: PART
    )
    one = md5(bytes(PART), usedforsecurity=False).digest()
    assert written.etag == f"{md5(one + one, usedforsecurity=False).hexdigest()}-2"
