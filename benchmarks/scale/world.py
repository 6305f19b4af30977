"""The keys of a simulation: directories of many sizes, what is known of them before, and where each key is.

Keys are not made one by one: a directory is its size. A key is known by its place in key order, a number.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from aios3sync.core.key_range import KeyRange

__all__ = ("World", "make_world")

_SIGMA = 1.5
"""Spread of the sizes of directories: the largest of a million has about a thousand times the median."""
_LARGE = 0.005
"""Share of all keys in one flat directory."""
_INSIDE = 10_000
"""An inventory or a manifest knows keys in directories too: one weight for so many of them."""


@dataclass(frozen=True)
class World:
    """Directories in key order.

    Attributes:
        sizes: keys in each, in truth.
        known: keys in each as of the last inventory or run.
        starts: the place of the first key of each, and after the last one.
    """

    sizes: Sequence[int]
    known: Sequence[int]
    starts: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", [0, *accumulate(self.sizes)])

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return self.starts[-1]

    def weights(self) -> Iterator[tuple[str, int]]:
        """Yield what is known, as weights for :func:`~aios3sync.distributed.shards.cut`."""
        for number, size in enumerate(self.known):
            yield _directory(number), min(size, _INSIDE)
            for inside in range(_INSIDE, size, _INSIDE):
                yield f"{_directory(number)}{inside:09d}", min(size - inside, _INSIDE)

    def place(self, key: str) -> int:
        """Return the place of the first key that is not before a bound of a range."""
        name, _, inside = key.partition("/")
        number = int(name, 16)
        start, size = self.starts[number], self.sizes[number]
        if not inside:
            return start
        return start + min(size, size * int(inside) // max(self.known[number], 1))

    def places(self, keys: KeyRange) -> tuple[int, int]:
        """Return the first place of a range and the one after its last."""
        first = self.place(keys.first) if keys.first else 0
        return first, self.place(keys.end) if keys.end else self.keys

    def directory_of(self, place: int) -> int:
        """Return the number of the directory that a place is in."""
        return bisect_right(self.starts, place) - 1


def _directory(number: int) -> str:
    return f"{number:07x}/"


def make_world(keys: int, directories: int, error: float, seed: int) -> World:
    """Return directories with so many keys in all; the same for the same arguments.

    Args:
        keys: in all.
        directories: how many.
        error: spread of what is known of a directory against the truth.
        seed: of the random numbers.
    """
    numbers = random.Random(seed)  # noqa: S311 - the same each time
    shares = [numbers.lognormvariate(0.0, _SIGMA) for _ in range(directories)]
    shares[directories // 3] = _LARGE * sum(shares)
    unit = keys / sum(shares)
    ends = [round(end * unit) for end in accumulate(shares)]
    sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    known = [max(1, round(size * numbers.lognormvariate(0.0, error))) for size in sizes]
    return World(sizes, known)
