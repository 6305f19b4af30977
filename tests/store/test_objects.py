"""Ranges, empty ones included, and content encodings: the same with any transport."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

from functools import partial
from hashlib import md5

import pytest

from aios3sync.errors import StoreError
from aios3sync.store.protocol import DeleteError, DeleteItem, GetResult, PutOptions
from aios3sync.store.s3.deletes import delete_keys
from aios3sync.store.s3.endpoint import capabilities_at, is_aws_url
from aios3sync.store.s3.objects import EMPTY_GET, content_encoding, cut_range, get_range, range_header
from aios3sync.testing.memory import MemoryStore

BODY = b"0123456789"


@pytest.fixture
async def store() -> MemoryStore:
    """A bucket with one object."""
    store = MemoryStore()
    await store.put("key", BODY, PutOptions(), md5=md5(BODY).digest())
    return store


async def unsatisfiable() -> GetResult:
    raise StoreError("no such range", code="InvalidRange", status=416)


@pytest.mark.parametrize(
    ("start", "length", "header"),
    [(0, None, ""), (3, None, "bytes=3-"), (0, 1, "bytes=0-0"), (3, 4, "bytes=3-6")],
)
def test_a_range_is_inclusive_in_http(start: int, length: int | None, header: str) -> None:
    assert range_header(start, length) == header


def test_a_whole_object_is_cut_to_the_range() -> None:
    assert cut_range(BODY, 3, 4) == b"3456"
    assert cut_range(BODY, 8, None) == b"89"
    assert cut_range(BODY, 0, None) is BODY


async def test_an_empty_range_is_no_get(store: MemoryStore) -> None:
    found = await get_range(partial(store.head, "key"), 5, 0, unsatisfiable, EMPTY_GET)
    assert (found.body, found.head.size) == (b"", len(BODY))


async def test_a_range_at_the_end_is_empty_and_one_before_it_is_refused(store: MemoryStore) -> None:
    assert (
        await get_range(partial(store.head, "key"), len(BODY), None, unsatisfiable, EMPTY_GET)
    ).body == b""
    with pytest.raises(StoreError):
        await get_range(partial(store.head, "key"), len(BODY) - 1, None, unsatisfiable, EMPTY_GET)


async def test_a_range_is_what_the_transport_gets(store: MemoryStore) -> None:
    found = await get_range(
        partial(store.head, "key"), 2, 3, partial(store.get, "key", start=2, length=3), EMPTY_GET
    )
    assert found.body == b"234"


@pytest.mark.parametrize(
    ("header", "encoding"),
    [("", ""), ("gzip", "gzip"), ("aws-chunked", ""), ("gzip,aws-chunked", "gzip"), ("a, b", "a,b")],
)
def test_aws_chunked_is_no_encoding_of_the_object(header: str, encoding: str) -> None:
    assert content_encoding(header) == encoding


async def test_keys_that_xml_cannot_hold_are_deleted_one_by_one(store: MemoryStore) -> None:
    batches = []

    async def delete_batch(items: object) -> list[DeleteError]:
        batches.append(items)
        return []

    await store.put("\x01", BODY, PutOptions(), md5=md5(BODY).digest())
    items = [DeleteItem("key"), DeleteItem("\x01")]
    assert await delete_keys(store, items, delete_batch) == []
    assert batches == [[DeleteItem("key")]]
    assert list(store.bodies()) == ["key"]


@pytest.mark.parametrize(
    ("url", "bucket", "sorts"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "bucket", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", "bucket", True),
        ("https://s3.eu-central-1.amazonaws.com", "bucket--euc1-az1--x-s3", False),
        ("https://s3-outposts.eu-central-1.amazonaws.com", "bucket", False),
        ("https://amazonaws.com.example.org", "bucket", False),
        ("http://localhost:9000", "bucket", False),
    ],
)
def test_aws_sorts_its_listings_where_the_bucket_is_no_special_one(
    url: str, bucket: str, *, sorts: bool
) -> None:
    known = capabilities_at(url, bucket)
    assert (known.sorted_listing, known.conditional_delete) == (sorts, sorts)
    assert is_aws_url(url) or not sorts
