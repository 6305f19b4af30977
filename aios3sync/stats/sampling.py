"""A stratified sample of objects, and what it says of all of them. Pure.

A sample sends a HEAD request for one object of each group: a folder of deltas, or an extension within a
folder. The last objects of the largest groups are asked too; their spread gives the confidence interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final
from zlib import crc32

from aios3sync._dataclass import dataclass
from aios3sync.core.entries import TargetEntry

__all__ = ("MOST_GROUPS", "Estimate", "Sample", "Stratum", "t_quantile")

MOST_GROUPS: Final = 20_000
"""Groups of a sample; more of them are merged."""
_SHARED: Final = 4096
"""Groups beyond MOST_GROUPS share these, by a hash of their names."""
_PAIRS: Final = 32
"""Groups of which a second object is asked."""
# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom, and the normal one beyond.
_T: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
_T_BEYOND: Final = ((30, 2.12), (60, 2.04), (math.inf, 2.00))


def t_quantile(degrees: int) -> float:
    """Return Student's t for a two-sided confidence of 95 %, never smaller than the true one."""
    if degrees <= len(_T):
        return _T[degrees - 1]
    return next(value for limit, value in _T_BEYOND if degrees <= limit)


@dataclass(slots=True)
class Stratum:
    """One group: its category, its objects and their bytes, its first and last object by key."""

    category: str
    objects: int
    stored: int
    first: TargetEntry
    last: TargetEntry

    @property
    def weight(self) -> int:
        """The factor for the value of one object: deltas count alike, others by their bytes."""
        return self.objects if self.category == "delta" else self.stored


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated sum.

    Attributes:
        value: bytes before compression.
        half_width: of the confidence interval, ``None`` where nothing shows the spread.
        objects: all objects of the category.
        asked: those with an answered HEAD request.
        unanswered: bytes as stored of groups without an answer; they are in ``value`` by the others' ratio.
        all_asked: every group has one object, so nothing is estimated.
    """

    value: float = 0.0
    half_width: float | None = 0.0
    objects: int = 0
    asked: int = 0
    unanswered: int = 0
    all_asked: bool = True


class Sample:
    """The groups of a listing that arrives in any order; memory is bounded.

    Attributes:
        shared: some groups had to be merged, because there were too many.
    """

    def __init__(self) -> None:
        self.shared = False
        self._strata: dict[str, Stratum] = {}

    def add(self, category: str, entry: TargetEntry) -> None:
        """Add one object of a category that needs HEAD requests."""
        folder, _, name = entry.key.rpartition("/")
        group = folder if category == "delta" else f"{folder}\0{name.rpartition('.')[2].lower()}"
        stratum = self._strata.get(group)
        if stratum is None and len(self._strata) >= MOST_GROUPS:
            self.shared = True
            group = f"\0{category}{crc32(group.encode('utf-8', 'surrogatepass')) % _SHARED}"
            stratum = self._strata.get(group)
        if stratum is None:
            self._strata[group] = Stratum(category, 1, entry.size, entry, entry)
            return
        stratum.objects += 1
        stratum.stored += entry.size
        if entry.key < stratum.first.key:
            stratum.first = entry
        elif entry.key > stratum.last.key:
            stratum.last = entry

    def representatives(self) -> list[tuple[str, TargetEntry]]:
        """Return the object that represents each group, with its category."""
        return [(stratum.category, stratum.first) for stratum in self._strata.values()]

    def last_objects(self) -> list[tuple[str, TargetEntry]]:
        """Return the last objects of the largest groups: they show how much a group varies."""
        several = [stratum for stratum in self._strata.values() if stratum.objects > 1]
        several.sort(key=lambda stratum: (-stratum.objects, stratum.first.key))
        return [(stratum.category, stratum.last) for stratum in several[:_PAIRS]]

    def delta_bytes(self, sizes: Mapping[str, int]) -> int:
        """Return the sum of the deltas as DeltaGlider computes it: groups without an answer count as 0.

        Args:
            sizes: by key, original bytes of the deltas that were asked.
        """
        return sum(s.objects * sizes[s.first.key] for s in self._of("delta") if s.first.key in sizes)

    def estimate(self, category: str, values: Mapping[str, float]) -> Estimate:
        """Return an estimate of the original bytes of all objects of a category.

        Args:
            category: ``delta`` or ``candidate``.
            values: by key, original bytes of a delta, or original divided by stored bytes of another object.
        """
        strata = self._of(category)
        known = [(stratum, values[stratum.first.key]) for stratum in strata if stratum.first.key in values]
        value = sum(stratum.weight * one for stratum, one in known)
        stored = sum(stratum.stored for stratum, _ in known)
        unanswered = sum(stratum.stored for stratum in strata) - stored
        value += unanswered * (value / stored if stored else 1.0)
        return Estimate(
            value,
            self._half_width(known, values),
            sum(stratum.objects for stratum in strata),
            len(
                {one.key for stratum in strata for one in (stratum.first, stratum.last) if one.key in values}
            ),
            unanswered,
            all(stratum.objects == 1 for stratum in strata),
        )

    def _of(self, category: str) -> list[Stratum]:
        return [stratum for stratum in self._strata.values() if stratum.category == category]

    def _half_width(self, known: list[tuple[Stratum, float]], values: Mapping[str, float]) -> float | None:
        if all(stratum.objects == 1 for stratum, _ in known):
            return 0.0
        pairs = [(one, values[s.last.key]) for s, one in known if s.objects > 1 and s.last.key in values]
        spreads = [2 * ((one - other) / (one + other)) ** 2 for one, other in pairs if one + other > 0]
        if not spreads:
            return None
        spread = sum(spreads) / len(spreads)
        # One of n objects was asked: the variance of n times its value, corrected for finite groups.
        variance = sum((s.weight * one) ** 2 * (1 - 1 / s.objects) * spread for s, one in known)
        return t_quantile(len(spreads)) * math.sqrt(variance)
