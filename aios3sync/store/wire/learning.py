"""What a refusal teaches: the region of a bucket, and how far our clock is off; pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from aios3sync.store.s3.errors import ErrorAnswer
from aios3sync.store.wire.http1 import Answer
from aios3sync.store.wire.responses import server_time

__all__ = ("told_region", "told_skew")

_MISDIRECTED: Final = (301, 302, 307, 308, 400)
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")
_NAME: Final = re.compile(r"[a-z0-9-]{2,64}")
_IN_HOST: Final = re.compile(r"(?<=s3[.-])(?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d{1,2})\.amazonaws\.com")
# S3 itself allows 15 minutes.
_TOLERATED: Final = 60.0


def told_region(status: int, refusal: ErrorAnswer) -> str:
    """The region that a misdirected request should have gone to, empty where none is told.

    Another host is never taken from an answer: only the name of a region, for one of AWS's own hosts.
    """
    if status not in _MISDIRECTED:
        return ""
    region = refusal.region or refusal.headers.get("x-amz-bucket-region", "")
    if not region:
        host = urlsplit(refusal.headers.get("location", "")).hostname or ""
        found = _IN_HOST.search(host) if host.endswith(_AWS) else None
        region = found[1] if found else ""
    return region if _NAME.fullmatch(region) else ""


def told_skew(answer: Answer, refusal: ErrorAnswer, now: float, skew: float) -> float:
    """Seconds that the endpoint's clock is ahead; ``skew`` as it was where the refusal has other reasons.

    A refused HEAD has no code, only the time of the endpoint.
    """
    if refusal.code not in ("RequestTimeTooSkewed", "403"):
        return skew
    there = server_time(answer)
    if not there or abs(there - now - skew) <= _TOLERATED:
        return skew
    return there - now
