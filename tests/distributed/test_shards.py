"""Cuts of a sync: they hold each key once, are balanced, and keep prefixes whole where that is asked."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.distributed.shards import Weight, condensed, cut, spread
from aios3sync.errors import OutOfOrderError

ALPHABET = "!-./0a\ue000é\U00010000"
keys = st.text(ALPHABET, min_size=1, max_size=6)
works = st.integers(0, 50)
weights = st.dictionaries(keys, works, max_size=60).map(lambda known: sorted(known.items()))
counts = st.integers(1, 12)


def work_in(key_range: KeyRange, known: list[Weight]) -> int:
    return sum(work for key, work in known if key_range.holds(key))


@given(weights, counts, st.booleans(), st.lists(st.text(ALPHABET + "zZ"), max_size=20))
def test_every_key_is_in_one_range(known: list[Weight], count: int, whole: bool, others: list[str]) -> None:
    ranges = cut(known, count, whole_prefixes=whole)
    assert 1 <= len(ranges) <= count
    assert ranges[0].first == ranges[-1].end == ""
    assert all(one.end == other.first for one, other in pairwise(ranges))
    assert all(one.first < one.end for one in ranges[:-1])
    for key in [key for key, _ in known] + others:
        assert sum(each.holds(key) for each in ranges) == 1


@given(weights, counts)
def test_ranges_take_similar_work(known: list[Weight], count: int) -> None:
    """Twice as much at most, unless a single weight is more than a third of a fair share."""
    loads = [work_in(each, known) for each in cut(known, count)]
    total, largest = sum(loads), max([work for _, work in known], default=0)
    assert max(loads) * count <= total + largest * count
    if total and 3 * largest * count <= total:
        assert len(loads) == count
        assert max(loads) <= 2 * min(loads)


def best(known: list[Weight], count: int) -> int:
    """The least work that the heaviest of so many ranges can have, by trying all."""
    most = 0
    while True:
        needed, load = 1, 0
        for _, work in known:
            if load + work > most:
                needed, load = needed + 1, 0
            load += work
        if needed <= count and all(work <= most for _, work in known):
            return most
        most += 1


@given(weights, counts)
def test_the_heaviest_is_at_most_twice_the_best(known: list[Weight], count: int) -> None:
    assert max(work_in(each, known) for each in cut(known, count)) <= 2 * best(known, count)


def directories(known: list[Weight]) -> dict[str, int]:
    """The work of the weights of each top prefix; of those that have none, their own."""
    found: dict[str, int] = {}
    for key, work in known:
        top = key[: key.find("/") + 1] or key
        found[top] = found.get(top, 0) + work
    return found


@given(weights, counts)
def test_prefixes_stay_whole(known: list[Weight], count: int) -> None:
    """A range begins with the first key of a prefix, and so holds all keys of the prefixes within it."""
    for each in cut(known, count, whole_prefixes=True)[1:]:
        assert each.first.endswith("/")
        below = [key for key, _ in known if key.startswith(each.first)]
        earlier = [key for key, _ in known if key < each.first]
        assert below
        assert all(each.holds(key) or key >= each.end > each.first for key in below)
        assert not any(key.startswith(each.first) for key in earlier)


@given(st.lists(st.integers(1, 9), min_size=24, max_size=80), st.integers(2, 4))
def test_whole_prefixes_take_similar_work(sizes: list[int], count: int) -> None:
    """With directories of which none is large, the balance is that of a cut anywhere."""
    known = [(f"d{number:02}/{name}", 1) for number, size in enumerate(sizes) for name in range(size)]
    loads = [work_in(each, known) for each in cut(known, count, whole_prefixes=True)]
    if 3 * max(sizes) * count <= sum(sizes):
        assert len(loads) == count
        assert max(loads) <= 2 * min(loads)


def test_one_large_directory_is_cut_only_where_keys_are_known_in_order() -> None:
    known = [(f"all/{number:03}", 1) for number in range(100)]
    assert len(cut(known, 4)) == 4
    assert cut(known, 4, whole_prefixes=True) == [EVERYTHING]


@pytest.mark.parametrize("known", [[], [("a", 0), ("b", 0)]])
def test_nothing_known_is_one_range(known: list[Weight]) -> None:
    assert cut(known, 8) == [EVERYTHING]


def test_weights_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(OutOfOrderError):
        cut([("b", 1), ("a", 1)], 2)
    with pytest.raises(ValueError, match="at least 1"):
        cut([("a", 1)], 0)


@given(weights, st.integers(1, 5))
def test_neighbours_are_put_together(known: list[Weight], most: int) -> None:
    kept = condensed(known, most)
    assert len(kept) <= 2 * most
    assert sum(work for _, work in kept) == sum(work for _, work in known)
    assert kept[:1] == [(known[0][0], kept[0][1])] if known else kept == []
    bounds = [key for key, _ in kept]
    assert bounds == sorted(bounds)
    for (first, work), end in zip(kept, [*bounds[1:], None], strict=False):
        assert work == sum(one for key, one in known if key >= first and (end is None or key < end))


def test_a_million_weights_are_cut_into_even_ranges() -> None:
    ranges = cut(((f"{number:07}", 1) for number in range(1_000_000)), 128)
    loads = [int(each.end or 1_000_000) - int(each.first or 0) for each in ranges]
    assert len(loads) == 128
    assert max(loads) < 1.01 * min(loads)


@given(st.integers(0, 60), st.integers(1, 20))
def test_shards_at_work_at_once_are_spread(shards: int, nodes: int) -> None:
    order = spread(range(shards), nodes)
    assert sorted(order) == list(range(shards))
    if shards % nodes == 0 and shards:
        step = shards // nodes
        for first in range(0, shards, nodes):  # each round has one of every part of the key space
            assert [number // step for number in order[first : first + nodes]] == list(range(nodes))
