"""How the keys of an inventory are spread, from a bounded part of it; shards that are cut by it."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync._dataclass import replace
from aios3sync.core.key_range import KeyRange
from aios3sync.core.keys import Location
from aios3sync.distributed.estimates import weights_of
from aios3sync.distributed.shards import Weight, cut
from aios3sync.inventory import fetch, sample
from aios3sync.inventory.files import InventoryError
from aios3sync.inventory.manifest import open_inventory
from aios3sync.inventory.sample import KeySample, Unread, sample_inventory
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.request import SyncRequest
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from tests.distributed.sharding import Sharding
from tests.inventory.test_files import RUN, file_of, placed, row
from tests.inventory.test_ordered import large_orc, large_parquet

FORMS = pytest.mark.parametrize("form", ["csv.gz", "parquet", "orc"])
KEYS = st.lists(st.text("ab/\U0001f600é\ue000", min_size=1, max_size=5), min_size=1, unique=True, max_size=60)
LAYOUTS = ("sorted", "mixed", "shuffled")


def divided(keys: Sequence[str], files: int, layout: str) -> list[list[str]]:
    """Divide keys among files: one after the other, or each a part of everywhere, in order or not."""
    ordered = sorted(keys)
    if layout == "sorted":
        size = -(-len(ordered) // files)
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]
    if layout == "shuffled":
        random.Random(7).shuffle(ordered)  # noqa: S311 - the order of a test
    return [ordered[number::files] for number in range(files) if ordered[number::files]]


def store_of(form: str, parts: Sequence[Sequence[str]]) -> MemoryStore:
    return placed(
        {f"inv/{n}.{form}": file_of(form, [row(key) for key in part]) for n, part in enumerate(parts)}
    )


async def weights_in(store: ObjectStore, prefix: str = "") -> list[Weight]:
    return await sample_inventory(store, await open_inventory(store, RUN + "manifest.json"), prefix)


def loads(ranges: Sequence[KeyRange], keys: Sequence[str]) -> list[int]:
    return [sum(map(each.holds, keys)) for each in ranges]


@FORMS
@pytest.mark.parametrize("prefix", ["", "a", "a/"])
@given(keys=KEYS, files=st.integers(1, 4), layout=st.sampled_from(LAYOUTS), count=st.integers(1, 8))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_inventory_that_is_read_whole_gives_each_key_its_weight(
    form: str, prefix: str, keys: list[str], files: int, layout: str, count: int
) -> None:
    """So all that holds of a cut by weights holds of this one, see tests/distributed/test_shards.py."""
    weights = await weights_in(store_of(form, divided(keys, files, layout)), prefix)
    wanted = sorted(key for key in keys if key.startswith(prefix))
    assert weights == [(key, 1) for key in wanted]
    ranges = cut(weights, count)
    assert ranges[0].first == ranges[-1].end == ""
    assert all(one.end == other.first for one, other in pairwise(ranges))
    found = loads(ranges, wanted)
    assert sum(found) == len(wanted)
    if wanted and 3 * count <= len(wanted):
        assert len(found) == count
        assert max(found) <= 2 * min(found)


NAMES = [f"p/{number:05}" for number in range(3000)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["csv.gz", "parquet", "orc", "snappy"])
async def test_a_part_of_an_inventory_leads_to_shards_of_similar_work(
    form: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file in eight, or one row group in some, is read; the bounds of the others tell the rest."""
    parts = divided([*NAMES, *(f"q/{number}" for number in range(500))], 24, layout)
    store = FaultyStore(store_of_large(form, parts))
    largest = max(len(body) for body in store.inner.bodies().values())  # type: ignore[attr-defined]
    most = largest // 4 if form == "parquet" else 3 * largest
    monkeypatch.setattr(sample, "_MOST_BYTES", most)
    monkeypatch.setattr(fetch, "_FOOTER", 1000)
    monkeypatch.setattr(sample, "_HEAD", 500)
    weights = await weights_in(store, "p/")
    found = loads(cut(weights, 8), NAMES)
    assert len(found) == 8
    if (form, layout) == ("snappy", "sorted"):
        return  # files that tell nothing of what they hold, and hold the keys of one place each
    assert max(found) <= 2 * min(found), found


