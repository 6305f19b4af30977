"""The contract of multipart uploads."""
# ruff: noqa: S101, S324, D102 - tests: assertions are their point, names their docstrings

from __future__ import annotations

import time
from hashlib import md5
from typing import Final

import pytest

from aios3sync.core.etag import multipart_etag
from aios3sync.core.parts import MIN_PART_SIZE
from aios3sync.errors import (
    IntegrityError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    UnavailableError,
)
from aios3sync.store.protocol import CopySource, ListedPart, ObjectStore, PartHead, PutOptions
from aios3sync.testing.contract.base import PLAIN, Deviations, put

__all__ = ("MultipartContract",)

_FIRST: Final = b"1" * MIN_PART_SIZE
_LAST: Final = b"last"


async def put_part(
    store: ObjectStore, key: str, upload: str, number: int, body: bytes, options: PutOptions = PLAIN
) -> ListedPart:
    """Upload a part with the right digest."""
    digest = md5(body, usedforsecurity=False).digest()
    result = await store.put_part(key, upload, number, body, options, md5=digest)
    return ListedPart(number, result.etag, len(body), result.checksum)


class MultipartContract(Deviations):
    """Multipart uploads."""

    async def test_parts_become_one_object(self, store: ObjectStore) -> None:
        options = PutOptions(content_type="text/plain", metadata={"mtime": "1.5"})
        upload = await store.create_multipart("key", options)
        last = await put_part(store, "key", upload, 2, _LAST, options)
        first = await put_part(store, "key", upload, 1, _FIRST, options)
        with pytest.raises(ObjectNotFoundError):
            await store.head("key")
        result = await store.complete_multipart("key", upload, [first, last], options)
        etag = multipart_etag([md5(_FIRST).digest(), md5(_LAST).digest()])
        assert result.etag in (etag, "")
        body, head = await store.get("key")
        assert body == _FIRST + _LAST
        assert (head.etag, head.content_type) == (etag, "text/plain")
        assert dict(head.metadata) == {"mtime": "1.5"}
        assert await store.list_multiparts("") == []

    async def test_a_part_needs_no_digest(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        result = await store.put_part("key", upload, 1, _LAST, PLAIN, md5=b"")
        done = await store.complete_multipart(
            "key", upload, [ListedPart(1, result.etag, len(_LAST), "")], PLAIN
        )
        assert done.etag in (multipart_etag([md5(_LAST).digest()]), "")

    async def test_one_part_is_enough(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("one", PLAIN)
        part = await put_part(store, "one", upload, 1, _LAST)
        await store.complete_multipart("one", upload, [part], PLAIN)
        assert (await store.head("one")).etag == multipart_etag([md5(_LAST).digest()])

    async def test_stored_parts_are_listed(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        assert await store.list_parts("key", upload) == []
        third = await put_part(store, "key", upload, 3, b"three")
        first = await put_part(store, "key", upload, 1, b"one")
        assert await store.list_parts("key", upload) == [first, third]
        await store.abort_multipart("key", upload)

    async def test_a_part_replaces_an_earlier_one(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        await put_part(store, "key", upload, 1, b"old and longer")
        part = await put_part(store, "key", upload, 1, b"new")
        assert await store.list_parts("key", upload) == ([part] if self.forgets_replaced_parts else [])
        await store.complete_multipart("key", upload, [part], PLAIN)
        assert (await store.get("key")).body == b"new"

    async def test_unfinished_uploads_are_listed_below_their_prefix(self, store: ObjectStore) -> None:
        keys = sorted(["p/a b+c", "p/é%", "p/plain"])
        uploads = {key: await store.create_multipart(key, PLAIN) for key in [*keys, "q/other"]}
        listed = await store.list_multiparts("p/")
        found = sorted((entry.key, entry.upload_id) for entry in listed)
        assert found == [(key, uploads[key]) for key in keys]
        for entry in listed:
            assert (abs(entry.initiated - time.time()) < 60) == self.reports_initiated
        for key, upload in uploads.items():
            await store.abort_multipart(key, upload)
        assert await store.list_multiparts("") == []

    async def test_an_aborted_upload_is_gone(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        part = await put_part(store, "key", upload, 1, _LAST)
        await store.abort_multipart("key", upload)
        await store.abort_multipart("key", upload)
        gone = ObjectNotFoundError if self.forgets_aborted_uploads else UnavailableError
        with pytest.raises(gone):
            await store.complete_multipart("key", upload, [part], PLAIN)
        with pytest.raises(ObjectNotFoundError):
            await store.list_parts("key", upload)
        with pytest.raises(ObjectNotFoundError):
            await store.head("key")

    async def test_a_part_that_does_not_fit_its_md5_is_an_integrity_error(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        with pytest.raises(IntegrityError):
            await store.put_part("key", upload, 1, b"body", PLAIN, md5=md5(b"other").digest())
        await store.abort_multipart("key", upload)

    async def test_a_part_of_another_content_is_refused(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        part = await put_part(store, "key", upload, 1, _LAST)
        with pytest.raises(StoreError) as caught:
            await store.complete_multipart("key", upload, [part._replace(etag="0" * 32)], PLAIN)
        assert caught.value.code == "InvalidPart"
        await store.abort_multipart("key", upload)

    async def test_small_parts_are_refused(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        parts = [await put_part(store, "key", upload, number, _LAST) for number in (1, 2)]
        if self.refuses_small_parts:
            with pytest.raises(StoreError) as caught:
                await store.complete_multipart("key", upload, parts, PLAIN)
            assert caught.value.code == "EntityTooSmall"
            await store.abort_multipart("key", upload)
        else:
            await store.complete_multipart("key", upload, parts, PLAIN)

    async def test_complete_only_what_is_new(self, store: ObjectStore) -> None:
        await put(store, "key", b"there")
        upload = await store.create_multipart("key", PLAIN)
        part = await put_part(store, "key", upload, 1, _LAST)
        create_only = PutOptions(if_none_match=True)
        if self.conditional_multipart:
            with pytest.raises(PreconditionFailedError):
                await store.complete_multipart("key", upload, [part], create_only)
            await store.abort_multipart("key", upload)
        else:
            await store.complete_multipart("key", upload, [part], create_only)
        expected = b"there" if self.conditional_multipart else _LAST
        assert (await store.get("key")).body == expected

    async def test_parts_are_copied_from_another_bucket(self, store: ObjectStore, other: ObjectStore) -> None:
        upload = await other.create_multipart("a b+é", PLAIN)
        sent = [
            await put_part(other, "a b+é", upload, number, body)
            for number, body in enumerate((_FIRST, _LAST), 1)
        ]
        await other.complete_multipart("a b+é", upload, sent, PLAIN)
        etag = (await other.head("a b+é")).etag
        upload = await store.create_multipart("key", PLAIN)
        source = CopySource("a b+é", other.bucket, etag)
        parts = []
        for number, start, size in ((1, 0, len(_FIRST)), (2, len(_FIRST), len(_LAST))):
            span = source._replace(start=start, length=size)
            result = await store.copy_part(span, "key", upload, number, PLAIN)
            parts.append(ListedPart(number, result.etag, size))
        with pytest.raises(ObjectNotFoundError):
            await store.copy_part(source._replace(key="missing", length=4), "key", upload, 3, PLAIN)
        if self.conditional_copy_part:
            with pytest.raises(PreconditionFailedError):
                await store.copy_part(source._replace(etag="0" * 32, length=4), "key", upload, 3, PLAIN)
        await store.complete_multipart("key", upload, parts, PLAIN)
        assert ((await store.head("key")).etag == etag) == self.copied_parts_are_md5
        assert (await store.get("key")).body == _FIRST + _LAST

    async def test_parts_have_sizes(self, store: ObjectStore) -> None:
        upload = await store.create_multipart("key", PLAIN)
        parts = [
            await put_part(store, "key", upload, 1, _FIRST),
            await put_part(store, "key", upload, 2, _LAST),
        ]
        await store.complete_multipart("key", upload, parts, PLAIN)
        whole = len(_FIRST + _LAST)
        known = (
            [PartHead(len(_FIRST), 2), PartHead(len(_LAST), 2)]
            if self.knows_parts
            else [PartHead(whole, 0)] * 2
        )
        assert [await store.head_part("key", number) for number in (1, 2)] == known
        await put(store, "plain", b"body")
        assert (await store.head_part("plain", 1)).size == 4
        with pytest.raises(ObjectNotFoundError):
            await store.head_part("missing", 1)

    async def test_parts_may_carry_checksums(self, store: ObjectStore) -> None:
        options = PutOptions(checksum="sha256")
        upload = await store.create_multipart("key", options)
        part = await put_part(store, "key", upload, 1, _LAST, options)
        await store.complete_multipart("key", upload, [part], options)
        assert (await store.get("key")).body == _LAST
