"""An inventory in key order: the sort on disk, key ranges, and what is fetched for them."""

from __future__ import annotations

import io
import random
import tracemalloc
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from aios3sync.core.entries import TargetEntry
from aios3sync.core.inventory_place import InventoryPlace
from aios3sync.errors import UsageError
from aios3sync.inventory import fetch, ordered
from aios3sync.inventory.arrow import batches_of_parquet, ranges_of_parquet
from aios3sync.inventory.listing import InventoryListing
from aios3sync.inventory.ordered import InventorySorter
from aios3sync.inventory.span import KeySpan
from aios3sync.store.protocol import ObjectStore
from aios3sync.testing.faulty import FaultyStore
from tests.inventory.test_files import RUN, file_of, placed, row

KEYS = st.text(st.sampled_from("ab/\U0001f600é"), min_size=1, max_size=4)


def entry(key: str, modified: float = 0.0) -> TargetEntry:
    return TargetEntry(key, 1, "etag", modified, "")


async def sorted_keys(batches: list[list[str]]) -> list[str]:
    async with InventorySorter() as sorter:
        for batch in batches:
            await sorter.add([entry(key) for key in batch])
        return [each.key async for page in sorter.pages() for each in page]


@settings(deadline=None, max_examples=60)
@given(
    batches=st.lists(st.lists(KEYS, max_size=9), max_size=12), size=st.integers(1, 9), fan=st.integers(2, 4)
)
async def test_any_order_becomes_key_order(batches: list[list[str]], size: int, fan: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ordered, "_RUN", size)
        patched.setattr(ordered, "_PAGE", 2)
        patched.setattr(ordered, "_FAN_IN", fan)
        found = await sorted_keys(batches)
    wanted = sorted({key for batch in batches for key in batch})
    assert found == wanted == sorted(wanted, key=str.encode)


async def test_of_a_key_that_comes_twice_the_later_object_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "_RUN", 2)
    async with InventorySorter() as sorter:
        await sorter.add([entry("a", 5.0), entry("b", 1.0)])
        await sorter.add([entry("a", 3.0), entry("c", 1.0)])
        await sorter.add([entry("b", 2.0)])
        found = [each async for page in sorter.pages() for each in page]
    assert [(each.key, each.last_modified) for each in found] == [("a", 5.0), ("b", 2.0), ("c", 1.0)]


async def test_files_are_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[io.BytesIO] = []

    def open_temporary() -> io.BytesIO:
        opened.append(io.BytesIO())
        return opened[-1]

    monkeypatch.setattr(ordered, "temporary_file", open_temporary)
    monkeypatch.setattr(ordered, "_RUN", 2)
    monkeypatch.setattr(ordered, "_FAN_IN", 3)
    await sorted_keys([["b", "a"], ["d", "c"], ["f", "e"], ["h", "g"]])
    assert len(opened) == 5  # three runs, the file that they were merged into, and the fourth run
    assert all(each.closed for each in opened)


