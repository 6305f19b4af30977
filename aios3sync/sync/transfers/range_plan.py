"""Cuts a large object into ranges, so that the digests of its parts can prove it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.etag import part_count, part_size_candidates
from aios3sync.core.parts import MIB

__all__ = ("RangePlan", "plan_ranges")

_RANGE: Final = 8 * MIB
_LARGEST_RANGE: Final = 16 * MIB
_MOST_RANGES_OF_A_PART: Final = 1024


class RangePlan(NamedTuple):
    """The ranges of one object.

    Attributes:
        size: bytes of the object.
        range_size: bytes of each range but the last.
        part_size: bytes of each part but the last, where the ETag is one of parts: a multiple of the range
            size. 0 where the ETag is of the whole or proves nothing.
    """

    size: int
    range_size: int
    part_size: int

    def starts(self) -> range:
        """Return where the ranges start."""
        return range(0, self.size, self.range_size)

    def length(self, start: int) -> int:
        """Return the bytes of the range that starts there."""
        return min(self.range_size, self.size - start)

    def ranges_of_part(self, start: int) -> range:
        """Return the starts of all ranges of the part that the range at ``start`` belongs to."""
        first = start - start % self.part_size
        return range(first, min(first + self.part_size, self.size), self.range_size)

    def parts(self) -> Iterator[tuple[int, int]]:
        """Yield the offset and the length of every part."""
        for start in range(0, self.size, self.part_size):
            yield start, min(self.part_size, self.size - start)


def plan_ranges(size: int, etag: str, *known: int, largest: int = _LARGEST_RANGE) -> RangePlan:
    """Cut an object into ranges: its parts, or equal pieces of them, where the ETag says how many it has.

    The same object is always cut in the same way, so that a later run can continue.

    Args:
        size: bytes.
        etag: of the object.
        known: the most likely part sizes.
        largest: bytes of a range at most.
    """
    for part_size in part_size_candidates(size, part_count(etag), *known)[:1]:
        for pieces in range(1, _MOST_RANGES_OF_A_PART):
            if part_size % pieces == 0 and part_size // pieces <= largest:
                return RangePlan(size, part_size // pieces, part_size)
    return RangePlan(size, min(_RANGE, largest), 0)
