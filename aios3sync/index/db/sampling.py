"""Select random rows, as steps; without sorting, and uniform by construction.

The rows of a bucket have numbers without gaps, and so have the rows of each folder (their slots), whatever
was deleted: see :mod:`aios3sync.index.db.writes`. :meth:`random.Random.sample` draws different numbers, every
set equally likely, and every row has exactly one number, so every set of rows is equally likely.

The rows below a folder are a part of the bucket. If the part is large, numbers of the bucket are drawn until
enough rows are in the part: rejection sampling is uniform. The rows of a small part get ranks of their own:
first the slots of the folder, then those of one child folder after the other, each with as many ranks as it
has rows (its maintained sum). The folder of a rank is found by descending the sums, one statement a level.

A prefix that is not a folder covers whole folders and some names of one folder. Up to ``EXACT_UP_TO`` such
names are read and get ranks likewise; if there are more, they are a large part of their folder, and are found
by rejection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Any, Final

from aios3sync.index.db.protocol import EXACT_UP_TO
from aios3sync.index.db.queries import COLUMNS, row_of, scope_number
from aios3sync.index.db.steps import Fetch, Steps
from aios3sync.index.db.writes import LAST, SLOTS
from aios3sync.index.rows import ObjectRow, Selection, folder_of, prefix_end

__all__ = ("sample",)

_FOLDER: Final = "SELECT id, objects, direct FROM folders WHERE scope = $1 AND path = $2"
_CHILDREN: Final = "SELECT parent, id, objects, direct FROM folders WHERE parent = ANY($1) ORDER BY path"
_COVERED: Final = """SELECT id, objects, direct FROM folders WHERE parent = $1 AND path >= $2 AND path < $3
    ORDER BY path"""
_NAMED: Final = """SELECT place FROM objects WHERE folder = $1 AND name >= $2 AND name < $3
    ORDER BY name LIMIT $4"""
_PLACED: Final = f"SELECT {COLUMNS}, place FROM objects WHERE place = ANY($1)"  # noqa: S608
_NUMBERED: Final = f"SELECT {COLUMNS}, number FROM objects WHERE scope = $1 AND number = ANY($2)"  # noqa: S608
_TOP: Final = "SELECT objects FROM folders WHERE scope = $1 AND path = ''"
_DRAWS_PER_ROW: Final = 4
"""Ranks that are drawn at once for each wanted row."""
_BATCH: Final = 2048
_LARGE: Final = 0.03
"""The share of a bucket from which drawing from the bucket is faster than descending its folders."""

Node = tuple[int, int, int]
"""A folder: its number, the rows below it, and those directly in it, which have the first ranks."""


def sample(name: str, selection: Selection, count: int, seed: int | None) -> Steps[list[ObjectRow]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.sample`; the rows are in the order of the draw."""
    random = Random(seed)  # noqa: S311 - not for cryptography
    if (scope := (yield from scope_number(name, selection.bucket))) is None:
        return []
    folder = folder_of(selection.prefix) if selection.folder is None else selection.folder
    found = yield Fetch(_FOLDER, (scope, folder))
    if not found:
        return []
    number, objects, direct = map(int, found[0])
    if not objects:
        return []
    if selection.folder is not None:
        drawn = random.sample(range(direct), min(count, direct))
        places = [number * SLOTS + slot for slot in drawn]
    elif selection.prefix == folder:
        (whole,) = (yield Fetch(_TOP, (scope,)))[0]
        if objects >= whole * _LARGE:
            return (
                yield from _of_bucket(scope, selection, min(count, objects), (objects, int(whole)), random)
            )
        drawn = random.sample(range(objects), min(count, objects))
        places = yield from _places((number, objects, direct), drawn)
    else:
        places = yield from _of_prefix((number, objects, direct), selection.prefix, count, random)
    rows = {row[11]: row_of(row, selection.bucket) for row in (yield from _at(places))}
    return [rows[place] for place in places if place in rows]


def _of_bucket(
    scope: int, selection: Selection, count: int, sizes: tuple[int, int], random: Random
) -> Steps[list[ObjectRow]]:
    """Return random rows of a large part of a bucket, drawn from the whole bucket."""
    part, whole = sizes
    chosen: dict[int, ObjectRow] = {}
    # One draw is nearly always enough. A further one only adds rows, so none becomes more likely.
    order = random.sample(range(whole), min(whole, _enough(count, part, whole)))
    while True:
        for start in range(0, len(order), _BATCH):
            drawn = order[start : start + _BATCH]
            rows = {row[11]: row for row in (yield Fetch(_NUMBERED, (scope, drawn)))}
            for number in drawn:
                if rows[number][0].startswith(selection.prefix):
                    chosen[number] = row_of(rows[number], selection.bucket)
                    if len(chosen) == count:
                        return list(chosen.values())
        order = random.sample(range(whole), len(order))


