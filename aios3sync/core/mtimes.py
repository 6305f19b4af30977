"""Reads the mtime of a file from the metadata of its object, as the usual tools write it. Pure.

Sources: https://rclone.org/s3/ and s3fs (``mtime``: seconds, with or without decimals), ``s3cmd-attrs`` of
s3cmd and ``mc-attrs`` of MinIO (``…/mtime:<seconds>/…``, there with ``#<nanoseconds>``), ``file-mtime`` of
AWS DataSync and Storage Gateway (``<nanoseconds>ns``), ``mm-source-mtime`` of MinIO (RFC 3339).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aios3sync.core.metadata import META_MTIME

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("file_mtime", "object_mtime")

_SECOND: Final = 1_000_000_000
_MOST: Final = 2**63 - 1
"""The last nanosecond that fits into 64 bits, in the year 2262."""
_SECONDS: Final = re.compile(r"([+-]?)([0-9]{1,11})(?:[.,]([0-9]{1,18}))?")
_NANOSECONDS: Final = re.compile(r"([+-]?[0-9]{1,19})ns|([+-]?[0-9]{18,19})")
_ATTRIBUTE: Final = re.compile(r"(?:^|/)mtime:(-?[0-9]{1,11})(?:[.#]([0-9]{1,9}))?(?:#[^/]*)?(?:/|$)")
_RFC_3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,18}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))"
)
_EPOCH_DAYS: Final = 719_162
"""Days from the first of January of the year 1 to that of 1970."""
_ATTRIBUTES: Final = ("s3cmd-attrs", "mc-attrs")
_TIMES: Final = (META_MTIME, "file-mtime", "mm-source-mtime")


def file_mtime(metadata: Mapping[str, str], last_modified: float) -> int:
    """Return the mtime of the file of an object, in nanoseconds: that of its metadata, else LastModified."""
    found = object_mtime(metadata)
    return int(last_modified) * _SECOND if found is None else found


def object_mtime(metadata: Mapping[str, str]) -> int | None:
    """Return nanoseconds since the epoch; ``None`` where no metadata has a time that can be read.

    A time without a zone is none: nobody could say which moment it is.
    """
    for name in _TIMES:
        if (found := _time(metadata.get(name, "").strip())) is not None:
            return found
    for name in _ATTRIBUTES:
        if match := _ATTRIBUTE.search(metadata.get(name, "")):
            whole, fraction = match[1], match[2] or ""
            # MinIO writes the nanoseconds as a number, which has no leading zeros.
            nanoseconds = int(fraction) if "#" in match[0] else _fraction(fraction)
            return int(whole) * _SECOND + nanoseconds
    return None


def _time(text: str) -> int | None:
    if match := _SECONDS.fullmatch(text):
        found = int(match[2]) * _SECOND + _fraction(match[3])
        found = -found if match[1] == "-" else found
    elif match := _NANOSECONDS.fullmatch(text):
        found = int(match[1] or match[2])
    elif match := _RFC_3339.fullmatch(text):
        moment = _moment(match)
        if moment is None:
            return None
        found = moment
    else:
        return None
    return found if abs(found) <= _MOST else None


def _fraction(digits: str | None) -> int:
    """Return the decimals of a second as nanoseconds; what is finer is cut off."""
    return int((digits or "")[:9].ljust(9, "0"))


def _moment(match: re.Match[str]) -> int | None:
    """Return a moment of RFC 3339 in nanoseconds since the epoch; ``None`` for a day or time there is not."""
    year, month, day, hour, minute, second = (int(text) for text in match.groups()[:6])
    fraction, utc, sign, *offset = match.groups()[6:]
    leap = not year % 4 and (bool(year % 100) or not year % 400)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (year and 1 <= month <= 12 and 1 <= day <= lengths[month - 1]):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    away = 0 if utc else int(offset[0]) * 60 + int(offset[1])
    if away >= 24 * 60:
        return None
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 + sum(lengths[: month - 1]) + day - 1
    minutes = (days - _EPOCH_DAYS) * 1440 + hour * 60 + minute - (-away if sign == "-" else away)
    return (minutes * 60 + second) * _SECOND + _fraction(fraction)
