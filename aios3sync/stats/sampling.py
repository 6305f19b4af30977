"""Picks one object of each group to stand for it, and says how far that may be off. Pure.

A group is a folder with deltas, or the compressed objects of one extension in a folder. As DeltaGlider does,
the first object of a group by key stands for all of it. One object cannot show how much a group varies, so of
some groups the last one by key is asked as well; the relative spread of these pairs is taken for that of all
groups, and gives the interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from aios3sync.core.entries import TargetEntry

__all__ = ("Estimate", "Sample", "Stratum", "quantile")

MOST_GROUPS: Final = 20_000
_SHARED: Final = 4096
"""Groups beyond the most share these, by a hash of their names."""
_PAIRS: Final = 32

# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom, and the normal one beyond.
_T: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
_T_BEYOND: Final = ((30, 2.12), (60, 2.04), (math.inf, 2.00))


def quantile(degrees: int) -> float:
    """Student's t for a two-sided confidence of 95 %, never smaller than the true one."""
    if degrees <= len(_T):
        return _T[degrees - 1]
    return next(value for limit, value in _T_BEYOND if degrees <= limit)


@dataclass(slots=True)
class Stratum:
    """One group: its place in the listing's kinds, how much is in it, its first and last object by key."""

    place: str
    objects: int
    stored: int
    first: TargetEntry
    last: TargetEntry

    @property
    def weight(self) -> int:
        """What the value of one object is multiplied with: deltas count alike, others by their bytes."""
        return self.objects if self.place == "delta" else self.stored


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated sum.

    Attributes:
        value: bytes before compression.
        half_width: of the interval, ``None`` where nothing shows the spread.
        objects: that it stands for.
        asked: of these.
        guessed: bytes as stored of groups that told nothing; they are in ``value`` by the others' ratio.
        all_asked: every group has one object, so nothing is estimated.
    """

    value: float = 0.0
    half_width: float | None = 0.0
    objects: int = 0
    asked: int = 0
    guessed: int = 0
    all_asked: bool = True


class Sample:
    """The groups of a listing that comes in any order; memory is bounded.

    Attributes:
        shared: some groups had to be put together, because there were too many.
    """

    def __init__(self) -> None:
        self.shared = False
        self._strata: dict[str, Stratum] = {}

    def add(self, place: str, entry: TargetEntry) -> None:
        """Add one object that may be asked."""
        folder, _, name = entry.key.rpartition("/")
        group = folder if place == "delta" else f"{folder}\0{name.rpartition('.')[2].lower()}"
        stratum = self._strata.get(group)
        if stratum is None and len(self._strata) >= MOST_GROUPS:
            self.shared = True
            group = f"\0{place}{crc32(group.encode('utf-8', 'surrogatepass')) % _SHARED}"
            stratum = self._strata.get(group)
        if stratum is None:
            self._strata[group] = Stratum(place, 1, entry.size, entry, entry)
            return
        stratum.objects += 1
        stratum.stored += entry.size
        if entry.key < stratum.first.key:
            stratum.first = entry
        elif entry.key > stratum.last.key:
            stratum.last = entry

    def firsts(self) -> list[tuple[str, TargetEntry]]:
        """The objects that stand for the groups."""
        return [(stratum.place, stratum.first) for stratum in self._strata.values()]

    def seconds(self) -> list[tuple[str, TargetEntry]]:
        """The last objects of the largest groups, to see how much groups vary."""
        several = [stratum for stratum in self._strata.values() if stratum.objects > 1]
        several.sort(key=lambda stratum: (-stratum.objects, stratum.first.key))
        return [(stratum.place, stratum.last) for stratum in several[:_PAIRS]]

    def deltas_told(self, told: Mapping[str, int]) -> int:
        """What the deltas add up to in DeltaGlider's own way: groups that told nothing are nothing."""
        return sum(s.objects * told[s.first.key] for s in self._of("delta") if s.first.key in told)

    def estimate(self, place: str, told: Mapping[str, float]) -> Estimate:
        """The original bytes of all objects of a place.

        Args:
            place: ``delta`` or ``candidate``.
            told: by key, original bytes of a delta, or original by stored bytes of another object.
        """
        strata = self._of(place)
        known = [(stratum, told[stratum.first.key]) for stratum in strata if stratum.first.key in told]
        value = sum(stratum.weight * one for stratum, one in known)
        stored = sum(stratum.stored for stratum, _ in known)
        guessed = sum(stratum.stored for stratum in strata) - stored
        value += guessed * (value / stored if stored else 1.0)
        return Estimate(
            value,
            self._half_width(known, told),
            sum(stratum.objects for stratum in strata),
            len({one.key for stratum in strata for one in (stratum.first, stratum.last) if one.key in told}),
            guessed,
            all(stratum.objects == 1 for stratum in strata),
        )

    def _of(self, place: str) -> list[Stratum]:
        return [stratum for stratum in self._strata.values() if stratum.place == place]

    def _half_width(self, known: list[tuple[Stratum, float]], told: Mapping[str, float]) -> float | None:
        if all(stratum.objects == 1 for stratum, _ in known):
            return 0.0
        pairs = [(one, told[s.last.key]) for s, one in known if s.objects > 1 and s.last.key in told]
        spreads = [2 * ((one - other) / (one + other)) ** 2 for one, other in pairs if one + other > 0]
        if not spreads:
            return None
        spread = sum(spreads) / len(spreads)
        # One of n objects was asked: the variance of n times its value, corrected for finite groups.
        variance = sum((s.weight * one) ** 2 * (1 - 1 / s.objects) * spread for s, one in known)
        return quantile(len(spreads)) * math.sqrt(variance)
