"""The public class of the index: refused arguments, cursors, and that queries send no requests to S3."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.errors import UsageError
from aios3sync.index.cursors import read_cursor, write_cursor
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.object_index import ObjectIndex
from aios3sync.index.rows import ObjectRow, Totals
from aios3sync.store.protocol import ObjectStore
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore("b"))


@pytest.fixture
async def index(backend: IndexBackend, store: FaultyStore) -> ObjectIndex:
    async def opened(bucket: str) -> ObjectStore:
        return store

    rows = [ObjectRow(f"d{n % 3}/{n:03}.jpg", n) for n in range(60)]
    await backend.load("b", rows, 1.0)
    return ObjectIndex(backend, opened)


async def test_pages_are_continued_with_cursors(index: ObjectIndex) -> None:
    keys: list[str] = []
    page = await index.page("d1/", order="size", desc=True, limit=7)
    while True:
        keys += [row.key for row in page]
        assert page.total == Totals(20, sum(range(1, 60, 3)))
        if page.next is None:
            break
        page = await index.page("d1/", order="size", desc=True, limit=7, after=page.next)
    assert keys == [f"d1/{n:03}.jpg" for n in range(58, 0, -3)]


@pytest.mark.parametrize(
    "other",
    [{"order": "key"}, {"desc": False}, {"prefix": "d2/"}, {"prefix": "", "folder": "d1/"}, {"bucket": "c"}],
)
async def test_a_cursor_of_another_query_is_refused(index: ObjectIndex, other: dict[str, Any]) -> None:
    question: dict[str, Any] = {"prefix": "d1/", "order": "size", "desc": True, "limit": 5}
    page = await index.page(**question)
    with pytest.raises(UsageError, match="another query"):
        await index.page(**{**question, **other}, after=page.next)
    assert (await index.page(**{**question, "limit": 9}, after=page.next)).rows, "the length may change"


FORGED: list[Any] = [
    *(0, [], [1], [1, "x", ["a", 0], [0, 0, True]], [9, None, None, None], {"a": 1}),
    *("", None, [1, 2, 3, 4], [[[[]]]]),
]


@pytest.mark.parametrize(
    "text", ["", "é", "!", "AAAA", "a" * 5000, *(orjson.dumps(x).decode() for x in FORGED)]
)
async def test_texts_that_are_no_cursors_are_refused(index: ObjectIndex, text: str) -> None:
    for cursor in (text, urlsafe_b64encode(text.encode()).decode().rstrip("=")):
        with pytest.raises(UsageError):
            await index.page(after=cursor)


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.integers(0, 2**62))
def test_cursors_come_back_as_they_were(key: str, number: int) -> None:
    total = Totals(number, number, exact=False)
    query = ("page", "b", key, None, "key", False)
    assert read_cursor(query, write_cursor(query, (key, number), total), text=True) == ((key, number), total)


@pytest.mark.parametrize(
    "position", [[1, 0], ["a", -1], ["a", 1.5], ["a", True], ["a"], "a", [None, 0], [["x"], 1]]
)
def test_forged_positions_are_refused(position: Any) -> None:
    query = ("page",)
    with pytest.raises(UsageError):
        read_cursor(query, write_cursor(query, position, Totals(0, 0)), text=True)


@pytest.mark.parametrize(
    "question",
    [
        {"limit": 0},
        {"limit": 10_001},
        {"order": "etag; DROP TABLE objects"},
        {"prefix": "x", "folder": "y/"},
        {"prefix": "\ud800"},
        {"prefix": "x" * 1025},
    ],
)
async def test_invalid_queries_are_refused(index: ObjectIndex, question: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        await index.page(**question)


async def test_the_only_bucket_need_not_be_named(index: ObjectIndex, backend: IndexBackend) -> None:
    assert (await index.totals()).objects == 60
    await backend.load("c", [ObjectRow("k", 1)], 1.0)
    fresh = ObjectIndex(backend, index._opener)
    with pytest.raises(UsageError, match="b, c"):
        await fresh.totals()
    assert (await fresh.totals(bucket="c")).objects == 1


async def test_an_empty_index_says_so(backend: IndexBackend, index: ObjectIndex) -> None:
    await backend.apply("b", [])
    with pytest.raises(UsageError, match="backfill"):
        await ObjectIndex(_empty(backend), index._opener).page()


def _empty(backend: IndexBackend) -> Any:
    class Empty:
        place = "here"

        async def buckets(self) -> list[str]:
            return []

    return Empty()


async def test_neither_queries_nor_urls_send_requests_to_s3(index: ObjectIndex, store: FaultyStore) -> None:
    page = await index.page("d0/", limit=3)
    sample = await index.sample(4, folder="d2")
    assert [url.split("?")[0].rpartition("/")[2] for url in await index.urls([*sample, *page])] == [
        row.name for row in [*sample, *page]
    ]
    assert await index.urls([]) == []
    assert (await index.histogram("extension"))[0].label == "jpg"
    assert [folder.path for folder in await index.folders()] == ["d0/", "d1/", "d2/"]
    assert not store.calls


async def test_a_search_is_continued(index: ObjectIndex) -> None:
    found: list[str] = []
    after = None
    while True:
        page = await index.search("JPG", "d1/", limit=6, after=after)
        found += [row.key for row in page]
        assert page.total.objects == len(found)
        if (after := page.next) is None:
            break
        assert not page.total.exact
    assert found == [f"d1/{n:03}.jpg" for n in range(1, 60, 3)]
    with pytest.raises(UsageError):
        await index.search("")


@pytest.fixture
async def named(backend: IndexBackend, store: FaultyStore) -> ObjectIndex:
    """An index of a bucket with a valid name."""

    async def opened(bucket: str) -> ObjectStore:
        return store

    await backend.load("bucket", [ObjectRow(f"d{n % 3}/{n:03}.jpg", n) for n in range(60)], 1.0)
    return ObjectIndex(backend, opened)


ADDRESSES = ["s3://bucket", "s3://bucket/", "s3://bucket/d1/", "s3://bucket/d1/00"]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_an_address_is_a_bucket_and_a_literal_prefix(named: ObjectIndex, address: str) -> None:
    prefix = address.removeprefix("s3://bucket").removeprefix("/")
    assert await named.page(address) == await named.page(prefix)
    assert (await named.page(address)).rows
    assert await named.totals(address) == await named.totals(prefix)
    assert await named.totals(address, bucket="bucket") == await named.totals(prefix)
    assert await named.sample(5, address, seed=1) == await named.sample(5, prefix, seed=1)
    assert await named.search("1", address) == await named.search("1", prefix)
    assert await named.histogram("size", address) == await named.histogram("size", prefix)


async def test_an_address_is_accepted_as_a_folder(named: ObjectIndex) -> None:
    for folder in ("s3://bucket/d1", "s3://bucket/d1/"):
        assert await named.page(folder=folder) == await named.page(folder="d1/")
        assert await named.folders(folder) == await named.folders("d1")
    assert [folder.path for folder in await named.folders("s3://bucket")] == ["d0/", "d1/", "d2/"]
    assert await named.page(folder="s3://bucket") == await named.page(folder="")


async def test_addresses_are_accepted_as_keys(named: ObjectIndex) -> None:
    assert await named.get(["s3://bucket/d0/000.jpg", "s3://bucket/d1/001.jpg"]) == await named.get(
        ["d0/000.jpg", "d1/001.jpg"]
    )
    assert await named.get([]) == []


@pytest.mark.parametrize("address", ["s3://other/d1/", "s3://", "s3:///d1", "s3://b_"])
async def test_an_invalid_address_or_an_unknown_bucket_is_an_error(named: ObjectIndex, address: str) -> None:
    asked = [
        named.page(address),
        named.page(folder=address),
        named.sample(3, address),
        named.totals(address),
        named.folders(address),
        named.search("x", address),
        named.histogram("size", address),
        named.get([address]),
    ]
    for question in asked:
        with pytest.raises(UsageError):
            await question


async def test_an_address_in_another_bucket_is_refused(named: ObjectIndex) -> None:
    with pytest.raises(UsageError, match="not in the bucket"):
        await named.page("s3://bucket/d1/", bucket="other")


@pytest.mark.parametrize("rows", ["s3://bucket/d1/", ["d0/000.jpg"]])
async def test_urls_are_of_rows(named: ObjectIndex, rows: Any) -> None:
    with pytest.raises(UsageError, match="rows"):
        await named.urls(rows)


async def test_rows_that_a_sync_wrote_were_changed_when_they_were_uploaded(
    named: ObjectIndex, backend: IndexBackend
) -> None:
    await backend.load("bucket", [ObjectRow("new", 1, "e", uploaded_at=1.7e9)], 2e9)
    wanted = ("new", 1.7e9, 1.7e9)
    (found,) = await named.get(["new"])
    assert (found.key, found.uploaded_at, found.last_modified) == wanted
    for rows in (await named.page("new"), await named.sample(1, "new"), await named.search("new")):
        (row,) = rows
        assert (row.key, row.uploaded_at, row.last_modified) == wanted
    assert (await backend.scan("bucket", "new", "", 1))[0].last_modified == 0, (
        "what the endpoint says is not known"
    )