def store_of_large(form: str, parts: Sequence[Sequence[str]]) -> MemoryStore:
    if form == "csv.gz":
        return store_of(form, parts)
    files = {}
    for number, part in enumerate(parts):
        keys = list(part)
        body = (
            large_parquet(keys) if form == "parquet" else large_orc(keys, "zlib" if form == "orc" else form)
        )
        files[f"inv/{number}.{'parquet' if form == 'parquet' else 'orc'}"] = body
    return placed(files)


@given(st.lists(st.integers(0, 3000), max_size=8), st.integers(1, 50))
def test_kept_keys_lie_at_even_distances(batches: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "_MOST_KEYS", most)
        kept, at = KeySample(), 0
        for size in batches:
            kept.read([f"{number:06}" for number in range(at, at + size)])
            at += size
    weights = kept.weights()
    assert len(weights) < 2 * most or len(weights) <= at
    places = [int(key) for key, _ in weights]
    assert len({right - left for left, right in pairwise(places)}) <= 1
    assert places[:1] == [0][: len(places)]
    step = weights[0][1] if weights else 1
    assert at <= step * len(weights) < at + step
    assert len(weights) <= 2 * most


def test_what_was_not_read_is_spread_over_what_was() -> None:
    kept = KeySample()
    kept.read(["p/c", "p/a", "p/b"])
    kept.leave(Unread(6, "p/b", "p/d"))
    kept.leave(Unread(5, "p/x", "p/z"))
    kept.leave(Unread(9, "q", "r"))
    kept.leave(Unread(9, "a", "o"))
    assert kept.weights("p/") == [("p/a", 1), ("p/b", 4), ("p/c", 4), ("p/x", 5)]
    kept.leave(Unread(3))
    assert kept.weights("p/") == [("p/a", 2), ("p/b", 5), ("p/c", 5), ("p/x", 5)]
    assert KeySample().weights() == []


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much for ten times as many keys."""
    monkeypatch.setattr(sample, "_MOST_KEYS", 1000)
    peaks = []
    for keys in (10_000, 100_000):
        kept = KeySample()
        tracemalloc.start()
        try:
            for start in range(0, keys, 500):
                kept.read([f"some/key/{number:08}" for number in range(start, start + 500)])
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


async def test_a_damaged_file_is_named() -> None:
    store = placed({"inv/0.csv.gz": file_of("csv.gz", [row("a")]), "inv/1.csv.gz": b"no gzip"})
    with pytest.raises(InventoryError, match=r"inv/1\.csv\.gz"):
        await weights_in(store)


def request_of(bench: Sharding, **options: Any) -> SyncRequest:
    place = "inventory:s3://destination/" + RUN + "manifest.json"
    return bench.request(**dict.fromkeys(options, place))


@pytest.mark.parametrize("side", ["source_listing", "target_listing"])
async def test_a_cluster_run_is_cut_by_an_inventory(side: str, tmp_path: Path) -> None:
    """No listing, and no walk of the tree: the bucket and the directory of this test are empty."""
    keys = [f"p/{number:04}" for number in range(400)]
    inventory = store_of("parquet", [keys])
    down = side == "source_listing"
    bench = Sharding(
        tmp_path / "m", tmp_path / "t", MemoryStore("source"), direction="down" if down else "up"
    )

    async def opened() -> ObjectStore:
        return inventory

    resources = bench.resources()
    if down:
        resources = replace(resources, open_source_inventory=opened)
    else:
        resources = replace(resources, open_target_inventory=opened)
    request = replace(request_of(bench, **{side: True}), location=Location("source", "p/"))
    weights = await weights_of(request, resources, None, 4)
    assert loads(cut(weights, 4), [key[2:] for key in keys]) == [100] * 4
    assert await weights_of(request, resources, None, 1) == []
    # An inventory with too few objects to cut at tells nothing of a source.
    if not down:
        (tmp_path / "t").mkdir()
        (tmp_path / "t" / "file").touch()
        assert await weights_of(request, resources, None, 400) == [("file", 1)]
