"""The public face: what it refuses, its cursors, and that it asks S3 for nothing but what it must."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.errors import UsageError
from aios3sync.index.cursors import read_cursor, write_cursor
from aios3sync.index.objects import ObjectIndex
from aios3sync.index.protocol import IndexBackend
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


async def test_pages_go_on_with_cursors(index: ObjectIndex) -> None:
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
async def test_a_cursor_of_another_question_is_refused(index: ObjectIndex, other: dict[str, Any]) -> None:
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
async def test_what_is_no_cursor_is_refused(index: ObjectIndex, text: str) -> None:
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
async def test_questions_that_cannot_be_are_refused(index: ObjectIndex, question: dict[str, Any]) -> None:
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


async def test_questions_ask_s3_nothing_and_urls_neither(index: ObjectIndex, store: FaultyStore) -> None:
    page = await index.page("d0/", limit=3)
    sample = await index.sample(4, folder="d2")
    assert [url.split("?")[0].rpartition("/")[2] for url in await index.urls([*sample, *page])] == [
        row.name for row in [*sample, *page]
    ]
    assert await index.urls([]) == []
    assert (await index.histogram("extension"))[0].label == "jpg"
    assert [folder.path for folder in await index.folders()] == ["d0/", "d1/", "d2/"]
    assert not store.calls


async def test_a_search_goes_on(index: ObjectIndex) -> None:
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