def _enough(count: int, part: int, whole: int) -> int:
    """Return how many numbers to draw to find ``count`` rows of the part, with a margin."""
    return int((count + 3 * count**0.5 + 3) * whole / part) + 1


def _at(places: list[int]) -> Steps[Sequence[Sequence[Any]]]:
    return (yield Fetch(_PLACED, (places,))) if places else []


def _places(top: Node, drawn: Sequence[int]) -> Steps[list[int]]:
    """Return the places of ranks, in their order; descends all folders of one level at once."""
    places: dict[int, int] = {}
    level: list[tuple[Node, dict[int, int]]] = [(top, {rank: rank for rank in drawn})]
    while level:
        deeper = [(node, _slots(node, ranks, places)) for node, ranks in level]
        deeper = [(node, ranks) for node, ranks in deeper if ranks]
        children = yield from _children([node[0] for node, _ in deeper])
        level = []
        for node, ranks in deeper:
            level += _by_child(children[node[0]], ranks)
    return [places[rank] for rank in drawn]


def _slots(node: Node, ranks: dict[int, int], places: dict[int, int]) -> dict[int, int]:
    """Set the places of ranks in the folder itself; return the others, relative to its first child."""
    number, _, direct = node
    left: dict[int, int] = {}
    for rank, rest in ranks.items():
        if rest < direct:
            places[rank] = number * SLOTS + rest
        else:
            left[rank] = rest - direct
    return left


def _by_child(children: Sequence[Node], ranks: dict[int, int]) -> list[tuple[Node, dict[int, int]]]:
    """Group ranks by the child that they belong to, and make them relative to it."""
    ends = list(accumulate(child[1] for child in children))
    shares: dict[int, dict[int, int]] = {}
    for rank, rest in ranks.items():
        place = bisect_right(ends, rest)
        shares.setdefault(place, {})[rank] = rest - (ends[place] - children[place][1])
    return [(children[place], share) for place, share in shares.items()]


def _children(parents: list[int]) -> Steps[dict[int, list[Node]]]:
    children: dict[int, list[Node]] = {parent: [] for parent in parents}
    if parents:
        for parent, *node in (yield Fetch(_CHILDREN, (parents,))):
            children[parent].append((int(node[0]), int(node[1]), int(node[2])))
    return children


def _of_prefix(top: Node, prefix: str, count: int, random: Random) -> Steps[list[int]]:
    """Return the places of random rows of a prefix that is not a folder."""
    number = top[0]
    folder = folder_of(prefix)
    end = prefix_end(prefix) or LAST
    first, last = prefix[len(folder) :], end[len(folder) :] or LAST
    named = [int(row[0]) for row in (yield Fetch(_NAMED, (number, first, last, EXACT_UP_TO + 1)))]
    covered = [(int(a), int(b), int(c)) for a, b, c in (yield Fetch(_COVERED, (number, prefix, end)))]
    if len(named) > EXACT_UP_TO:
        return (yield from _by_rejection(top, prefix, count, random))
    ranks = random.sample(range(whole := len(named) + sum(node[1] for node in covered)), min(count, whole))
    places = {rank: named[rank] for rank in ranks if rank < len(named)}
    below = {rank: rank - len(named) for rank in ranks if rank >= len(named)}
    for node, share in _by_child(covered, below):
        found = yield from _places(node, list(share.values()))
        places.update(zip(share, found, strict=True))
    return [places[rank] for rank in ranks]


def _by_rejection(top: Node, prefix: str, count: int, random: Random) -> Steps[list[int]]:
    """Draw from the whole folder until enough rows have the prefix; more than EXACT_UP_TO rows have it."""
    chosen: dict[int, None] = {}
    tries = _DRAWS_PER_ROW * count
    while len(chosen) < min(count, EXACT_UP_TO):
        drawn = yield from _places(top, random.sample(range(top[1]), min(tries, top[1])))
        keys = {row[11]: row[0] for row in (yield from _at(drawn))}
        for place in drawn:
            if keys[place].startswith(prefix) and len(chosen) < count:
                chosen[place] = None
    return list(chosen)
