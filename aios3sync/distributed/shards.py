"""Cut a sync into key ranges of similar work. Pure.

The distribution of keys is given as *weights*: pairs of a key, or of a prefix that ends in ``/``, and the
work of all keys from it up to the next one. They ascend.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.errors import OutOfOrderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ("Weight", "condensed", "cut", "spread")

T = TypeVar("T")
Weight = tuple[str, int]
"""A key or prefix, and the work of all keys from it up to the next one."""

_DELIMITER: Final = "/"
_MOST: Final = 65_536
"""Weights that are kept in memory; beyond that neighbours are merged."""


def spread(shards: Sequence[T], at_once: int) -> list[T]:
    """Return shards in an order in which those that run at the same time lie far apart.

    S3 takes a number of requests a second for each partition of the key space: in key order all nodes would
    load the same few of them
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html).

    Args:
        shards: in key order.
        at_once: how many run at the same time.
    """
    step = max(1, len(shards) // max(at_once, 1))
    return [shards[place] for first in range(step) for place in range(first, len(shards), step)]


def cut(weights: Iterable[Weight], count: int, *, whole_prefixes: bool = False) -> list[KeyRange]:
    """Return ascending ranges that together hold every key once, whether or not the weights include it.

    No range takes more than a fair share and one weight. So the heaviest takes at most twice as long as the
    lightest where no single weight is more than a third of a fair share, and at most twice as long as the
    heaviest of the best cut in any case.

    Args:
        weights: ascending; many of them are merged as :func:`condensed` does.
        count: of ranges; there are fewer where the weights do not allow as many.
        whole_prefixes: begin ranges at prefixes that end in ``/`` alone. Endpoints that do not list in byte
            order can only list whole prefixes.

    Raises:
        OutOfOrderError: the weights do not ascend.
        ValueError: ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"{count} ranges: give at least 1")
    places = _prefixes(weights) if whole_prefixes else _ascending(weights)
    known = condensed(places)
    ends = list(accumulate(work for _, work in known))
    bounds = [known[place][0] for place in _boundaries(ends, count)]
    return [KeyRange(*pair) for pair in zip(["", *bounds], [*bounds, ""], strict=True)] or [EVERYTHING]


def _boundaries(ends: Sequence[int], count: int) -> list[int]:
    """Return the indices of the weights that begin a range, except the first range, ascending.

    Each is nearest to its ideal place, so that a range is off by at most half a weight at either end.
    """
    if not ends or not ends[-1]:
        return []
    found: list[int] = []
    for number in range(1, count):
        # In whole numbers: work * count against total * number.
        fair = ends[-1] * number
        place = bisect_left(ends, fair, key=lambda work: work * count)
        before = ends[place - 1] if place else 0
        if ends[place] * count - fair <= fair - before * count:
            place += 1
        if (found[-1] if found else 0) < place < len(ends):
            found.append(place)
    return found


def condensed(weights: Iterable[Weight], most: int = _MOST) -> list[Weight]:
    """Return at most ``2 * most`` weights for any number of them, read once.

    Pairs of neighbours are merged whenever there are too many, so that all weights are about equally exact.
    """
    kept: list[Weight] = []
    unit = 1
    sums: Weight | None = None
    left = 0
    for key, work in weights:
        if sums is None:
            sums, left = (key, work), unit
        else:
            sums = (sums[0], sums[1] + work)
        left -= 1
        if left:
            continue
        kept.append(sums)
        sums = None
        if len(kept) >= 2 * most:
            kept = _halved(kept)
            unit *= 2
    if sums is not None:
        kept.append(sums)
    return kept


def _halved(weights: list[Weight]) -> list[Weight]:
    """Return the weights with every two neighbours merged; their number is even."""
    pairs = zip(weights[::2], weights[1::2], strict=True)
    return [(key, work + more) for (key, work), (_, more) in pairs]


def _ascending(weights: Iterable[Weight]) -> Iterator[Weight]:
    previous: str | None = None
    for key, work in weights:
        if previous is not None and key <= previous:
            raise OutOfOrderError("weights", previous, key)
        previous = key
        yield key, work


def _prefixes(weights: Iterable[Weight]) -> Iterator[Weight]:
    """Yield weights that begin at prefixes: the work of a key belongs to the prefix that began before it.

    A prefix begins at the first key below it; of several that begin there it is the shortest.
    """
    current: Weight | None = None
    previous = ""
    for key, work in _ascending(weights):
        begun = _begun(previous, key)
        previous = key
        if current is None:
            current = (begun or key, work)
        elif begun:
            yield current
            current = (begun, work)
        else:
            current = (current[0], current[1] + work)
    if current is not None:
        yield current


def _begun(previous: str, key: str) -> str:
    """Return the shortest prefix of ``key`` that ends in the delimiter and comes after ``previous``."""
    end = key.find(_DELIMITER) + 1
    while end:
        if key[:end] > previous:
            return key[:end]
        end = key.find(_DELIMITER, end) + 1
    return ""
