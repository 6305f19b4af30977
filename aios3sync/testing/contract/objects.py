"""The contract of put, get, head, copy, presign and delete."""
# ruff: noqa: S101, S324, D102 - tests: assertions are their point, names their docstrings

from __future__ import annotations

import time
import urllib.request
from functools import partial
from hashlib import md5
from typing import Final

import pytest
from anyio import create_task_group, to_thread

from aios3sync.errors import (
    BucketNotFoundError,
    IntegrityError,
    NotModifiedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    UsageError,
)
from aios3sync.store.protocol import CopySource, DeleteItem, GetResult, ListPage, ObjectStore, PutOptions
from aios3sync.testing.contract.base import PLAIN, Deviations, put, put_all

__all__ = (
    "DeleteContract",
    "ObjectContract",
)


_FULL: Final = PutOptions(
    content_type="text/x-test; charset=utf-8",
    content_encoding="gzip",
    cache_control="max-age=60",
    content_disposition='attachment; filename="x"',
    content_language="de",
    expires="Wed, 21 Oct 2065 07:28:00 GMT",
    metadata={"mtime": "1.5", "md5chksum": "XrY7u+Ae7tCTyyK7j1rNww=="},
    tags={"team": "a b", "kind": "x=y+z@1"},
)


class ObjectContract(Deviations):
    """One object at a time."""

    async def test_what_is_put_can_be_got(self, store: ObjectStore) -> None:
        result = await put(store, "key", b"body")
        assert result.etag == md5(b"body").hexdigest()
        body, head = await store.get("key")
        assert body == b"body"
        assert (head.size, head.etag) == (4, result.etag)

    @pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1, 3 * 2**20])
    async def test_bodies_of_any_size_survive(self, store: ObjectStore, size: int) -> None:
        body = bytes(range(256)) * (size // 256 + 1)
        await put(store, "sized", body[:size])
        assert (await store.get("sized")).body == body[:size]
        assert (await store.head("sized")).size == size

    async def test_an_overwrite_replaces_all_of_it(self, store: ObjectStore) -> None:
        await put(store, "key", b"a long first body", _FULL)
        await put(store, "key", b"short")
        body, head = await store.get("key")
        assert body == b"short"
        assert dict(head.metadata) == {}

    async def test_a_body_that_does_not_fit_its_md5_is_an_integrity_error(self, store: ObjectStore) -> None:
        with pytest.raises(IntegrityError):
            await store.put("torn", b"body", PLAIN, md5=md5(b"other").digest())
        if self.refuses_wrong_md5:
            with pytest.raises(ObjectNotFoundError):
                await store.head("torn")
        else:
            assert (await store.head("torn")).size == 4

    async def test_options_come_back(self, store: ObjectStore) -> None:
        await put(store, "full", b"body", _FULL)
        head = await store.head("full")
        assert head.content_type == _FULL.content_type
        assert head.content_encoding == "gzip"
        assert head.cache_control == _FULL.cache_control
        assert head.content_disposition == _FULL.content_disposition
        assert head.content_language == _FULL.content_language
        assert head.expires == _FULL.expires
        assert dict(head.metadata) == dict(_FULL.metadata)
        assert (await store.get("full")).head == head

    async def test_metadata_names_come_back_in_lower_case(self, store: ObjectStore) -> None:
        await put(store, "key", b"", PutOptions(metadata={"MixedCase": "KeptCase"}))
        assert dict((await store.head("key")).metadata) == {"mixedcase": "KeptCase"}

    async def test_head_returns_whole_seconds(self, store: ObjectStore) -> None:
        await put(store, "key", b"body")
        modified = (await store.head("key")).last_modified
        assert modified == int(modified)
        assert abs(modified - time.time()) < 60

    async def test_encryption_is_returned(self, store: ObjectStore) -> None:
        result = await put(store, "key", b"body", PutOptions(sse="AES256"))
        assert result.encryption == ("AES256" if self.encrypts else "")

    @pytest.mark.parametrize("checksum", ["sha256", "sha1", "crc32"])
    async def test_a_checksum_may_go_along(self, store: ObjectStore, checksum: str) -> None:
        await put(store, "key", b"body", PutOptions(checksum=checksum))
        assert (await store.get("key")).body == b"body"

    async def test_missing_objects_are_not_found(self, store: ObjectStore) -> None:
        with pytest.raises(ObjectNotFoundError) as caught:
            await store.head("missing")
        assert (caught.value.key, caught.value.bucket) == ("missing", store.bucket)
        with pytest.raises(ObjectNotFoundError):
            await store.get("missing")

    async def test_a_missing_bucket_is_named(self, absent: ObjectStore) -> None:
        with pytest.raises(BucketNotFoundError) as caught:
            await put(absent, "key", b"body")
        assert absent.bucket in str(caught.value)
        with pytest.raises(BucketNotFoundError):
            await absent.list_page("")
        with pytest.raises(BucketNotFoundError):
            await absent.create_multipart("key", PLAIN)

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, None, b"0123456789"),
            (0, 4, b"0123"),
            (3, None, b"3456789"),
            (3, 4, b"3456"),
            (8, 100, b"89"),
            (9, 1, b"9"),
            (10, 5, b""),
            (99, None, b""),
            (2, 0, b""),
        ],
    )
    async def test_ranges(self, store: ObjectStore, start: int, length: int | None, expected: bytes) -> None:
        await put(store, "key", b"0123456789")
        answer: GetResult = await store.get("key", start=start, length=length)
        assert answer.body == expected
        assert answer.head.size == 10

    @pytest.mark.parametrize(
        ("start", "room", "expected"),
        [(0, 10, b"0123456789"), (3, 4, b"3456"), (8, 5, b"89"), (10, 5, b""), (2, 0, b"")],
    )
    async def test_ranges_into_a_buffer(
        self, store: ObjectStore, start: int, room: int, expected: bytes
    ) -> None:
        etag = (await put(store, "key", b"0123456789")).etag
        buffer = bytearray(room)
        size, head = await store.read_into("key", memoryview(buffer), start=start, if_match=etag)
        assert (size, head.size, head.etag) == (len(expected), 10, etag)
        assert buffer[:size] == expected
        with pytest.raises(PreconditionFailedError):
            await store.read_into("key", memoryview(bytearray(5)), start=0, if_match="0" * 32)
        with pytest.raises(ObjectNotFoundError):
            await store.read_into("missing", memoryview(bytearray(5)))

    async def test_a_range_of_an_empty_object_is_empty(self, store: ObjectStore) -> None:
        await put(store, "key", b"")
        assert (await store.get("key", start=0, length=5)).body == b""

    async def test_get_if_match(self, store: ObjectStore) -> None:
        etag = (await put(store, "key", b"body")).etag
        assert (await store.get("key", if_match=etag)).body == b"body"
        with pytest.raises(PreconditionFailedError):
            await store.get("key", if_match="0" * 32)

    async def test_get_if_none_match(self, store: ObjectStore) -> None:
        etag = (await put(store, "key", b"body")).etag
        for _ in range(2):  # a response without a body leaves the connection usable
            with pytest.raises(NotModifiedError):
                await store.get("key", if_none_match=etag)
        assert (await store.get("key", if_none_match="0" * 32)).body == b"body"
        with pytest.raises(ObjectNotFoundError):
            await store.get("missing", if_none_match=etag)

    async def test_create_only_leaves_what_is_there(self, store: ObjectStore) -> None:
        create_only = PutOptions(if_none_match=True)
        await put(store, "new", b"first", create_only)
        if self.conditional_put:
            with pytest.raises(PreconditionFailedError):
                await put(store, "new", b"second", create_only)
        else:
            await put(store, "new", b"second", create_only)
        expected = b"first" if self.conditional_put else b"second"
        assert (await store.get("new")).body == expected

    async def test_of_many_creators_one_wins(self, store: ObjectStore) -> None:
        won: list[int] = []

        async def create(number: int) -> None:
            try:
                await put(store, "race", b"%d" % number, PutOptions(if_none_match=True))
            except PreconditionFailedError:
                return
            won.append(number)

        async with create_task_group() as group:
            for number in range(8):
                group.start_soon(create, number)
        if not self.conditional_put:
            assert len(won) == 8
        elif self.atomic_conditions:
            assert len(won) == 1
        assert (await store.get("race")).body in {b"%d" % number for number in won}

    async def test_overwrite_only_what_is_known(self, store: ObjectStore) -> None:
        etag = (await put(store, "key", b"first")).etag
        await put(store, "key", b"second", PutOptions(if_match=etag))
        if self.conditional_put:
            with pytest.raises(PreconditionFailedError):
                await put(store, "key", b"third", PutOptions(if_match=etag))
            with pytest.raises((ObjectNotFoundError, PreconditionFailedError)):
                await put(store, "missing", b"third", PutOptions(if_match=etag))
        assert (await store.get("key")).body == b"second"

    async def test_a_copy_keeps_the_metadata(self, store: ObjectStore) -> None:
        await put(store, "source +%é", b"body", _FULL)
        result = await store.copy(CopySource("source +%é"), "target")
        assert result.etag == md5(b"body").hexdigest()
        body, head = await store.get("target")
        assert body == b"body"
        assert dict(head.metadata) == dict(_FULL.metadata)

    async def test_a_copy_with_options_replaces_them(self, store: ObjectStore) -> None:
        await put(store, "source", b"body", _FULL)
        await store.copy(
            CopySource("source"), "source", PutOptions(metadata={"a": "b"}, content_type="text/plain")
        )
        head = await store.head("source")
        assert dict(head.metadata) == {"a": "b"}
        assert head.content_type == "text/plain"

    async def test_a_copy_is_made_only_of_the_object_that_was_meant(self, store: ObjectStore) -> None:
        result = await put(store, "source", b"body", _FULL)
        if self.conditional_copy:
            with pytest.raises(PreconditionFailedError):
                await store.copy(
                    CopySource("source", etag="0" * 32), "source", PutOptions(metadata={"a": "b"})
                )
            assert dict((await store.head("source")).metadata) == dict(_FULL.metadata)
        await store.copy(CopySource("source", etag=result.etag), "source", PutOptions(metadata={"a": "b"}))
        assert dict((await store.head("source")).metadata) == {"a": "b"}

    async def test_a_copy_may_keep_the_metadata_and_be_stored_otherwise(self, store: ObjectStore) -> None:
        await put(store, "source", b"body", _FULL)
        options = PutOptions(metadata={"not": "sent"}, content_type="text/plain", tags={"new": "tag"})
        await store.copy(CopySource("source"), "target", options, keep_metadata=True)
        expected = await store.head("source")
        kept = ("metadata", "content_type", "content_encoding", "cache_control", "content_disposition")
        found = await store.head("target")
        assert [getattr(found, name) for name in kept] == [getattr(expected, name) for name in kept]
        assert dict(await store.tags("target")) == {"new": "tag"}

    async def test_copies_from_another_bucket(self, store: ObjectStore, other: ObjectStore) -> None:
        result = await put(other, "source +%é", b"body", _FULL)
        source = CopySource("source +%é", other.bucket, result.etag)
        copied = await store.copy(source, "copied")
        assert copied.etag == result.etag
        body, head = await store.get("copied")
        assert (body, dict(head.metadata)) == (b"body", dict(_FULL.metadata))
        assert dict(await store.tags("copied")) == dict(_FULL.tags)
        if self.conditional_copy:
            with pytest.raises(PreconditionFailedError):
                await store.copy(source._replace(etag="0" * 32), "copied")
        with pytest.raises(ObjectNotFoundError):
            await store.copy(CopySource("missing", other.bucket), "copied")
        assert await store.list_page("source") == ListPage([], [], None)

    async def test_tags_come_back(self, store: ObjectStore) -> None:
        await put(store, "tagged", b"body", _FULL)
        assert dict(await store.tags("tagged")) == dict(_FULL.tags)
        await put(store, "bare", b"body")
        assert dict(await store.tags("bare")) == {}
        with pytest.raises(ObjectNotFoundError):
            await store.tags("missing")

    async def test_the_acl_says_who_else_may_read(self, store: ObjectStore) -> None:
        for acl in ("", "public-read") if self.keeps_acls else ("",):
            await put(store, "key", b"body", PutOptions(acl=acl))
            assert await store.acl("key") == acl
        with pytest.raises(ObjectNotFoundError):
            await store.acl("missing")

    async def test_a_copy_of_nothing_is_not_found(self, store: ObjectStore) -> None:
        with pytest.raises(ObjectNotFoundError):
            await store.copy(CopySource("missing"), "target")

    async def test_presigned_urls(self, store: ObjectStore) -> None:
        await put(store, "a b/ü", b"body")
        url = await store.presign("a b/ü", expires=60)
        if self.serves_urls:
            assert await to_thread.run_sync(_fetch, url) == b"body"
        else:
            assert "a%20b" in url

    async def test_many_urls_in_the_order_of_their_keys(self, store: ObjectStore) -> None:
        keys = self.holdable("plain", "a b/ü+%41", "100% &?#=", "é/\U0001f600")
        await put_all(store, *keys)
        urls = await store.presign_many(keys, expires=60)
        assert len(urls) == len(keys)
        assert all("X-Amz-Expires=60" in url for url in urls)
        if self.serves_urls:
            assert [await to_thread.run_sync(_fetch, url) for url in urls] == [key.encode() for key in keys]
        assert await store.presign_many([]) == []

    @pytest.mark.parametrize("expires", [0, 0.5, -1, 7 * 86400 + 1, float("nan"), float("inf")])
    async def test_urls_are_valid_from_a_second_to_seven_days(
        self, store: ObjectStore, expires: float
    ) -> None:
        with pytest.raises(UsageError, match="expires"):
            await store.presign_many(["key"], expires=expires)
        for seconds in (1, 7 * 86400):
            assert f"X-Amz-Expires={seconds}" in await store.presign("key", expires=seconds)

    async def test_only_requests_for_objects_have_urls(self, store: ObjectStore) -> None:
        with pytest.raises(UsageError, match="PATCH"):
            await store.presign("key", method="PATCH")

    async def test_errors_carry_the_facts(self, absent: ObjectStore) -> None:
        with pytest.raises(StoreError) as caught:
            await put(absent, "the key", b"body")
        error = caught.value
        assert (error.operation, error.bucket, error.key) == ("PutObject", absent.bucket, "the key")
        assert (error.code, error.status) == ("NoSuchBucket", 404)
        assert "\n" not in str(error)


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a URL of the store
        body: bytes = answer.read()
        return body


