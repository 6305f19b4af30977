"""One object to another key: on the server, in parts where it is large, through memory where it must be."""

from __future__ import annotations

import os
from hashlib import md5

import pytest

from aios3sync.core.etag import multipart_etag
from aios3sync.errors import AccessDeniedError, BucketNotFoundError, PreconditionFailedError, UsageError
from aios3sync.objects import copying
from aios3sync.objects.copying import copy_object
from aios3sync.store.protocol import ListedPart, PutOptions
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

MIB = 1024 * 1024
BODY = os.urandom(11 * MIB)
OPTIONS = PutOptions(content_type="text/x", metadata={"x": "1"}, cache_control="no-store", tags={"t": "2"})


def digest(body: bytes) -> bytes:
    return md5(body, usedforsecurity=False).digest()


async def filled(body: bytes = BODY, *, part_size: int = 5 * MIB) -> FaultyStore:
    store = MemoryStore("one")
    upload = await store.create_multipart("k", OPTIONS)
    parts = []
    for number, start in enumerate(range(0, len(body), part_size), start=1):
        part = body[start : start + part_size]
        result = await store.put_part("k", upload, number, part, OPTIONS, md5=digest(part))
        parts.append(ListedPart(number, result.etag, len(part)))
    await store.complete_multipart("k", upload, parts, OPTIONS)
    return FaultyStore(store)


async def test_within_a_bucket_one_request_copies() -> None:
    store = await filled()
    copied = await copy_object(store, "k", store, "new", ByteSemaphore(64 * MIB))
    assert (copied.size, copied.streamed, store.calls["get"]) == (len(BODY), False, 0)
    found = await store.get("new")
    assert (found.body, found.head.metadata, found.head.content_type) == (BODY, {"x": "1"}, "text/x")


async def test_what_the_server_cannot_reach_is_streamed_with_the_same_etag() -> None:
    source = await filled()
    inner = MemoryStore("two")
    target = FaultyStore(inner)
    target.on("copy", error=AccessDeniedError("no", code="AccessDenied", status=403))
    memory = ByteSemaphore(64 * MIB)
    copied = await copy_object(source, "k", target, "new", memory)
    stored = inner.objects["new"]
    parts = [digest(BODY[start : start + 5 * MIB]) for start in range(0, len(BODY), 5 * MIB)]
    assert (copied.streamed, copied.etag, stored.body) == (True, multipart_etag(parts), BODY)
    kept = stored.options
    assert (kept.content_type, kept.metadata, kept.cache_control) == ("text/x", {"x": "1"}, "no-store")
    assert kept.tags == {"t": "2"}
    assert memory.in_use == 0


async def test_an_object_of_one_request_is_streamed_as_one() -> None:
    source, inner = FaultyStore(MemoryStore("one", {"k": BODY})), MemoryStore("two")
    target = FaultyStore(inner)
    target.on("copy", error=AccessDeniedError("no", code="AccessDenied", status=403))
    copied = await copy_object(source, "k", target, "k", ByteSemaphore(64 * MIB))
    assert copied.etag == digest(BODY).hex()
    assert target.calls == {"copy": 1, "put": 1}


async def test_a_large_object_is_copied_in_parts_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MAX_COPY_SIZE", 10 * MIB)
    store = await filled()
    copied = await copy_object(store, "k", store, "new", ByteSemaphore(64 * MIB))
    assert (copied.streamed, store.calls["get"], store.calls["copy"]) == (False, 0, 0)
    found, source = await store.get("new"), await store.head("k")
    assert (found.body, found.head.etag, copied.etag) == (BODY, source.etag, source.etag)
    assert (found.head.metadata, found.head.cache_control) == ({"x": "1"}, "no-store")
    assert await store.tags("new") == {"t": "2"}


async def test_a_copy_in_parts_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MAX_COPY_SIZE", 10 * MIB)
    store = await filled()
    store.on("complete_multipart", error=unavailable())
    with pytest.raises(type(unavailable())):
        await copy_object(store, "k", store, "new", ByteSemaphore(64 * MIB))
    assert await store.list_multiparts("") == []


async def test_errors_say_what_is_wrong() -> None:
    store = await filled()
    with pytest.raises(UsageError, match="are the same object"):
        await copy_object(store, "k", store, "k", ByteSemaphore(MIB))
    inner = MemoryStore("two")
    inner.exists = False
    with pytest.raises(BucketNotFoundError):
        await copy_object(store, "k", inner, "k", ByteSemaphore(64 * MIB))
    store.on("copy", error=PreconditionFailedError("changed", code="PreconditionFailed", status=412))
    with pytest.raises(PreconditionFailedError):
        await copy_object(store, "k", store, "new", ByteSemaphore(MIB))
