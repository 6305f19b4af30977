"""Converts HTTP dates to seconds since the epoch; pure.

Endpoints write the only current one of three forms of RFC 9110 (5.6.7), so no e-mail module is needed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Final

__all__ = ("http_date",)

_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_FIXED: Final = lazy_pattern(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def http_date(text: str) -> float:
    """Return the seconds since the epoch; a date without a time zone is in UTC.

    Raises:
        ValueError: it is no date.
    """
    found = _FIXED.fullmatch(text)
    if found and found[2] in _MONTHS:
        year, month, day = int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1])
        return datetime(year, month, day, int(found[4]), int(found[5]), int(found[6]), tzinfo=UTC).timestamp()
    from email.utils import parsedate_to_datetime  # the obsolete forms; takes as long to load as this package

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, OverflowError, IndexError) as error:
        raise ValueError("no date") from error
