"""A parallel listing: the same entries as one plain stream, on every server, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import RecordedEntry, TargetEntry
from aios3sync.errors import ListingError, OutOfOrderError, UnavailableError
from aios3sync.listing import parallel
from aios3sync.listing.pages import ASCENDING, UNORDERED
from aios3sync.listing.parallel import ListPlan, list_in_parallel
from aios3sync.listing.sorted import ListingSorter, SeenOrder, send_sorted, sorted_pages
from aios3sync.manifest.json_file import DocumentManifest
from aios3sync.manifest.sqlite import SqliteManifest
from aios3sync.store.protocol import ListPage, StoreCapabilities
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

ODD = [
    *(
        "a!b",
        "a-b",
        "a/x",
        "a/y/z",
        "a0",
        "a",
        "a/",
        "a//b",
        "a//",
        "/lead",
        "//",
        "trail/",
        "é/1",
        "é!",
        "🙂/x/",
    ),
    *(
        "a/x/",
        ".",
        "..",
        "./x",
        "../y",
        "../z",
        ".../x",
        "a\n/b",
        "%2F/+",
        "日本/1",
        "日本/2",
        "ab/c",
        "abc/d",
    ),
]
BYTES = StoreCapabilities(sorted_listing=True)
ORDERS: dict[str, Callable[[str], Any]] = {
    "bytes": lambda key: key.encode(),
    "SeaweedFS": lambda key: key.split("/"),
    "none": lambda key: key[::-1],
}


async def pages_of(store: Any, prefix: str = "", **plan: Any) -> list[list[TargetEntry]]:
    """Return the pages that list_in_parallel sends."""
    pages: list[list[TargetEntry]] = []
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](1)

    async def produce() -> None:
        async with send:
            await list_in_parallel(store, prefix, send, ListPlan(**plan))

    with raise_first_error():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(produce)
            pages += [page async for page in receive]
    return pages


async def keys_of(store: Any, prefix: str = "", **plan: Any) -> list[str]:
    return [entry.key for page in await pages_of(store, prefix, **plan) for entry in page]


async def target_keys(store: Any, known: str, prefix: str = "", **plan: Any) -> tuple[list[str], str]:
    """Return the keys that the join gets, and the order that was seen."""
    keys: list[str] = []
    seen = SeenOrder()
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](1)

    async def produce() -> None:
        async with send:
            await send_sorted(store, prefix, known, seen, ListPlan(**plan), send)

    with raise_first_error():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(produce)
            async for page in receive:
                keys += [entry.key for entry in page]
    return keys, seen.order


def memory(keys: Any, size: int = 1000, order: str = "bytes", **facts: Any) -> MemoryStore:
    return MemoryStore(
        objects=dict.fromkeys(keys, b"x"), page_size=lambda _: size, order=ORDERS[order], **facts
    )


def tree(*widths: int) -> list[str]:
    """Return the keys of a tree with so many names at each level."""
    return ["/".join(f"{name:03}" for name in path) for path in product(*(range(width) for width in widths))]


# The same entries as one stream


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a//", "é/"])
async def test_odd_names_are_listed_once_on_every_server(order: str, size: int, prefix: str) -> None:
    wanted = sorted(key for key in ODD if key.startswith(prefix))
    store = memory(ODD, size, order)
    assert sorted(await keys_of(store, prefix)) == wanted
    assert sorted(await keys_of(store, prefix, ordered=True)) == wanted
    assert sorted(await keys_of(store, prefix, workers=1)) == wanted


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_ranges_come_in_byte_order_where_the_server_lists_in_order(size: int) -> None:
    keys = sorted({*ODD, *tree(3, 5, 4), *(f"{n:03}!" for n in range(9)), *(f"{n:03}" for n in range(9))})
    assert await keys_of(memory(keys, size), ordered=True) == keys
    assert await keys_of(memory(keys, size), ordered=True, workers=2) == keys
    assert await keys_of(memory(keys, size), ordered=True, byte_order=True) == keys


names = st.text(alphabet="ab!/0.é", min_size=1, max_size=9)
key_sets = st.sets(names, max_size=120)


@settings(max_examples=150, deadline=None)
@given(
    keys=key_sets,
    size=st.integers(1, 9),
    order=st.sampled_from(list(ORDERS)),
    prefix=st.sampled_from(["", "a", "a/", "ab", "é/"]),
    workers=st.integers(2, 5),
)
def test_any_keys_in_any_order_are_the_keys_of_a_plain_listing(
    keys: set[str], size: int, order: str, prefix: str, workers: int
) -> None:
    async def main() -> None:
        store = memory(keys, size, order)
        wanted = sorted(key for key in keys if key.startswith(prefix))
        assert sorted(await keys_of(store, prefix, workers=workers)) == wanted
        relative = [key[len(prefix) :] for key in wanted if key != prefix]
        found, _ = await target_keys(store, "", prefix, workers=workers)
        assert found == relative
        if order == "bytes":
            assert await keys_of(store, prefix, workers=workers, ordered=True) == wanted
            found, seen = await target_keys(store, ASCENDING, prefix, workers=workers)
            assert (found, seen) == (relative, ASCENDING)

    anyio.run(main)


@settings(max_examples=150, deadline=None)
@given(
    keys=key_sets,
    size=st.integers(1, 5),
    rows=st.sets(names, max_size=40),
    every=st.integers(1, 9),
    prefix=st.sampled_from(["", "a", "a/"]),
    patience=st.integers(1, 3),
)
def test_ranges_cut_where_any_manifest_says_list_every_key_once_and_in_order(
    keys: set[str], size: int, rows: set[str], every: int, prefix: str, patience: int
) -> None:
    async def main() -> None:
        wanted = sorted(key for key in keys if key.startswith(prefix))
        plan = {"ordered": True, "byte_order": True, "key_after": cuts(rows, every), "workers": 3}
        assert await keys_of(memory(keys, size), prefix, **plan) == wanted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "_PATIENCE", patience)
        anyio.run(main)


def cuts(rows: Any, every: int) -> Any:
    ordered = sorted(rows)

    async def key_after(after: str, _: int) -> str | None:
        later = [key for key in ordered if key > after]
        return later[every - 1] if len(later) >= every else None

    return key_after


@pytest.mark.parametrize("kind", [SqliteManifest, DocumentManifest])
async def test_a_manifest_says_where_to_cut(kind: Any, tmp_path: Any) -> None:
    manifest = await anyio.to_thread.run_sync(kind.open, str(tmp_path / "m"))
    rows = [RecordedEntry(f"k{n:02}", 1, 1, 1, 1, "", "") for n in range(10)]
    await manifest.record(rows, [])
    assert [await manifest.key_after(after, 4) for after in ("", "k03", "k05", "k06", "z")] == [
        *("k03", "k07", "k09", None, None)
    ]
    await manifest.close()


# Requests


def listings(store: FaultyStore) -> int:
    return store.calls["list_page"]


@pytest.mark.parametrize(
    ("keys", "most"),
    [
        (tree(900), 1),  # one page is one request
        (tree(10_000)[:5000], 5 + 1),  # flat
        (tree(40, 1000)[:20_000], 20 + 2 + 1),  # wide: a page each
        (tree(200, 5, 5), 5 + 8),  # narrow: CommonPrefixes are put together
        (tree(1, 1, 1, 3000), 3 + 8),  # a long way down
        ([*tree(3000), *(f"z/{key}" for key in tree(3000))], 6 + 4),
    ],
    ids=["small", "flat", "wide", "narrow", "deep", "mixed"],
)
@pytest.mark.parametrize("ordered", [False, True])
async def test_splitting_costs_a_handful_of_requests(keys: list[str], most: int, *, ordered: bool) -> None:
    store = FaultyStore(memory(keys))
    assert sorted(await keys_of(store, ordered=ordered)) == sorted(keys)
    assert listings(store) <= most


async def test_tiny_common_prefixes_after_large_ones_are_put_together() -> None:
    """The first page says little of the later ones: the ranges listed since then count as well."""
    keys = [f"a{n:03}/{name:03}" for n in range(3) for name in range(1000)] + [
        f"b{n:03}/x{name}" for n in range(900) for name in range(3)
    ]
    for ordered in (False, True):
        store = FaultyStore(memory(keys))
        assert sorted(await keys_of(store, ordered=ordered, workers=4)) == keys
        assert listings(store) < 120


async def test_of_directory_buckets_only_whole_names_are_listed() -> None:
    store = FaultyStore(memory(tree(200, 20), bucket="b--use1-az4--x-s3"))
    assert sorted(await keys_of(store)) == tree(200, 20)
    assert all(not key or key.endswith("/") for _, key in store.keys)


async def test_the_first_page_costs_no_wait_for_a_server_without_delimiters() -> None:
    """Such a server answers with everything: then one stream is all there is."""
    keys = sorted(tree(3, 3000))

    class Plain(FaultyStore):
        async def list_page(self, prefix: str, **arguments: Any) -> ListPage:
            return await super().list_page(prefix, **{**arguments, "delimiter": ""})

    store = Plain(memory(keys))
    assert await keys_of(store, ordered=True) == keys
    assert listings(store) == 10


# Bounds


class Watched(FaultyStore):
    """Counts requests in flight."""

    now = most = 0

    async def list_page(self, prefix: str, **arguments: Any) -> ListPage:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await anyio.lowlevel.checkpoint()
            return await super().list_page(prefix, **arguments)
        finally:
            self.now -= 1


@pytest.mark.parametrize("ordered", [False, True])
async def test_list_workers_bounds_the_requests_in_flight(*, ordered: bool) -> None:
    store = Watched(memory(tree(60, 20), 20))
    assert len(await keys_of(store, ordered=ordered, workers=5)) == 1200
    assert 3 <= store.most <= 5


@pytest.mark.parametrize("ordered", [False, True])
async def test_nothing_runs_far_ahead_of_a_slow_reader(*, ordered: bool) -> None:
    store = Watched(memory(tree(30, 1000)))
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(list_in_parallel, store, "", send, ListPlan(workers=4, ordered=ordered))
        for _ in range(3):
            await receive.receive()
        await anyio.wait_all_tasks_blocked()
        assert listings(store) <= 3 + 2 * 4 + 5
        tasks.cancel_scope.cancel()
    send.close()
    receive.close()


async def test_large_ranges_far_ahead_never_lock_out_the_one_that_is_awaited() -> None:
    keys = [*tree(2, 30, 30), *(f"x{key}" for key in tree(9, 300)), *(f"y{key}" for key in tree(40, 3, 20))]
    for workers in (2, 3, 8):
        assert await keys_of(memory(keys, 10), ordered=True, workers=workers) == sorted(keys)
        assert sorted(await keys_of(memory(keys, 10), workers=workers)) == sorted(keys)


# Complete or an error


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("key", ["005/", "000/", "019/", ""])
async def test_a_range_that_fails_fails_the_listing(key: str, *, ordered: bool) -> None:
    store = FaultyStore(memory(tree(20, 200), 200))
    store.on("list_page", key=key, skip=1 if key == "" else 0, error=unavailable())
    with pytest.raises(UnavailableError):
        await keys_of(store, ordered=ordered)


@pytest.mark.parametrize("skip", range(4))
async def test_a_failing_range_of_rows_fails_the_listing(skip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FaultyStore(memory(tree(20, 20), 20))
    store.on("list_page", skip=skip, error=unavailable())
    rows = cuts(tree(20, 20), 50)
    with pytest.raises(UnavailableError):
        await keys_of(store, ordered=True, byte_order=True, key_after=rows)


@pytest.mark.parametrize("stray", ["004/zzz", "006/", "other", "", "005"])
async def test_a_key_outside_its_range_is_an_error(stray: str) -> None:
    store = FaultyStore(memory(tree(20, 200), 200))
    entry = TargetEntry(stray, 1, "")
    store.on("list_page", key="005/", change=lambda page: page._replace(entries=[*page.entries, entry]))
    for ordered in (False, True):
        with pytest.raises(ListingError, match="not below the prefix"):
            await keys_of(store, ordered=ordered)
        store.on("list_page", key="005/", change=lambda page: page._replace(entries=[entry, *page.entries]))


async def test_a_key_of_a_range_that_is_listed_as_a_direct_key_too_is_an_error() -> None:
    """It would be listed twice; on the first page with delimiter it says that there are no levels here."""
    keys = [*tree(3, 50), *(f"n{n:02}" for n in range(90))]
    store = FaultyStore(memory(keys, 30))
    entry = TargetEntry("001/002", 1, "")
    store.on(
        "list_page",
        key="",
        skip=2,
        change=lambda page: page._replace(entries=[entry, *page.entries]),
    )
    with pytest.raises(ListingError, match="not directly below"):
        await keys_of(store)


async def test_a_common_prefix_that_is_shown_again_is_listed_once() -> None:
    keys = sorted({*tree(30, 40), "x"})
    store = FaultyStore(memory(keys, 10))
    store.on(
        "list_page",
        key="",
        skip=2,
        change=lambda page: page._replace(prefixes=["009/", *page.prefixes]),
    )
    assert Counter(await keys_of(store)) == Counter(keys)


@pytest.mark.parametrize("name", ["", "other/", "005/x/", "no-delimiter"])
async def test_common_prefixes_that_cannot_be_are_not_followed(name: str) -> None:
    keys = tree(30, 40)
    store = FaultyStore(memory(keys, 20))
    store.on("list_page", key="", skip=1, change=lambda page: page._replace(prefixes=[*page.prefixes, name]))
    if name == "other/":  # it may exist, and is empty
        assert sorted(await keys_of(store)) == keys
        return
    assert sorted(await keys_of(store)) == keys
    assert listings(store) == 1 + 1 + 59


@pytest.mark.parametrize("delimiter", [False, True])
async def test_a_token_that_comes_again_is_an_error(*, delimiter: bool) -> None:
    store = FaultyStore(memory([f"n{n:03}" for n in range(90)], 10))
    store.on(
        "list_page", times=-1, skip=int(delimiter), change=lambda page: page._replace(next_token="again")
    )
    with pytest.raises(ListingError, match="came twice"):
        await keys_of(store, workers=4 if delimiter else 1)


async def test_a_server_that_was_said_to_list_in_byte_order_and_does_not_is_found_out() -> None:
    keys = ["a!b", "a-b", *(f"a/{n}" for n in range(9)), "a0", *(f"b/{n}" for n in range(9))]
    store = memory(keys, 3, "SeaweedFS")
    with pytest.raises(OutOfOrderError):
        await keys_of(store, ordered=True, byte_order=True, key_after=cuts(keys, 4))
    found = await keys_of(store, ordered=True, byte_order=True)  # no rows: ranges by prefix alone
    assert found == sorted(keys)


async def test_a_server_that_ignores_start_after_is_found_out() -> None:
    class Ignoring(FaultyStore):
        async def list_page(self, prefix: str, **arguments: Any) -> ListPage:
            return await super().list_page(prefix, **{**arguments, "start_after": ""})

    keys = tree(9, 9)
    with pytest.raises(OutOfOrderError):
        await keys_of(Ignoring(memory(keys, 5)), ordered=True, byte_order=True, key_after=cuts(keys, 20))


async def test_start_after_is_used_only_where_byte_order_is_known() -> None:
    asked: list[str] = []

    class Asked(FaultyStore):
        async def list_page(self, prefix: str, **arguments: Any) -> ListPage:
            asked.append(arguments["start_after"])
            return await super().list_page(prefix, **arguments)

    keys = tree(9, 9)
    await keys_of(Asked(memory(keys, 5)), ordered=True, key_after=cuts(keys, 20))
    await keys_of(Asked(memory(keys, 5)), key_after=cuts(keys, 20))
    assert set(asked) == {""}
    await keys_of(Asked(memory(keys, 5)), ordered=True, byte_order=True, key_after=cuts(keys, 20))
    assert len(set(asked)) == 5


# Order, and how it is remembered


async def test_a_listing_that_is_not_known_to_be_ordered_is_sorted_and_its_order_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [*ODD, *tree(20, 30)]
    for in_memory, order in product((20_000, 50), ORDERS):
        monkeypatch.setattr("aios3sync.listing.sorted._IN_MEMORY", in_memory)
        found, seen = await target_keys(memory(keys, 7, order), "")
        assert found == sorted(keys)
        assert seen == (ASCENDING if order == "bytes" else UNORDERED)


async def test_disorder_that_was_seen_once_stays_known() -> None:
    store = memory(tree(4, 30), 7)
    assert (await target_keys(store, UNORDERED))[1] == UNORDERED


async def test_one_page_proves_no_order() -> None:
    assert (await target_keys(memory(tree(9)), ""))[1] == ""


async def test_the_prefix_itself_is_no_entry() -> None:
    store = memory(["p/", "p/a", "p/b/c"])
    for known in ("", ASCENDING):
        assert (await target_keys(store, known, "p/"))[0] == ["a", "b/c"]


@pytest.mark.parametrize("shift", [0, 5])
async def test_pages_that_overlap_are_merged_and_the_later_entry_of_a_key_counts(
    shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.listing.sorted._MERGED_IN_MEMORY", shift)
    monkeypatch.setattr("aios3sync.listing.sorted._IN_MEMORY", 1)
    pages = [[TargetEntry(f"{n:03}", page, "") for n in range(page, 100, 7)] for page in range(7)]
    async with ListingSorter("") as sorter:
        for page in [*pages, [TargetEntry("050", 99, "later")], [TargetEntry("200", 1, "")]]:
            await sorter.add(page)
        found = [entry async for page in sorter.pages() for entry in page]
    assert [entry.key for entry in found] == [*(f"{n:03}" for n in range(100)), "200"]
    assert found[50] == TargetEntry("050", 99, "later")


async def test_closing_early_leaves_nothing_behind() -> None:
    pages = sorted_pages(memory(tree(50)), "", SeenOrder(), ListPlan())
    assert await anext(pages)
    await pages.aclose()
