"""Turns totals and samples into numbers that say how they are known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aios3sync._dataclass import replace
from aios3sync.stats.model import Known, Number, ObjectKind, exact, unknown
from aios3sync.stats.original_sizes import KindTotals, SizeSum
from aios3sync.stats.sampling import Estimate, Sample

__all__ = (
    "detailed_kinds",
    "quick_kinds",
    "sampled_kinds",
    "savings",
    "total",
    "trusted_kinds",
)

_FROM_BEST: Final[tuple[Known, ...]] = ("exact", "estimated", "sampled", "unknown")
_NOT_ASKED: Final = "objects that were not asked are taken as they are stored"
_BY_NAME: Final = "known by their names alone"


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
