"""Decides which requests are sent again, after what delay, and how often. No I/O."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import full_jitter
from aios3sync.errors import (
    StoreError,
    ThrottledError,
)

__all__ = (
    "REPEATS",
    "Backoff",
    "Repeat",
    "RetryBudget",
)


class Repeat(NamedTuple):
    """How an operation is repeated after a temporary failure.

    Attributes:
        why: what makes it safe.
        read_back: whether a refusal of the repeated request may be due to the first one, whose response was
            lost: then the object is checked first.
    """

    why: str
    read_back: bool = False


_READS: Final = "it changes nothing"
_REPLACES: Final = "the same bytes replace themselves"
REPEATS: Final[Mapping[str, Repeat]] = {
    "PutObject": Repeat(f"{_REPLACES}; a conditional one that is refused then is read back", read_back=True),
    "UploadPart": Repeat(_REPLACES),
    "CopyObject": Repeat(_REPLACES),
    "UploadPartCopy": Repeat(_REPLACES),
    "CreateMultipartUpload": Repeat(
        "one whose answer was lost leaves an upload without parts, which nothing refers to and which is not "
        "charged for; it looks like one that another writer has just begun, so it is not aborted"
    ),
    "CompleteMultipartUpload": Repeat(
        "an upload that is gone then may be the finished object, which is read back", read_back=True
    ),
    "AbortMultipartUpload": Repeat("an upload that is gone is aborted"),
    "DeleteObjects": Repeat("a key that is gone is deleted; after it only keys whose own failure may pass"),
    "DeleteObject": Repeat("a key that is gone is deleted"),
    "GetObject": Repeat(_READS),
    "HeadObject": Repeat(_READS),
    "GetObjectAcl": Repeat(_READS),
    "GetObjectTagging": Repeat(_READS),
    "ListObjectsV2": Repeat(_READS),
    "ListParts": Repeat(_READS),
    "ListMultipartUploads": Repeat(_READS),
    "GetBucketVersioning": Repeat(_READS),
    "ListObjectVersions": Repeat(_READS),
}
"""Every operation of S3 that is used. Temporary failures are defined in :mod:`aios3sync.store.s3.errors`:
by code or status, or no complete response in time."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before a request is sent again, in seconds.

    Attributes:
        base: the most to wait before the first retry; doubles with each further one.
        throttled_base: the same after the endpoint asked for fewer requests; these waits spread requests that
            were refused together, and need not be longer, because the rate of all requests is cut as well.
        cap: the most to wait at all, unless the endpoint asks for more.
        throttled_cap: the same after the endpoint asked for fewer requests.
        longest_retry_after: the most that a ``Retry-After`` is honoured.
        uniform: draws a number between two; a test injects its own.
    """

    base: float = 0.1
    throttled_base: float = 0.2
    cap: float = 20.0
    throttled_cap: float = 5.0
    longest_retry_after: float = 60.0
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, attempt: int, error: StoreError) -> float:
        """Seconds to wait after ``attempt`` (from 1) failed with ``error``, which may hold a retry_after."""
        base, cap = self.base, self.cap
        if isinstance(error, ThrottledError):
            base, cap = self.throttled_base, self.throttled_cap
        drawn = full_jitter(attempt, base, cap, self.uniform)
        retry_after = error.retry_after
        return drawn if retry_after is None else min(retry_after, self.longest_retry_after) + drawn


class RetryBudget:
    """Tokens that retries cost and successes return, as in the AWS SDKs.

    A retry after SlowDown costs only time.

    Args:
        capacity: tokens at the start and at most.
        cost: tokens of one retry.
        patience: seconds without any success after which throttled requests fail.
        longest: seconds after which a request fails that was throttled all the time.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        capacity: int = 500,
        cost: int = 5,
        *,
        patience: float = 60.0,
        longest: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capacity = capacity
        self.cost = cost
        self.tokens = capacity
        self._patience = patience
        self._longest = longest
        self._clock = clock
        self._successes = 0
        self._seen = -1
        self._hopeless_from = 0.0

    def deadline(self) -> float:
        """The time at which a request fails that is throttled for the first time now."""
        return self._clock() + self._longest

    def wait_on(self, deadline: float) -> bool:
        """Return whether to repeat a request that was throttled; ``deadline`` is one of :meth:`deadline`."""
        now = self._clock()
        if self._seen != self._successes:
            self._seen = self._successes
            self._hopeless_from = now + self._patience
        return now < min(deadline, self._hopeless_from)

    def spend(self) -> bool:
        """Pay for one retry; return False if the budget is empty."""
        if self.tokens < self.cost:
            return False
        self.tokens -= self.cost
        return True

    def earn(self, retried: bool) -> None:
        """Return the cost of the last retry of a successful request, or add one token."""
        self._successes += 1
        self.tokens = min(self.capacity, self.tokens + (self.cost if retried else 1))
