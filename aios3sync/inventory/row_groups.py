"""RowGroup: a part of a Parquet or ORC file that can be read alone, and the keys that it may hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.inventory.span import ALL_KEYS, KeySpan

__all__ = ("RowGroup", "joined_ranges", "wanted_groups")

_NEAR: Final = 2**20
"""Ranges that are nearer to each other are fetched as one."""


class RowGroup(NamedTuple):
    """A row group of Parquet, or a stripe of ORC.

    Attributes:
        number: its place in the file, from 0.
        rows: number of its rows.
        bounds: the least and the greatest of its keys, or bounds of them; ``None`` where they are not known.
        ranges: offsets of the bytes of the columns that are read; ends are exclusive.
        key_range: offsets of the bytes of its keys.
    """

    number: int
    rows: int
    bounds: tuple[str, str] | None
    ranges: tuple[tuple[int, int], ...]
    key_range: tuple[int, int]

    def may_meet(self, span: KeySpan) -> bool:
        """Whether it may hold a wanted key."""
        return self.bounds is None or span.may_meet(*self.bounds)


def wanted_groups(groups: Sequence[RowGroup], span: KeySpan) -> list[RowGroup]:
    """Return the groups that may hold a wanted key."""
    return [group for group in groups if span == ALL_KEYS or group.may_meet(span)]


def joined_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges in ascending order; ranges that are near to each other are joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start - joined[-1][1] <= _NEAR:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
