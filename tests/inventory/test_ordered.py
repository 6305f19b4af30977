"""An inventory in key order: the sort on disk, key ranges, and what is fetched for them."""

from __future__ import annotations

import io
import random
import tracemalloc
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import orc, parquet

from aios3sync.core.entries import TargetEntry
from aios3sync.core.inventory_place import InventoryPlace
from aios3sync.distributed.shards import cut
from aios3sync.errors import UsageError
from aios3sync.inventory import fetch, ordered, row_groups
from aios3sync.inventory.arrow import (
    batches_of_orc,
    batches_of_parquet,
    groups_of_orc,
    groups_of_parquet,
)
from aios3sync.inventory.files import InventoryError
from aios3sync.inventory.listing import InventoryListing
from aios3sync.inventory.ordered import InventorySorter
from aios3sync.inventory.row_groups import wanted_groups
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


def large_orc(keys: list[str], compression: str = "zlib") -> bytes:
    """The same in stripes."""
    out = io.BytesIO()
    table = parquet.read_table(io.BytesIO(large_parquet(keys)))
    orc.write_table(table, out, stripe_size=64 * 1024, batch_size=100, compression=compression)
    return out.getvalue()


def counted(monkeypatch: pytest.MonkeyPatch, store: FaultyStore, key: str) -> list[int]:
    """The bytes of each answer with a part of a file, from now on."""
    sizes: list[int] = []
    real = store.call

    async def seen(request: Any) -> Any:
        answer = await real(request)
        if request.key == key:
            sizes.append(len(answer.body))
        return answer

    monkeypatch.setattr(store, "call", seen)
    return sizes


@pytest.mark.parametrize("form", ["parquet", "orc"])
async def test_only_the_wanted_row_groups_are_fetched(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"data/{number:05}" for number in range(10_000)]
    body = large_parquet(keys) if form == "parquet" else large_orc(keys)
    monkeypatch.setattr(fetch, "_WORTH_A_LOOK", 1000)
    monkeypatch.setattr(fetch, "_FOOTER", 300)  # the footer is longer, and its rest is fetched
    store = FaultyStore(placed({f"inv/1.{form}": body}))
    sizes = counted(monkeypatch, store, f"inv/1.{form}")
    pages = [page async for page in listing_of(store).pages("data/", "01000", "02000")]
    assert [each.key for page in pages for each in page] == [key[5:] for key in keys[1000:2000]]
    assert sum(sizes) < len(body) / 5
    sizes.clear()
    pages = [page async for page in listing_of(store).pages("data/")]
    assert sum(map(len, pages)) == len(keys)


@pytest.mark.parametrize("form", ["parquet", "orc"])
async def test_shards_together_read_an_inventory_once_or_little_more(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are fetched and rows that are made of them, over all shards of a run."""
    keys = [f"data/{number:05}" for number in range(10_000)]
    parts = [keys[start : start + 2500] for start in range(0, 10_000, 2500)]
    write = large_parquet if form == "parquet" else large_orc
    files = {f"inv/{number}.{form}": write(part) for number, part in enumerate(parts)}
    for name in ("_WORTH_A_LOOK", "_FOOTER"):
        monkeypatch.setattr(fetch, name, 2000)
    monkeypatch.setattr(row_groups, "_NEAR", 0)
    store = FaultyStore(placed(files))
    sizes = [counted(monkeypatch, store, key) for key in files]
    weights = await listing_of(store).weights("data/")
    ranges = cut(weights, 8)
    assert len(ranges) == 8
    for each in sizes:
        each.clear()
    rows = [
        sum([len(page) async for page in listing_of(store).pages("data/", each.first, each.end)])
        for each in ranges
    ]
    assert sum(rows) == len(keys)
    assert max(rows) <= 2 * min(rows)
    assert sum(map(sum, sizes)) < 2 * sum(map(len, files.values()))


@pytest.mark.parametrize("compression", ["uncompressed", "zlib", "snappy", "zstd"])
def test_stripes_are_found_however_the_file_is_compressed_that_s3_writes(compression: str) -> None:
    keys = [f"data/{number:05}" + "x" * (1500 if number == 77 else 0) for number in range(1000)]
    body = io.BytesIO(large_orc(keys, compression))
    groups = groups_of_orc(body)
    if compression in ("snappy", "zstd"):
        assert groups is None
    else:
        assert groups is not None
        assert sum(group.rows for group in groups) == len(keys)
        assert all(group.bounds is not None for group in groups)
        span = KeySpan("", "data/00500", "data/00600")
        assert len(wanted_groups(groups, span)) < len(groups) / 2
    body.seek(0)
    found = [
        each.key for batch in batches_of_orc(body, "source", KeySpan("", "data/00500")) for each in batch
    ]
    assert found == keys[500:]


@given(st.integers(0, 400), st.binary(max_size=6), st.integers(0, 300))
def test_no_tail_of_orc_raises_anything_but_an_error_that_names_it(
    at: int, junk: bytes, cut_off: int
) -> None:
    body = large_orc_of_a_test()
    damaged = body[: len(body) - at] + junk + body[len(body) - at + len(junk) :][cut_off:]
    try:
        groups_of_orc(io.BytesIO(damaged))
    except InventoryError as error:
        assert "no ORC of an inventory" in str(error)  # noqa: PT017 - it may also be whole


@lru_cache
def large_orc_of_a_test() -> bytes:
    return large_orc([f"data/{number:05}" for number in range(300)])


def test_the_row_groups_of_a_file_without_wanted_keys() -> None:
    body = io.BytesIO(large_parquet([f"data/{number:05}" for number in range(1000)]))
    groups = groups_of_parquet(body)
    assert wanted_groups(groups, KeySpan("other/")) == []
    assert wanted_groups(groups, KeySpan("data/")) == groups
    body.seek(0)
    assert list(batches_of_parquet(body, "source", KeySpan("other/"))) == []


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
