"""Listings of key ranges: together they are the whole listing, on every server."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.key_range import KeyRange
from aios3sync.errors import OutOfOrderError
from aios3sync.listing.pages import ASCENDING, UNORDERED
from aios3sync.listing.parallel import ListPlan
from aios3sync.listing.sorted import SeenOrder, sorted_pages
from aios3sync.store.protocol import ListPage
from tests.listing.test_listing import BYTES, ODD, ORDERS, keys_of, memory, target_keys, tree

BOUNDS = sorted({"", *ODD, *(key[:-1] for key in ODD), *(f"{key}!" for key in ODD), "b", "\ue000", "a/\0"})

SOME_RANGES = [
    key_range
    for bound in BOUNDS
    for key_range in (KeyRange(bound, bound + "a"), KeyRange(bound), KeyRange("", bound))
]


def ranges(cuts: Iterable[str]) -> list[KeyRange]:
    """Return the ranges between some keys, the first and the last without a bound."""
    bounds = sorted({*cuts} - {""})
    return [KeyRange(*pair) for pair in pairwise(["", *bounds, ""])]


def held(key_range: KeyRange, keys: Iterable[str], prefix: str = "") -> list[str]:
    below = (key for key in keys if key.startswith(prefix))
    return sorted(key for key in below if key_range.holds(key[len(prefix) :]))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_range_is_listed_whole_on_every_server(order: str, size: int) -> None:
    for key_range in SOME_RANGES:
        wanted = held(key_range, ODD)
        for plan in ({}, {"ordered": True}, {"workers": 1}):
            store = memory(ODD, size, order)
            assert sorted(await keys_of(store, key_range=key_range, **plan)) == wanted, (key_range, plan)


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_range_comes_in_order_where_the_server_lists_in_byte_order(size: int) -> None:
    for key_range in SOME_RANGES:
        wanted = held(key_range, ODD)
        for plan in ({"ordered": True}, {"workers": 1}):
            store = memory(ODD, size, capabilities=BYTES)
            assert await keys_of(store, byte_order=True, key_range=key_range, **plan) == wanted


keys = st.sets(st.text("!/0aé\ue000", min_size=1, max_size=5), max_size=40)
cuts = st.lists(st.text("!/0aé\ue000\0", min_size=1, max_size=4), max_size=4)
prefixes = st.sampled_from(["", "a", "a/", "é/"])


@settings(max_examples=150, deadline=None)
@given(keys, cuts, prefixes, st.sampled_from([1, 2, 5]), st.sampled_from([*ORDERS]))
async def test_ranges_together_are_the_whole_listing(
    found: set[str], bounds: list[str], prefix: str, size: int, order: str
) -> None:
    """The join gets the keys of each range in order, whatever the order of the server."""
    got: list[str] = []
    for key_range in ranges(bounds):
        some, _ = await target_keys(memory(found, size, order), "", prefix, key_range=key_range)
        assert some == [key[len(prefix) :] for key in held(key_range, found, prefix) if key != prefix]
        got += some
    assert got == sorted(key[len(prefix) :] for key in found if key.startswith(prefix) and key != prefix)


@settings(max_examples=150, deadline=None)
@given(keys, keys, cuts, prefixes, st.sampled_from([1, 2, 5]))
async def test_ranges_of_a_server_in_byte_order_are_cut_by_any_manifest(
    found: set[str], recorded: set[str], bounds: list[str], prefix: str, size: int
) -> None:
    async def key_after(after: str, rows: int) -> str | None:
        return next(iter(sorted(key for key in recorded if key > after)[1:]), None)

    got: list[str] = []
    for key_range in ranges(bounds):
        plan: dict[str, Any] = {"byte_order": True, "key_after": key_after, "key_range": key_range}
        store = memory(found, size, capabilities=BYTES)
        some, _ = await target_keys(store, ASCENDING, prefix, **plan)
        assert some == [key[len(prefix) :] for key in held(key_range, found, prefix) if key != prefix]
        got += some
    assert got == sorted(key[len(prefix) :] for key in found if key.startswith(prefix) and key != prefix)


class Asked:
    """A store that notes what is listed of it."""

    def __init__(self, keys: Iterable[str], **facts: Any) -> None:
        self._store = memory(keys, 10, **facts)
        self.bucket = self._store.bucket
        self.pages = 0
        self.shown: set[str] = set()
        self.after: set[str] = set()

    async def list_page(self, prefix: str, **options: Any) -> ListPage:
        page = await self._store.list_page(prefix, **options)
        self.pages += 1
        self.shown |= {entry.key for entry in page.entries}
        self.after.add(options.get("start_after", ""))
        return page


async def test_a_range_asks_a_server_in_byte_order_for_little_more() -> None:
    found = tree(10, 10, 10)
    store = Asked(found, capabilities=BYTES)
    key_range = KeyRange("003/005/002", "004/001/007")
    assert await keys_of(store, key_range=key_range, byte_order=True, ordered=True) == held(key_range, found)
    assert store.pages <= 8  # 65 keys in pages of 10
    assert len(store.shown) <= 65 + 10


@pytest.mark.parametrize("order", ["SeaweedFS", "none"])
async def test_other_servers_are_asked_for_whole_prefixes(order: str) -> None:
    """StartAfter loses keys there; of the other prefixes no more than one page is seen."""
    found = tree(10, 10, 10)
    store = Asked(found, order=order)
    key_range = KeyRange("003/", "006/")
    assert sorted(await keys_of(store, key_range=key_range)) == held(key_range, found)
    assert store.after == {""}
    assert len(store.shown) <= 300 + 10 + 3 * 10


async def test_disorder_is_found_out_by_one_request_after_the_other_as_well() -> None:
    store = memory(["a/x", "a!b", "a0"], 1, "SeaweedFS", capabilities=BYTES)
    with pytest.raises(OutOfOrderError):
        await keys_of(store, key_range=KeyRange("a"), byte_order=True, workers=1)


async def test_a_range_proves_disorder_and_no_order() -> None:
    """Its keys may ascend where those of the whole do not; a run that streamed them would be wrong."""
    found = [f"{top}/{name:02}" for top in "ab" for name in range(12)]
    for order, seen in (("bytes", ""), ("SeaweedFS", ""), ("none", UNORDERED)):
        keys, shown = await target_keys(memory(found, 2, order), "", key_range=KeyRange("a/", "b/"))
        assert (keys, shown) == ([key for key in found if key < "b/"], seen)
    _, shown = await target_keys(memory(found, 2), "")
    assert shown == ASCENDING


async def test_sorted_pages_are_those_of_the_range() -> None:
    key_range = KeyRange("a!", "a0")
    plan = ListPlan(key_range=key_range)
    pages = sorted_pages(memory(ODD, 3, "SeaweedFS"), "", SeenOrder(), plan)
    assert [entry.key async for page in pages for entry in page] == held(key_range, ODD)
