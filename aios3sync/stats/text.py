"""The numbers of a bucket in words, for the terminal and the page: values, bounds, how they are known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from aios3sync.core.text import count, duration, size_text
from aios3sync.stats.model import Bin, BucketStats, Histogram, Number

__all__ = (
    "bin_text",
    "count_text",
    "figures",
    "how_known",
    "incomplete",
    "kind_text",
    "moment",
    "name_text",
    "origin_text",
    "share_text",
    "value_text",
)

Wording = Callable[[float], str]

_KINDS = {
    "direct": "as they are",
    "delta": "deltas (DeltaGlider)",
    "reference": "references (DeltaGlider)",
    "gzip": "compressed (gzip)",
}


def count_text(value: float) -> str:
    """Return a count with thousands separators."""
    return f"{value:,.0f}"


def share_text(value: float) -> str:
    """Return a share of 1 in percent."""
    return f"{100 * value:.1f} %"


def value_text(number: Number, wording: Wording) -> str:
    """Return the value, with a ``~`` if it is not exact, or a dash if it is unknown."""
    if number.value is None:
        return "-"
    return f"{'' if number.known == 'exact' else '~'}{_signed(number.value, wording)}"


def _signed(value: float, wording: Wording) -> str:
    return wording(value) if value >= 0 else f"-{wording(-value)}"


def how_known(number: Number, wording: Wording) -> str:
    """Return ``exact``, ``sampled 12.5 %, 1.0 MB to 1.4 MB``, ``estimated, at least 2 GB``, ``unknown``."""
    words: str = number.known
    if number.known == "sampled" and number.fraction is not None:
        words += f" {share_text(number.fraction)}"
    if number.low is not None and number.high is not None:
        words += f", {_signed(number.low, wording)} to {_signed(number.high, wording)}"
    elif number.low is not None:
        words += f", at least {_signed(number.low, wording)}"
    elif number.high is not None:
        words += f", at most {_signed(number.high, wording)}"
    return words


def figures(stats: BucketStats) -> tuple[tuple[str, Number, Wording], ...]:
    """Return the single numbers of a bucket: label, number, and the function that formats its value."""
    return (
        ("objects", stats.objects, count_text),
        ("stored", stats.stored_bytes, size_text),
        ("original", stats.original_bytes, size_text),
        ("saved", stats.saved_bytes, size_text),
        ("saved share", stats.ratio, share_text),
        ("unfinished uploads", stats.uploads.uploads, count_text),
        ("bytes of unfinished uploads", stats.uploads.stored_bytes, size_text),
        ("noncurrent versions", stats.versions.versions, count_text),
        ("bytes of noncurrent versions", stats.versions.stored_bytes, size_text),
        ("delete markers", stats.versions.delete_markers, count_text),
    )


def kind_text(name: str) -> str:
    """Return how objects of a kind are stored."""
    return _KINDS.get(name, name)


def name_text(name: str) -> str:
    """Return the name of a group, or a word for the empty one."""
    return name or "(none)"


def bin_text(histogram: Histogram, one: Bin) -> str:
    """Return the bounds of a bin: ``1 kB to 10 kB``, ``over 5 years``."""
    word = _round_size if histogram.unit == "bytes" else _age_text
    if one.high is None:
        return f"over {word(one.low)}"
    if one.low <= 0:
        return "empty" if histogram.unit == "bytes" and one.high <= 1 else f"under {word(one.high)}"
    return f"{word(one.low)} to {word(one.high)}"


def _round_size(size: float) -> str:
    return size_text(size).replace(".0 ", " ")


def _age_text(seconds: float) -> str:
    """Return the bound of a bin of ages, which is a whole number of hours, days or years."""
    days = seconds / 86_400
    if days < 1:
        return f"{seconds / 3600:.0f} h"
    if days < 365:
        return count(round(days), "day")
    return count(round(days / 365), "year")


def moment(seconds: float) -> str:
    """Return a time in UTC, to the minute; empty for no time or one outside the calendar."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC" if seconds else ""
    except (OverflowError, OSError, ValueError):
        return ""


def origin_text(stats: BucketStats) -> str:
    """Return where the numbers come from, and how current they are."""
    if stats.origin == "index":
        return "from the object index; S3 was not listed"
    if stats.origin != "cache":
        return "counted now"
    age = f"counted {duration(max(stats.cache.age_s or 0.0, 0.0))} ago"
    checked = {
        "fingerprint": "found current by a listing",
        "totals": "found current by count and bytes of a listing",
        "age": "S3 was not listed",
        "later": "being refreshed in the background",
    }.get(stats.cache.validated, "")
    return ", ".join(part for part in ("from the cache", age, checked) if part)


def incomplete(stats: BucketStats) -> str:
    """Return the sentence that marks incomplete numbers, empty for complete ones."""
    if stats.complete:
        return ""
    return "INCOMPLETE: not everything was seen, so these numbers may be too small"
