"""Writes values for people: sizes, counts, durations, and names without characters that a terminal obeys."""

from __future__ import annotations

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Final

__all__ = ("count", "duration", "escape_json", "escape_undecodable", "printable", "size_text", "time_taken")

# As UTF-8: DEL, C1 controls, line and paragraph separators, the byte order mark, and what changes the
# direction of text (UAX #9, https://www.unicode.org/reports/tr9/).
_OBEYED: Final = lazy_pattern(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf"
)


_SECOND, _MINUTE, _HOUR, _DAY = (1, "s"), (60, "min"), (3600, "h"), (86_400, "days")
_UNITS: Final = (
    (3600.0, _MINUTE, _SECOND),
    (172_800.0, _HOUR, _MINUTE),
    (float("inf"), _DAY, _HOUR),
)
"""The seconds below which two units are those of a time that was taken."""


def printable(text: str) -> str:
    """Return the text on one line, with every character escaped that is not visible."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def escape_undecodable(path: str) -> str:
    """Return a path as text that any terminal and any JSON can hold: bytes that are not UTF-8 are escaped."""
    try:
        content = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a text that no file system gave, such as one of JSON
        content = path.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


def escape_json(document: bytes) -> bytes:
    """Return the JSON document with everything escaped that a terminal or a log viewer would obey.

    JSON itself escapes only the C0 controls. Parsed, the document is the same: such characters can only be
    inside its strings.
    """
    return _OBEYED.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), document)


def size_text(size: float) -> str:
    """Return a size for people: ``3.4 MB``; powers of 1000, as disks and networks count."""
    if size < 999.5:
        return "1 byte" if size == 1 else f"{size:.0f} bytes"
    units = ("kB", "MB", "GB", "TB")
    power = next((n for n in range(1, 4) if size < 999.5 * 1000**n), 4)
    scaled = size / 1000**power
    return f"{scaled:.{0 if scaled >= 99.95 else 1}f} {units[power - 1]}"


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 file``, ``12,000 files``."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}"


def time_taken(seconds: float) -> str:
    """Return how long something took, in its two largest units: ``12 s``, ``2 min 5 s``, ``3 h 20 min``."""
    if seconds < 99.5:
        return duration(seconds)
    *_, large, small = next(units for units in _UNITS if seconds < units[0] - units[2][0] / 2)
    whole, rest = divmod(round(seconds / small[0]), large[0] // small[0])
    return f"{whole} {large[1]} {rest} {small[1]}" if rest else f"{whole} {large[1]}"


def duration(seconds: float) -> str:
    """Return a duration in its largest unit: ``0.4 s``, ``12 s``, ``3 min``, ``3 h``, ``2 days``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, length, unit in ((100, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
