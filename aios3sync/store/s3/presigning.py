"""What a presigned URL may be: its method and its lifetime, judged the same way by every store; pure."""

from __future__ import annotations

import math
from typing import Final

from aios3sync.errors import UsageError

__all__ = ("MAX_EXPIRES", "PRESIGNED_METHODS", "lifetime")

MAX_EXPIRES: Final = 7 * 24 * 3600
"""Seconds; S3 refuses longer ones
(https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, ``X-Amz-Expires``)."""

PRESIGNED_METHODS: Final = ("GET", "HEAD", "PUT", "DELETE")


def lifetime(expires: float, method: str) -> int:
    """The whole seconds that a URL is to be valid for.

    Raises:
        UsageError: less than a second or more than seven days, or a method that cannot be presigned.
    """
    if method not in PRESIGNED_METHODS:
        raise UsageError(f"method: {method!r} cannot be presigned; use {', '.join(PRESIGNED_METHODS)}")
    if not (math.isfinite(expires) and 1 <= expires <= MAX_EXPIRES):
        raise UsageError(f"expires: {expires} is not between 1 second and 7 days ({MAX_EXPIRES} seconds)")
    return int(expires)
