"""The numbers themselves: equal to a count by hand, in any order, bounded, and honest about what is known."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.entries import TargetEntry
from aios3sync.core.tool_files import is_tool_file
from aios3sync.stats import aggregate, service
from aios3sync.stats.aggregate import ListingAggregate, TopGroups, extension_of, suffix_of
from aios3sync.stats.collect import list_pages
from aios3sync.stats.estimates import savings, total
from aios3sync.stats.fingerprint import Fingerprint
from aios3sync.stats.model import FolderTotals, Number, exact, unknown
from aios3sync.stats.sampling import Sample, t_quantile
from aios3sync.store.protocol import StoreCapabilities
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stats.conftest import Bench

NOW = 1_800_000_000.0

entries = st.builds(
    TargetEntry,
    key=st.text(st.sampled_from("ab/.é\0 "), min_size=1, max_size=12),
    size=st.integers(0, 10**13),
    etag=st.text("0123456789abcdef", min_size=4, max_size=4),
    last_modified=st.floats(0, 2e9),
    storage_class=st.sampled_from(["", "STANDARD", "GLACIER"]),
)
listings = st.lists(entries, max_size=40, unique_by=lambda entry: entry.key)


def counted(listing: list[TargetEntry], prefix: str = "", page: int = 7) -> ListingAggregate:
    found = ListingAggregate(prefix, NOW)
    for start in range(0, len(listing), page):
        found.add(listing[start : start + page])
    return found


def folders(folder: FolderTotals) -> Iterator[FolderTotals]:
    yield folder
    for child in folder.children:
        yield from folders(child)


@given(listings)
def test_every_breakdown_adds_up_to_the_whole(listing: list[TargetEntry]) -> None:
    found = counted(listing)
    whole = (len(listing), sum(entry.size for entry in listing))
    assert (found.objects, found.stored_bytes) == whole
    for breakdown in (found.storage_classes(), found.extensions(), found.folders.top()):
        groups = [*breakdown.groups, *([breakdown.other] if breakdown.other else [])]
        assert (sum(g.objects for g in groups), sum(g.stored_bytes for g in groups)) == whole
    for histogram in (found.sizes(), found.ages()):
        assert (sum(b.objects for b in histogram.bins), sum(b.stored_bytes for b in histogram.bins)) == whole
        assert [b.high for b in histogram.bins[:-1]] == [b.low for b in histogram.bins[1:]]
    for folder in folders(found.folders.tree()):
        assert folder.objects == folder.rest_objects + sum(child.objects for child in folder.children)
        assert folder.stored_bytes == folder.rest_stored_bytes + sum(c.stored_bytes for c in folder.children)
    assert (found.folders.tree().objects, found.folders.tree().stored_bytes) == whole


@given(listings, st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_order_of_a_listing_changes_nothing(
    listing: list[TargetEntry], rng: random.Random, page: int
) -> None:
    other = list(listing)
    rng.shuffle(other)
    one, two = counted(listing), counted(other, page=page)
    assert one.storage_classes() == two.storage_classes()
    assert one.extensions() == two.extensions()
    assert one.folders.tree() == two.folders.tree()
    assert (one.sizes(), one.ages()) == (two.sizes(), two.ages())
    assert (one.largest(), one.newest()) == (two.largest(), two.newest())


@given(listings)
def test_groups_equal_a_count_by_hand(listing: list[TargetEntry]) -> None:
    by_class: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    by_folder: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for entry in listing:
        top, slash, _ = entry.key.partition("/")
        for group in (by_class[entry.storage_class or "STANDARD"], by_folder[top + slash if slash else ""]):
            group[0] += 1
            group[1] += entry.size
    found = counted(listing)
    assert {g.name: [g.objects, g.stored_bytes] for g in found.storage_classes().groups} == by_class
    assert {g.name: [g.objects, g.stored_bytes] for g in found.folders.top().groups} == by_folder
    ranked = sorted(listing, key=lambda entry: (-entry.size, entry.key))
    assert [row.key for row in found.largest()] == [entry.key for entry in ranked[:20]]


def test_folders_are_counted_below_the_prefix() -> None:
    listing = [TargetEntry(f"p/q/{name}", 10, "e") for name in ("a/1", "a/b/2", "3")]
    found = counted(listing, "p/q/")
    assert {group.name: group.objects for group in found.folders.top().groups} == {"a/": 2, "": 1}
    tree = found.folders.tree()
    assert (tree.prefix, tree.rest_objects) == ("p/q/", 1)
    assert (tree.children[0].name, tree.children[0].prefix) == ("a", "p/q/a/")
    assert tree.children[0].children[0].prefix == "p/q/a/b/"


@pytest.mark.parametrize(
    ("key", "extension"),
    [
        ("a/b.JPG", "jpg"),
        ("x.tar.gz", "gz"),
        (".bashrc", ""),
        ("a.b/c", ""),
        ("a/x.", ""),
        ("name", ""),
        ("weird.this-is-no-extension-at-all", ""),
        ("a/.x.txt", "txt"),
    ],
)
def test_extensions(key: str, extension: str) -> None:
    assert extension_of(key) == extension


@pytest.mark.parametrize(
    ("key", "suffix"),
    [
        ("a/b.JPG", "jpg"),
        ("x.CSV.gz", "csv.gz"),
        ("x.tar.zst", "tar.zst"),
        ("a.b.tar.xz", "tar.xz"),
        ("x.gz", "gz"),
        (".gz", ""),
        (".x.gz", "gz"),
        ("log.2026.gz", "gz"),
        ("d.csv/x.gz", "gz"),
        ("x.gz.txt", "txt"),
        ("x.this-is-no-extension-at-all.gz", "gz"),
    ],
)
def test_compressed_files_are_counted_by_what_they_hold(key: str, suffix: str) -> None:
    assert suffix_of(key) == suffix


def test_too_many_groups_are_merged_into_other_and_marked() -> None:
    totals = TopGroups(most=10)
    for number in range(1000):
        totals.add(f"g{number}", 1, number)
        assert len(totals.groups) <= 10
    found = totals.breakdown()
    assert not found.exact
    assert found.other is not None
    assert sum(group.objects for group in found.groups) + found.other.objects == 1000


@pytest.mark.parametrize(("most", "depth"), [(1000, 4), (100, 2), (20, 1), (5, 0)])
def test_too_many_folders_cost_the_deepest_levels(
    monkeypatch: pytest.MonkeyPatch, most: int, depth: int
) -> None:
    monkeypatch.setattr(aggregate, "MOST_FOLDERS", most)
    listing = [
        TargetEntry(f"a{i % 10}/b{i % 40}/c{i % 400}/d{i % 800}/e/{i}", 1 + i, "e") for i in range(1600)
    ]
    found = counted(listing)
    tree = found.folders.tree()
    assert tree.objects == 1600
    assert tree.stored_bytes == sum(entry.size for entry in listing)
    deepest = max(folder.prefix.count("/") for folder in folders(tree))
    assert deepest <= max(depth, 1)
    assert found.folders.top().exact == (depth > 0)
    assert sum(1 for _ in folders(tree)) <= 2100


def test_memory_does_not_grow_with_the_objects() -> None:
    found = ListingAggregate("", NOW)
    for start in range(0, 60_000, 1000):
        found.add([TargetEntry(f"f{i}/g{i}/{i}.x{i}", i, "e", float(i)) for i in range(start, start + 1000)])
    assert len(found._extensions.groups) <= aggregate.MOST_GROUPS
    assert (
        len(found.folders._paths) + len(found.folders._flat.groups if found.folders._flat else ()) <= 20_001
    )
    assert len(found._largest._rows) <= aggregate._CANDIDATES + 1000


# The fingerprint


@given(listings, st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_fingerprint_does_not_depend_on_order_and_pages(
    listing: list[TargetEntry], rng: random.Random, page: int
) -> None:
    other = list(listing)
    rng.shuffle(other)
    one, two = Fingerprint(), Fingerprint()
    one.add(listing)
    for start in range(0, len(other), page):
        two.add(other[start : start + page])
    assert one.text() == two.text()
    assert (one.objects, one.stored_bytes) == (two.objects, two.stored_bytes)


@given(listings.filter(bool), st.data())
def test_the_fingerprint_shows_any_change_of_an_object(
    listing: list[TargetEntry], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(listing) - 1))
    entry = listing[place]
    change: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"key": entry.key + "x"},
                {"size": entry.size + 1},
                {"etag": entry.etag + "0"},
                {"last_modified": entry.last_modified + 0.002},
            ]
        )
    )
    one, two = Fingerprint(), Fingerprint()
    one.add(listing)
    two.add([*listing[:place], entry._replace(**change), *listing[place + 1 :]])
    assert one.text() != two.text()


def test_the_fingerprint_is_the_same_in_every_version() -> None:
    found = Fingerprint()
    found.add([TargetEntry("a/é", 5, "abc", 1.5), TargetEntry("b", 0, "", 0.0)])
    assert found.text() == "xxh3-128-sum-1:6509e51c1c3a5583a0a00f9d4ea21d11"


@given(listings)
def test_files_of_tools_are_left_out_of_everything(listing: list[TargetEntry]) -> None:
    hidden = [TargetEntry(f".aios3sync/{i}", 1, "e") for i in range(3)]
    hidden += [TargetEntry(f"a/.deltaglider/{i}", 1, "e") for i in range(3)]
    assert all(is_tool_file(entry.key) for entry in hidden)
    one, two = Fingerprint(), Fingerprint()
    shown = one.add(listing)
    assert two.add([*hidden, *listing]) == shown
    assert (one.text(), one.objects) == (two.text(), two.objects)
    assert two.tool_objects >= 6


@pytest.mark.parametrize("key", ["x.deltaglider/a", ".deltagliderx/a", "a.aios3sync/b", ".aios3sync"])
def test_keys_that_only_look_like_files_of_tools_are_counted(key: str) -> None:
    found = Fingerprint()
    assert found.add([TargetEntry(key, 1, "e")])
    assert found.objects == 1


# Numbers


def test_a_sum_is_known_as_well_as_its_worst_part() -> None:
    assert total(exact(1), exact(2)) == exact(3)
    assert total() == exact(0)
    assert total(exact(1), unknown("why")) == unknown("why")
    estimated = total(exact(1), Number(5, "estimated", note="a guess"))
    assert (estimated.value, estimated.known, estimated.note) == (6, "estimated", "a guess")
    sampled = total(exact(10), Number(5, "sampled", 4, 7, 0.5), Number(1, "estimated"))
    assert (sampled.value, sampled.low, sampled.high, sampled.fraction) == (16, 15, 18, 0.5)
    assert total(exact(10), Number(5, "sampled")).low is None


def test_savings_keep_the_bounds() -> None:
    saved, ratio = savings(Number(200, "sampled", 100, 400), 50)
    assert (saved.value, saved.low, saved.high) == (150, 50, 350)
    assert (ratio.value, ratio.low, ratio.high) == (0.75, 0.5, 0.875)
    assert savings(exact(0), 0)[1].value == 0
    assert savings(unknown("why"), 50)[0].value is None


def test_the_quantiles_of_student_are_never_too_small() -> None:
    true = {1: 12.706, 2: 4.303, 10: 2.228, 15: 2.131, 16: 2.120, 30: 2.042, 31: 2.040, 60: 2.0, 61: 1.9996}
    for degrees, value in true.items():
        assert t_quantile(degrees) >= value - 0.01
    assert t_quantile(10_000) == 2.0


def test_intervals_contain_the_truth_as_often_as_they_should() -> None:
    """200 buckets whose deltas vary by a fifth: at least nine of ten intervals contain the truth."""
    rng = random.Random(11)  # noqa: S311 - the same buckets each time
    held = 0
    for _ in range(200):
        sample, sizes, truth = Sample(), {}, 0
        for folder in range(40):
            base = rng.randrange(1000, 100_000)
            for number in range(rng.randrange(2, 12)):
                entry = TargetEntry(f"f{folder}/v{number}.delta", 10, "e")
                sizes[entry.key] = float(round(base * rng.gauss(1, 0.2)))
                truth += int(sizes[entry.key])
                sample.add("delta", entry)
        asked = {entry.key for _, entry in sample.representatives() + sample.last_objects()}
        found = sample.estimate("delta", {key: sizes[key] for key in asked})
        assert found.half_width is not None
        held += abs(found.value - truth) <= found.half_width
    assert held >= 180


@given(listings, st.randoms(use_true_random=False))
def test_a_sample_does_not_depend_on_the_order(listing: list[TargetEntry], rng: random.Random) -> None:
    other = list(listing)
    rng.shuffle(other)
    one, two = Sample(), Sample()
    for sample, order in ((one, listing), (two, other)):
        for entry in order:
            sample.add("delta", entry)
    assert sorted(one.representatives()) == sorted(two.representatives())
    assert one.last_objects() == two.last_objects()
    folders = {entry.key.rpartition("/")[0] for entry in listing}
    firsts = {min(e for e in listing if e.key.rpartition("/")[0] == folder) for folder in folders}
    assert {entry for _, entry in one.representatives()} == firsts


def test_too_many_folders_share_their_representatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.stats.sampling.MOST_GROUPS", 10)
    sample = Sample()
    for folder in range(20_000):
        sample.add("delta", TargetEntry(f"f{folder}/x.delta", 10, "e"))
    assert sample.shared
    assert len(sample.representatives()) <= 10 + 4096
    found = sample.estimate("delta", {entry.key: 100.0 for _, entry in sample.representatives()})
    assert (found.value, found.objects) == (2_000_000, 20_000)


# Gzip


async def test_objects_of_compressed_extensions_get_a_head_request(bench: Bench) -> None:
    await bench.put_gzip("site/a.css", 10, 100)
    await bench.put_gzip("site/b.CSS", 20, 100)
    await bench.put("site/plain.css", bytes(5))
    await bench.put_gzip("site/c.js", 10, 1000)
    await bench.put("photo.jpg", bytes(50))
    found = await bench.stats(mode="detailed", gzip=("css",))
    kinds = {kind.name: kind for kind in found.kinds}
    assert (kinds["gzip"].objects.value, kinds["gzip"].original_bytes.value) == (2, 200)
    assert found.heads.asked == 3
    assert (found.original_bytes.value, found.original_bytes.known) == (200 + 5 + 10 + 50, "estimated")
    every = await bench.stats(mode="detailed", every=True)
    assert (every.original_bytes.value, every.original_bytes.known) == (1200 + 5 + 50, "exact")
    assert every.heads.asked == 5
    assert (await bench.stats(mode="detailed", gzip=("css",))).cache.state == "hit"


async def test_extensions_that_were_found_compressed_get_head_requests_in_the_next_count(
    bench: Bench,
) -> None:
    await bench.put_gzip("site/a.css", 10, 100)
    await bench.stats(mode="detailed", every=True)
    await bench.put_gzip("site/b.css", 20, 200)
    found = await bench.stats(mode="detailed")
    assert (found.cache.state, found.original_bytes.value, found.heads.asked) == ("stale", 300, 2)


async def test_a_cache_that_asked_for_less_is_not_used(bench: Bench) -> None:
    await bench.put_gzip("a.css", 10, 100)
    assert (await bench.stats(mode="detailed")).original_bytes.value == 10
    assert (await bench.stats(mode="detailed", gzip=("css",))).original_bytes.value == 100
    assert (await bench.stats(mode="detailed")).original_bytes.value == 100
    assert (await bench.stats(mode="detailed", every=True)).cache.state == "miss"


async def test_compressed_objects_can_be_sampled(bench: Bench) -> None:
    for number in range(6):
        await bench.put_gzip(f"site/{number}.css", 10, 100 + number)
    found = await bench.stats(mode="sampled", gzip=("css",))
    assert found.heads.asked == 2
    assert (found.original_bytes.value, found.original_bytes.known) == (600, "sampled")
    assert found.original_bytes.low is not None
    assert found.original_bytes.low < 615 < (found.original_bytes.high or 0)


async def test_one_delta_in_each_folder_is_no_estimate(bench: Bench) -> None:
    for folder in "abc":
        await bench.put_delta(f"{folder}/x.delta", 10, 100)
    found = await bench.stats(mode="sampled")
    assert (found.original_bytes.value, found.original_bytes.known) == (300, "exact")


# Listings


async def test_a_server_that_lists_in_another_order_counts_the_same(bench: Bench) -> None:
    listing = [f"d/{'x/' * (i % 3)}{i:03}{'!/y' if i % 7 == 0 else ''}" for i in range(300)]
    unordered = MemoryStore(order=lambda key: key.split("/"), page_size=lambda asked: 17, clock=lambda: NOW)
    for key in listing:
        await bench.put(key, key.encode())
        unordered.objects[key] = bench.memory.objects[key]
    one = await bench.stats(use_cache=False)
    bench.store.inner = unordered
    two = await bench.stats(use_cache=False)
    assert (one.objects, one.stored_bytes, one.folders) == (two.objects, two.stored_bytes, two.folders)
    assert one.extensions == two.extensions


async def test_an_empty_bucket_and_an_empty_prefix(bench: Bench) -> None:
    found = await bench.stats(mode="detailed")
    assert (found.objects.value, found.original_bytes.value, found.ratio.value) == (0, 0, 0)
    assert found.complete
    assert (await bench.stats("nothing/here/")).objects.value == 0
    assert (await bench.stats(mode="detailed")).cache.state == "hit"


async def test_more_objects_than_the_buffer_holds_are_listed_again_after_a_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_BUFFERED_OBJECTS", 50)
    for number in range(120):
        await bench.put(f"k{number}", b"1")
    await bench.stats()
    assert (await bench.stats()).cache.state == "hit"
    pages = bench.asked["list_page"]
    await bench.put("k7", b"2")
    found = await bench.stats()
    assert (found.cache.state, found.objects.value, found.stored_bytes.value) == ("stale", 120, 120)
    assert bench.asked["list_page"] == 2 * pages


def trees(count: int) -> dict[str, list[str]]:
    """Return ``count`` keys, flat and in many and in few directories."""
    return {
        "flat": [f"{n:05}" for n in range(count)],
        "many": [f"{n % 97:02}/{n:05}" for n in range(count)],
        "few": [f"{n % 4}/{n % 9}/{n:05}" for n in range(count)],
        "siblings": [f"{n % 97:02}{'/' if n % 2 else '.'}{n:05}" for n in range(count)],
    }


@pytest.mark.parametrize("known", [False, True], ids=["any order", "byte order"])
@pytest.mark.parametrize("shape", trees(0))
@pytest.mark.parametrize(("count", "pages"), [(999, 1), (3200, 4), (19_999, 20)])
async def test_a_short_listing_costs_as_many_requests_as_it_has_pages(
    shape: str, count: int, pages: int, *, known: bool
) -> None:
    keys = trees(count)[shape]
    store = FaultyStore(
        MemoryStore(objects=dict.fromkeys(keys, b"x"), capabilities=StoreCapabilities(sorted_listing=known))
    )
    async with list_pages(store, "", 0) as pages_of_it:
        found = [entry.key async for page in pages_of_it for entry in page]
    assert sorted(found) == sorted(keys)
    assert store.calls["list_page"] == pages


@pytest.mark.parametrize("known", [False, True], ids=["any order", "byte order"])
async def test_a_long_listing_is_still_split_and_complete(*, known: bool) -> None:
    keys = [f"{n % 60:02}/{n:05}" for n in range(30_000)]
    store = FaultyStore(
        MemoryStore(objects=dict.fromkeys(keys, b"x"), capabilities=StoreCapabilities(sorted_listing=known))
    )
    async with list_pages(store, "", 0) as pages_of_it:
        found = [entry.key async for page in pages_of_it for entry in page]
    assert sorted(found) == sorted(keys)
    assert len({key for verb, key in store.keys if verb == "list_page"}) > 1
