"""An object as a stream: whole, of one version, verified at its end, some ranges ahead and no more."""

from __future__ import annotations

import gzip
import os
from hashlib import md5

import anyio
import pytest

from aios3sync.core.etag import multipart_etag
from aios3sync.core.metadata import META_MD5, META_ORIGINAL_MD5, META_ORIGINAL_SIZE, rclone_md5
from aios3sync.errors import IntegrityError, ObjectNotFoundError, PreconditionFailedError, UnavailableError
from aios3sync.objects.reader import open_object, range_size_for
from aios3sync.store.protocol import DeleteItem, ListedPart, PutOptions
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

MEMORY = 1024 * 1024
RANGE = range_size_for(MEMORY)
BODY = os.urandom(5 * RANGE + 17)


def digest(body: bytes) -> bytes:
    return md5(body, usedforsecurity=False).digest()


def faulty(body: bytes = BODY) -> FaultyStore:
    return FaultyStore(MemoryStore(objects={"k": body}))


@pytest.mark.parametrize("size", [0, 1, RANGE - 1, RANGE, RANGE + 1, 5 * RANGE + 17, 40 * RANGE])
async def test_all_bytes_come_in_order_and_are_verified(size: int) -> None:
    body = os.urandom(size)
    store = faulty(body)
    async with open_object(store, "k", memory=MEMORY) as reader:
        assert b"".join([chunk async for chunk in reader]) == body
    assert (reader.verified, reader.head.size) == ("md5", size)
    assert store.calls == {"get": max(1, -(-size // RANGE))}


@pytest.mark.parametrize("algorithm", ["sha256", "crc32"])
async def test_where_the_etag_proves_nothing_the_checksum_does(algorithm: str) -> None:
    memory = MemoryStore(default_encryption="aws:kms")
    store = FaultyStore(memory)
    await memory.put("k", BODY, PutOptions(checksum=algorithm), md5=digest(BODY))
    async with open_object(store, "k", memory=MEMORY) as reader:
        assert await reader.read() == BODY
    assert (reader.verified, store.calls["head"]) == ("checksum", 1)
    store.on("get", skip=2, change=lambda found: found._replace(body=bytes(len(found.body))))
    async with open_object(store, "k", memory=MEMORY) as reader:
        with pytest.raises(IntegrityError, match=f"their {algorithm.upper()} is not that of the object"):
            await reader.read()


async def test_a_compressed_object_that_stays_so_is_proved_by_its_checksum() -> None:
    """What its metadata says of the original proves nothing of it."""
    memory = MemoryStore(default_encryption="aws:kms")
    store = FaultyStore(memory)
    original = {META_ORIGINAL_MD5: "0" * 32, META_ORIGINAL_SIZE: "5"}
    asked = PutOptions(checksum="sha256", content_encoding="gzip", metadata=original)
    await memory.put("k", BODY, asked, md5=digest(BODY))
    async with open_object(store, "k", memory=MEMORY, decode=False) as reader:
        assert await reader.read() == BODY
    assert reader.verified == "checksum"


async def test_a_missing_object_is_an_error_at_once() -> None:
    with pytest.raises(ObjectNotFoundError):
        async with open_object(faulty(), "other"):
            pytest.fail("it was opened")


@pytest.mark.parametrize("ignores_if_match", [False, True])
async def test_an_object_that_is_replaced_meanwhile_is_an_error_and_no_mixture(
    *, ignores_if_match: bool
) -> None:
    store = faulty()
    if ignores_if_match:
        store.on(
            "get",
            skip=1,
            times=-1,
            change=lambda found: found._replace(head=found.head._replace(etag="0" * 32)),
        )
    async with open_object(store, "k", memory=MEMORY) as reader:
        if not ignores_if_match:
            await store.put("k", BODY[::-1], PutOptions(), md5=digest(BODY[::-1]))
        with pytest.raises(PreconditionFailedError, match="replaced or deleted while it was read"):
            await reader.read()


async def test_an_object_that_is_deleted_meanwhile_is_the_same_error() -> None:
    store = faulty()
    async with open_object(store, "k", memory=MEMORY) as reader:
        await store.delete_one(DeleteItem("k"))
        with pytest.raises(PreconditionFailedError, match="deleted while it was read"):
            await reader.read()


@pytest.mark.parametrize("change", ["other", "fewer"])
async def test_other_bytes_and_fewer_bytes_are_errors(change: str) -> None:
    store = faulty()
    cut = bytes(RANGE) if change == "other" else bytes(RANGE - 1)
    store.on("get", skip=2, change=lambda found: found._replace(body=cut))
    async with open_object(store, "k", memory=MEMORY) as reader:
        with pytest.raises(IntegrityError, match="not those of the object"):
            await reader.read()


async def test_the_error_of_a_range_comes_in_its_place() -> None:
    store = faulty()
    store.on("get", skip=3, error=unavailable())
    async with open_object(store, "k", memory=MEMORY) as reader:
        chunks = [await anext(aiter(reader)) for _ in range(3)]
        assert b"".join(chunks) == BODY[: 3 * RANGE]
        with pytest.raises(UnavailableError):
            await anext(aiter(reader))


async def test_only_some_ranges_are_read_ahead() -> None:
    store = faulty(bytes(100 * RANGE))
    async with open_object(store, "k", memory=MEMORY) as reader:
        await anext(aiter(reader))
        await anyio.wait_all_tasks_blocked()
        assert store.calls["get"] <= 8


async def test_requests_under_way_end_with_the_reader() -> None:
    store = faulty()
    hangs = anyio.Event()
    store.on("get", skip=1, times=-1, wait=hangs)
    with anyio.fail_after(30):
        async with open_object(store, "k", memory=MEMORY) as reader:
            assert await anext(aiter(reader)) == BODY[:RANGE]
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(reader))


async def test_a_cancelled_reader_leaves_nothing_behind() -> None:
    store = faulty()
    reached = anyio.Event()
    store.on("get", skip=1, times=-1, wait=anyio.Event(), reached=reached)

    async def read() -> None:
        async with open_object(store, "k", memory=MEMORY) as reader:
            await reader.read()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await reached.wait()
            tasks.cancel_scope.cancel()


async def test_the_error_of_the_caller_comes_through_as_it_is() -> None:
    group = ExceptionGroup("of the caller", [ValueError("one"), ValueError("two")])
    with pytest.raises(ExceptionGroup) as raised:
        async with open_object(faulty(), "k", memory=MEMORY):
            raise group
    assert raised.value is group


async def multipart(body: bytes, part_size: int, options: PutOptions | None = None) -> MemoryStore:
    store = MemoryStore(min_part_size=1)
    options = options or PutOptions()
    upload = await store.create_multipart("k", options)
    parts = []
    for number, start in enumerate(range(0, len(body), part_size), start=1):
        part = body[start : start + part_size]
        result = await store.put_part("k", upload, number, part, options, md5=digest(part))
        parts.append(ListedPart(number, result.etag, len(part)))
    await store.complete_multipart("k", upload, parts, options)
    return store


async def test_multipart_objects_are_verified_by_the_layout_or_the_metadata() -> None:
    body = os.urandom(11 * 1024 * 1024)
    usual = await multipart(body, 8 * 1024 * 1024)
    assert usual.objects["k"].etag == multipart_etag([digest(body[: 8 << 20]), digest(body[8 << 20 :])])
    odd = await multipart(body, 6_000_001)
    named = await multipart(body, 6_000_001, PutOptions(metadata={META_MD5: rclone_md5(digest(body).hex())}))
    for store, proved in ((usual, "parts"), (odd, ""), (named, "md5")):
        async with open_object(store, "k") as reader:
            assert await reader.read() == body
        assert reader.verified == proved


async def test_metadata_that_names_other_bytes_is_an_error() -> None:
    wrong = PutOptions(metadata={META_MD5: rclone_md5("0" * 32)})
    store = await multipart(BODY, 6_000_001, wrong)
    async with open_object(store, "k") as reader:
        with pytest.raises(IntegrityError, match="MD5 is not that of its metadata"):
            await reader.read()


async def gzipped(original: bytes, *, claim: bytes | None = None) -> MemoryStore:
    body = gzip.compress(original)
    metadata = {META_ORIGINAL_MD5: digest(original if claim is None else claim).hex()}
    options = PutOptions(
        content_encoding="gzip", metadata=metadata | {META_ORIGINAL_SIZE: str(len(original))}
    )
    store = MemoryStore()
    await store.put("k", body, options, md5=digest(body))
    return store


async def test_what_a_sync_compressed_comes_as_the_original() -> None:
    original = bytes(30 * 1024 * 1024) + b"end"
    store = await gzipped(original)
    async with open_object(store, "k", memory=MEMORY) as reader:
        pieces = [piece async for piece in reader]
    assert b"".join(pieces) == original
    assert max(map(len, pieces)) <= 1024 * 1024
    async with open_object(store, "k", decode=False) as reader:
        assert await reader.read() == store.objects["k"].body


async def test_an_original_with_another_digest_is_an_error() -> None:
    async with open_object(await gzipped(b"this", claim=b"that"), "k") as reader:
        with pytest.raises(IntegrityError, match="another MD5 than the original"):
            await reader.read()
