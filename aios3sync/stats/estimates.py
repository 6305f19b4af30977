"""Puts the counts together as numbers that say how they are known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from aios3sync.stats.model import Known, Number, ObjectKind, exact, unknown
from aios3sync.stats.original_sizes import Kinds, Sum
from aios3sync.stats.sampling import Estimate, Sample

__all__ = ("added", "compared", "detailed_kinds", "quick_kinds", "sampled_kinds", "trusted_kinds")

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


def quick_kinds(kinds: Kinds) -> tuple[ObjectKind, ...]:
    """By the names alone."""
    deltas = kinds.listed["delta"]
    note = "deltas do not show their size in a listing: ask in the mode 'sampled' or 'detailed'"
    return _occurring(
        _untold(kinds.listed["direct"], kinds.listed["candidate"]),
        ObjectKind("delta", _by_name(deltas.objects), _by_name(deltas.stored), unknown(note)),
        _reference(kinds),
    )


def sampled_kinds(kinds: Kinds, sample: Sample, told: Mapping[str, float]) -> tuple[ObjectKind, ...]:
    """From one object of each group; ``told`` as in :meth:`~aios3sync.stats.sampling.Sample.estimate`."""
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


def detailed_kinds(kinds: Kinds, *, every: bool) -> tuple[ObjectKind, ...]:
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


def _direct(kinds: Kinds, lost: Sum, *, every: bool) -> ObjectKind:
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


def trusted_kinds(kinds: Kinds, total_size: int, note: str) -> tuple[ObjectKind, ...]:
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


def _reference(kinds: Kinds) -> ObjectKind:
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
