"""Turns totals and samples into numbers that say how they are known. Pure.

A sample sends a HEAD request for one object of each group: a folder of deltas, or an extension within a
folder. The last objects of the largest groups are asked too; their spread gives the confidence interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final
from zlib import crc32

from aios3sync._dataclass import dataclass, replace
from aios3sync.core.entries import TargetEntry
from aios3sync.stats.model import Known, Number, ObjectKind, exact, unknown
from aios3sync.stats.original_sizes import KindTotals, SizeSum

__all__ = (
    "Estimate",
    "Sample",
    "Stratum",
    "detailed_kinds",
    "quick_kinds",
    "sampled_kinds",
    "savings",
    "t_quantile",
    "total",
    "trusted_kinds",
)

_FROM_BEST: Final[tuple[Known, ...]] = ("exact", "estimated", "sampled", "unknown")
_NOT_ASKED: Final = "objects that were not asked are taken as they are stored"
_BY_NAME: Final = "known by their names alone"

MOST_GROUPS: Final = 20_000
"""Groups of a sample; more of them are merged."""
_SHARED: Final = 4096
"""Groups beyond MOST_GROUPS share these, by a hash of their names."""
_PAIRS: Final = 32
"""Groups of which a second object is asked."""

# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom, and the normal one beyond.
_T: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
_T_BEYOND: Final = ((30, 2.12), (60, 2.04), (math.inf, 2.00))


# Samples


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


# Numbers


def total(*numbers: Number) -> Number:
    """Return the sum. Where a part is sampled, the interval is that of the sampled parts alone."""
    known: Known = max((number.known for number in numbers), key=_FROM_BEST.index, default="exact")
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


def savings(original: Number, stored: int) -> tuple[Number, Number]:
    """Return the bytes saved, and their share of the original bytes."""

    def mapped(change: Callable[[float], float]) -> Number:
        bounds = [None if bound is None else change(bound) for bound in (original.low, original.high)]
        value = None if original.value is None else change(original.value)
        return replace(original, value=value, low=bounds[0], high=bounds[1])

    return mapped(lambda size: size - stored), mapped(lambda size: 1 - stored / size if size > 0 else 0.0)


# Kinds of objects, one function for each mode


def quick_kinds(kinds: KindTotals) -> tuple[ObjectKind, ...]:
    """Return the kinds by the keys alone."""
    deltas = kinds.listed["delta"]
    note = "deltas do not show their size in a listing: ask in the mode 'sampled' or 'detailed'"
    return _occurring(
        _unexamined(kinds.listed["direct"], kinds.listed["candidate"]),
        ObjectKind("delta", _by_name(deltas.objects), _by_name(deltas.stored), unknown(note)),
        _reference(kinds),
    )


def sampled_kinds(kinds: KindTotals, sample: Sample, values: Mapping[str, float]) -> tuple[ObjectKind, ...]:
    """Return the kinds from one object of each group; ``values`` as in :meth:`Sample.estimate`."""
    deltas, candidates = kinds.listed["delta"], kinds.listed["candidate"]
    original = _sampled(sample.estimate("delta", values))
    compressed = _sampled(sample.estimate("candidate", values))
    return _occurring(
        _unexamined(kinds.listed["direct"]),
        ObjectKind("delta", _by_name(deltas.objects), _by_name(deltas.stored), original),
        ObjectKind("gzip", _by_name(candidates.objects), _by_name(candidates.stored), compressed),
        _reference(kinds),
    )


def _sampled(estimate: Estimate) -> Number:
    if estimate.unanswered:
        note = "some groups could not be asked; they are taken to be like the others"
    elif estimate.all_asked:
        return exact(round(estimate.value))
    else:
        note = "one object of each folder was asked"
    fraction = estimate.asked / estimate.objects if estimate.objects else None
    value, half = round(estimate.value), estimate.half_width
    if half is None:
        return Number(value, "sampled", fraction=fraction, note=f"{note}; how far off is not known")
    return Number(value, "sampled", max(value - half, 0.0), value + half, fraction, note)


def detailed_kinds(kinds: KindTotals, *, every: bool) -> tuple[ObjectKind, ...]:
    """Return the kinds from all objects that may be compressed.

    Objects whose HEAD request was not answered are taken to be like the others.
    """
    unsized = kinds.unsized
    lost = {name: _difference(kinds.listed[name], kinds.answered[name]) for name in ("delta", "candidate")}
    deltas, gzip = kinds.classified["delta"], kinds.classified["gzip"]
    estimated = unsized.stored + lost["delta"].stored
    delta_original = Number(deltas.original)
    if estimated:
        ratio = deltas.original / deltas.stored if deltas.stored else 1.0
        note = "deltas without a known size are taken to be like the others"
        share = deltas.objects / (deltas.objects + unsized.objects + lost["delta"].objects)
        delta_original = Number(
            round(deltas.original + estimated * ratio),
            "estimated",
            low=deltas.original,
            fraction=share,
            note=note,
        )
    delta = ObjectKind(
        "delta",
        _unless_lost(deltas.objects + unsized.objects + lost["delta"].objects, lost["delta"].objects),
        _unless_lost(deltas.stored + estimated, lost["delta"].objects),
        delta_original,
    )
    return _occurring(
        _direct(kinds, lost["candidate"], every=every),
        delta,
        ObjectKind("gzip", exact(gzip.objects), exact(gzip.stored), exact(gzip.original)),
        _reference(kinds),
    )


def _direct(kinds: KindTotals, lost: SizeSum, *, every: bool) -> ObjectKind:
    """Return the objects stored as they are, with the lost candidates: by the ratio of the answered ones."""
    answered, plain, listed = kinds.answered["candidate"], kinds.classified["direct"], kinds.listed["direct"]
    ratio = answered.original / answered.stored if answered.stored else 1.0
    objects = listed.objects + plain.objects + lost.objects
    stored = listed.stored + plain.stored + lost.stored
    original = Number(listed.stored + plain.original)
    if lost.objects:
        note = "objects that did not answer are taken to be like the others"
        original = Number(round((original.value or 0) + lost.stored * ratio), "estimated", note=note)
    elif listed.objects and not every:
        original = replace(original, known="estimated", note=_NOT_ASKED)
    return ObjectKind(
        "direct", _unless_lost(objects, lost.objects), _unless_lost(stored, lost.objects), original
    )


def trusted_kinds(kinds: KindTotals, total_size: int, note: str) -> tuple[ObjectKind, ...]:
    """Return the kinds with the original bytes from a trusted envelope.

    Args:
        kinds: the totals of the listing.
        total_size: original bytes in the envelope.
        note: why the envelope is trusted.
    """
    deltas = kinds.listed["delta"]
    direct = kinds.listed["direct"].stored + kinds.listed["candidate"].stored
    return _occurring(
        _unexamined(kinds.listed["direct"], kinds.listed["candidate"]),
        ObjectKind(
            "delta",
            _by_name(deltas.objects),
            _by_name(deltas.stored),
            Number(max(total_size - direct, 0), "estimated", note=note),
        ),
        _reference(kinds),
    )


def _unexamined(*sums: SizeSum) -> ObjectKind:
    objects, stored = sum(one.objects for one in sums), sum(one.stored for one in sums)
    return ObjectKind(
        "direct", _by_name(objects), _by_name(stored), Number(stored, "estimated", note=_NOT_ASKED)
    )


def _reference(kinds: KindTotals) -> ObjectKind:
    references = kinds.listed["reference"]
    return ObjectKind("reference", exact(references.objects), exact(references.stored), exact(0))


def _by_name(value: int) -> Number:
    return Number(value, "estimated", note=_BY_NAME)


def _unless_lost(value: int, lost: int) -> Number:
    """Return an exact number, or an estimate where some objects are known by their names alone."""
    return Number(value, "estimated", note=_BY_NAME) if lost else exact(value)


def _difference(one: SizeSum, other: SizeSum) -> SizeSum:
    return SizeSum(one.objects - other.objects, one.stored - other.stored)


def _occurring(*kinds: ObjectKind) -> tuple[ObjectKind, ...]:
    return tuple(kind for kind in kinds if kind.objects.value)
