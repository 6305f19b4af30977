"""Puts the counts together as numbers that say how they are known. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

from aios3sync.core.entries import TargetEntry
from aios3sync.stats.model import Known, Number, ObjectKind, exact, unknown
from aios3sync.stats.original_sizes import KindTotals, Sum

__all__ = (
    "Estimate",
    "Sample",
    "Stratum",
    "added",
    "compared",
    "detailed_kinds",
    "quantile",
    "quick_kinds",
    "sampled_kinds",
    "trusted_kinds",
)

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


_WORST: Final[tuple[Known, ...]] = ("exact", "estimated", "sampled", "unknown")
_NOT_ASKED: Final = "objects that nobody asked are taken as they are stored"
_BY_NAME: Final = "told by their names alone"


def added(*numbers: Number) -> Number:
    """The sum. Where a part is sampled, the interval is that of the sampled parts alone."""
    known: Known = max((number.known for number in numbers), key=_WORST.index, default="exact")
    notes = dict.fromkeys(number.note for number in numbers if number.note)
    note = "; ".join(notes)
    if known == "unknown":
        return unknown(note)
    parts = [(number, number.value or 0) for number in numbers]
    open_ended = known == "exact" or any(n.known == "sampled" and n.low is None for n in numbers)
    low = sum(value if number.low is None else number.low for number, value in parts)
    high = sum(value if number.high is None else number.high for number, value in parts)
    bounded = not open_ended and any(number.low is not None for number in numbers)
    fractions = [number.fraction for number in numbers if number.fraction is not None]
    return Number(
        sum(value for _, value in parts),
        known,
        low if bounded else None,
        high if bounded and all(n.high is not None for n in numbers if n.low is not None) else None,
        min(fractions, default=None),
        note,
    )


def compared(original: Number, stored: int) -> tuple[Number, Number]:
    """What is saved, and which share of the original that is."""

    def mapped(change: Callable[[float], float]) -> Number:
        bounds = [None if bound is None else change(bound) for bound in (original.low, original.high)]
        value = None if original.value is None else change(original.value)
        return replace(original, value=value, low=bounds[0], high=bounds[1])

    return mapped(lambda size: size - stored), mapped(lambda size: 1 - stored / size if size > 0 else 0.0)


def quick_kinds(kinds: KindTotals) -> tuple[ObjectKind, ...]:
    """By the names alone."""
    deltas = kinds.listed["delta"]
    note = "deltas do not show their size in a listing: ask in the mode 'sampled' or 'detailed'"
    return _occurring(
        _untold(kinds.listed["direct"], kinds.listed["candidate"]),
        ObjectKind("delta", _by_name(deltas.objects), _by_name(deltas.stored), unknown(note)),
        _reference(kinds),
    )


def sampled_kinds(kinds: KindTotals, sample: Sample, told: Mapping[str, float]) -> tuple[ObjectKind, ...]:
    """From one object of each group; ``told`` as in :meth:`~aios3sync.stats.estimates.Sample.estimate`."""
    deltas, candidates = kinds.listed["delta"], kinds.listed["candidate"]
    original = _sampled(sample.estimate("delta", told))
    compressed = _sampled(sample.estimate("candidate", told))
    return _occurring(
        _untold(kinds.listed["direct"]),
        ObjectKind("delta", _by_name(deltas.objects), _by_name(deltas.stored), original),
        ObjectKind("gzip", _by_name(candidates.objects), _by_name(candidates.stored), compressed),
        _reference(kinds),
    )


def _sampled(estimate: Estimate) -> Number:
    if estimate.guessed:
        note = "some groups could not be asked; they are taken to be like the others"
    elif estimate.all_asked:
        return exact(round(estimate.value))
    else:
        note = "one object stands for each folder"
    fraction = estimate.asked / estimate.objects if estimate.objects else None
    value, half = round(estimate.value), estimate.half_width
    if half is None:
        return Number(value, "sampled", fraction=fraction, note=f"{note}; how far off is not known")
    return Number(value, "sampled", max(value - half, 0.0), value + half, fraction, note)


def detailed_kinds(kinds: KindTotals, *, every: bool) -> tuple[ObjectKind, ...]:
    """From all objects that may be compressed; those that did not answer are taken to be like the others."""
    told, silent = kinds.told, kinds.silent
    lost = {place: _minus(kinds.listed[place], kinds.answered[place]) for place in ("delta", "candidate")}
    deltas = told["delta"]
    guessed = silent.stored + lost["delta"].stored
    delta_original = Number(deltas.original)
    if guessed:
        ratio = deltas.original / deltas.stored if deltas.stored else 1.0
        note = "deltas that did not tell their size are taken to be like the others"
        share = deltas.objects / (deltas.objects + silent.objects + lost["delta"].objects)
        delta_original = Number(
            round(deltas.original + guessed * ratio),
            "estimated",
            low=deltas.original,
            fraction=share,
            note=note,
        )
    delta = ObjectKind(
        "delta",
        _as_lost(deltas.objects + silent.objects + lost["delta"].objects, lost["delta"].objects),
        _as_lost(deltas.stored + guessed, lost["delta"].objects),
        delta_original,
    )
    gzip = told["gzip"]
    return _occurring(
        _direct(kinds, lost["candidate"], every=every),
        delta,
        ObjectKind("gzip", exact(gzip.objects), exact(gzip.stored), exact(gzip.original)),
        _reference(kinds),
    )


def _direct(kinds: KindTotals, lost: Sum, *, every: bool) -> ObjectKind:
    """What is stored as it is, with the candidates that did not answer: by the ratio of those that did."""
    answered, told, listed = kinds.answered["candidate"], kinds.told["direct"], kinds.listed["direct"]
    ratio = answered.original / answered.stored if answered.stored else 1.0
    objects, stored = listed.objects + told.objects + lost.objects, listed.stored + told.stored + lost.stored
    original = Number(listed.stored + told.original)
    if lost.objects:
        note = "objects that did not answer are taken to be like the others"
        original = Number(round((original.value or 0) + lost.stored * ratio), "estimated", note=note)
    elif listed.objects and not every:
        original = replace(original, known="estimated", note=_NOT_ASKED)
    return ObjectKind("direct", _as_lost(objects, lost.objects), _as_lost(stored, lost.objects), original)


def trusted_kinds(kinds: KindTotals, total_size: int, note: str) -> tuple[ObjectKind, ...]:
    """With the original bytes that a cache file of DeltaGlider's form tells.

    Args:
        kinds: what was listed.
        total_size: of the file.
        note: why that is believed.
    """
    deltas = kinds.listed["delta"]
    direct = kinds.listed["direct"].stored + kinds.listed["candidate"].stored
    return _occurring(
        _untold(kinds.listed["direct"], kinds.listed["candidate"]),
        ObjectKind(
            "delta",
            _by_name(deltas.objects),
            _by_name(deltas.stored),
            Number(max(total_size - direct, 0), "estimated", note=note),
        ),
        _reference(kinds),
    )


def _untold(*sums: Sum) -> ObjectKind:
    objects, stored = sum(one.objects for one in sums), sum(one.stored for one in sums)
    return ObjectKind(
        "direct", _by_name(objects), _by_name(stored), Number(stored, "estimated", note=_NOT_ASKED)
    )


def _reference(kinds: KindTotals) -> ObjectKind:
    references = kinds.listed["reference"]
    return ObjectKind("reference", exact(references.objects), exact(references.stored), exact(0))


def _by_name(value: int) -> Number:
    return Number(value, "estimated", note=_BY_NAME)


def _as_lost(value: int, lost: int) -> Number:
    """A count in which some objects are by their names alone."""
    return Number(value, "estimated", note=_BY_NAME) if lost else exact(value)


def _minus(one: Sum, other: Sum) -> Sum:
    return Sum(one.objects - other.objects, one.stored - other.stored)


def _occurring(*kinds: ObjectKind) -> tuple[ObjectKind, ...]:
    return tuple(kind for kind in kinds if kind.objects.value)