async def test_memory_does_not_grow_with_the_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "_RUN", 500)
    monkeypatch.setattr(ordered, "_PAGE", 50)
    monkeypatch.setattr(ordered, "_FAN_IN", 8)
    numbers = random.Random(3)  # noqa: S311 - keys of a test

    async def peak(count: int) -> int:
        tracemalloc.start()
        async with InventorySorter() as sorter:
            for _ in range(count // 100):
                await sorter.add([entry(f"{numbers.random():.17f}") for _ in range(100)])
            seen = 0
            async for page in sorter.pages():
                seen += len(page)
        assert seen == count
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    await peak(2000)  # what is made once
    tracemalloc.start()
    held = [entry(f"{numbers.random():.17f}") for _ in range(40_000)]
    everything = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del held
    assert await peak(40_000) < everything / 4


# Key ranges


@given(
    prefix=KEYS | st.just(""),
    first=KEYS | st.just(""),
    end=KEYS | st.just(""),
    keys=st.lists(KEYS, min_size=1),
)
def test_what_may_meet_a_span(prefix: str, first: str, end: str, keys: list[str]) -> None:
    span = KeySpan(prefix, first, end)
    wanted = [key for key in keys if span.holds(key)]
    assert wanted == [
        key for key in keys if key.startswith(prefix) and key >= first and (not end or key < end)
    ]
    if wanted:
        assert span.may_meet(min(keys), max(keys))


def test_what_cannot_meet_a_span() -> None:
    span = KeySpan("p/", "p/c", "p/f")
    assert not span.may_meet("p/a", "p/bz")
    assert not span.may_meet("p/f", "p/z")
    assert not span.may_meet("a", "o")
    assert not span.may_meet("q", "z")
    assert span.may_meet("a", "z")
    assert span.may_meet("p/e", "p/e")


def large_parquet(keys: list[str]) -> bytes:
    """A file of many row groups, with so much in it that ranges of it are worth to fetch."""
    numbers = random.Random(5)  # noqa: S311 - the bytes of a test
    columns = {
        "bucket": pa.array(["source"] * len(keys)),
        "key": pa.array(keys),
        "size": pa.array([1] * len(keys)),
        "e_tag": pa.array([f"{numbers.getrandbits(128):032x}" for _ in keys]),
        "version_id": pa.array([f"{numbers.getrandbits(4096):01024x}" for _ in keys]),
    }
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out, row_group_size=len(keys) // 20)
    return out.getvalue()


def listing_of(store: ObjectStore) -> InventoryListing:
    async def opened() -> ObjectStore:
        return store

    return InventoryListing(InventoryPlace("destination", RUN + "manifest.json"), opened, "source")


async def test_only_the_wanted_row_groups_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"data/{number:05}" for number in range(10_000)]
    body = large_parquet(keys)
    monkeypatch.setattr(fetch, "_WORTH_A_LOOK", 1000)
    monkeypatch.setattr(fetch, "_FOOTER", 1000)  # the footer is longer, and its rest is fetched
    store = FaultyStore(placed({"inv/1.parquet": body}))
    sizes: list[int] = []
    real = store.call

    async def seen(request: Any) -> Any:
        answer = await real(request)
        if request.key == "inv/1.parquet":
            sizes.append(len(answer.body))
        return answer

    monkeypatch.setattr(store, "call", seen)
    pages = [page async for page in listing_of(store).pages("data/", "01000", "02000")]
    assert [each.key for page in pages for each in page] == [key[5:] for key in keys[1000:2000]]
    assert sum(sizes) < len(body) / 5
    sizes.clear()
    pages = [page async for page in listing_of(store).pages("data/")]
    assert sum(map(len, pages)) == len(keys)


def test_the_ranges_of_a_file_without_wanted_keys() -> None:
    body = io.BytesIO(large_parquet([f"data/{number:05}" for number in range(1000)]))
    assert ranges_of_parquet(body, KeySpan("other/")) == []
    body.seek(0)
    assert list(batches_of_parquet(body, "source", KeySpan("other/"))) == []
    body.seek(0)
    assert ranges_of_parquet(body, KeySpan("data/")) is None


@pytest.mark.parametrize("form", ["csv.gz", "parquet", "orc"])
async def test_each_form_is_listed_in_key_order_from_all_its_files(form: str) -> None:
    names = [f"p/{number:03}" for number in range(100)] + ["p/", "q", "p", "o/1"]
    random.Random(1).shuffle(names)  # noqa: S311 - the order of a test
    parts = {f"inv/{n}.{form}": file_of(form, [row(key) for key in names[n::3]]) for n in range(3)}
    listing = listing_of(placed(parts))
    pages = [page async for page in listing.pages("p/")]
    assert [each.key for page in pages for each in page] == [f"{number:03}" for number in range(100)]
    assert listing.created == 1770339600.0
    pages = [page async for page in listing.pages("p/", "010", "012")]
    assert [each.key for page in pages for each in page] == ["010", "011"]
    pages = [page async for page in listing.pages("")]
    assert [each.key for page in pages for each in page] == sorted(names)


def test_places_of_inventories() -> None:
    place = InventoryPlace.parse("target_listing", "inventory:s3://inv/bucket/daily")
    assert place == ("inv", "bucket/daily")
    for text in ("s3://inv/daily", "inventory:inv/daily", "inventory:s3://", "inventory:s3://x"):
        with pytest.raises(UsageError, match=r"^target_listing: "):
            InventoryPlace.parse("target_listing", text)