class DeleteContract(Deviations):
    """Deletes of one key and of many keys with one request."""

    async def test_deleted_keys_are_gone_and_no_other(self, store: ObjectStore) -> None:
        await put_all(store, "a", "b", "c")
        assert await store.delete_many([DeleteItem("a"), DeleteItem("c")]) == []
        assert [entry.key for entry in (await store.list_page("")).entries] == ["b"]

    async def test_a_missing_key_counts_as_deleted(self, store: ObjectStore) -> None:
        assert await store.delete_many([DeleteItem("missing"), DeleteItem("missing\x01")]) == []

    async def test_a_thousand_keys_go_with_one_request(self, store: ObjectStore) -> None:
        keys = [f"many/{number:04}" for number in range(1000)]
        async with create_task_group() as group:
            for start in range(0, 1000, 50):
                group.start_soon(partial(put_all, store, *keys[start : start + 10]))
        assert len((await store.list_page("many/")).entries) == 200
        assert await store.delete_many([DeleteItem(key) for key in keys]) == []
        assert (await store.list_page("many/")).entries == []

    async def test_a_delete_with_the_right_etag_deletes(self, store: ObjectStore) -> None:
        etag = (await put(store, "key", b"body")).etag
        assert await store.delete_many([DeleteItem("key", etag)]) == []
        assert (await store.list_page("")).entries == []

    async def test_a_delete_with_a_wrong_etag_deletes_nothing(self, store: ObjectStore) -> None:
        await put(store, "key", b"body")
        errors = await store.delete_many([DeleteItem("key", "0" * 32)])
        left = [entry.key for entry in (await store.list_page("")).entries]
        if self.conditional_delete:
            (error,) = errors
            assert (error.key, error.code, error.retryable) == ("key", "PreconditionFailed", False)
            assert left == ["key"]
        else:
            assert (errors, left) == ([], [])

    async def test_one_key_is_deleted_alone_and_a_missing_one_is_no_error(self, store: ObjectStore) -> None:
        await put_all(store, "a", "b")
        await store.delete_one(DeleteItem("a"))
        await store.delete_one(DeleteItem("missing"))
        assert [entry.key for entry in (await store.list_page("")).entries] == ["b"]

    async def test_a_missing_bucket_is_an_error(self, absent: ObjectStore) -> None:
        with pytest.raises(BucketNotFoundError):
            await absent.delete_many([DeleteItem("key")])
