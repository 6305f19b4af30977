"""CountingStore: counts every request that is really sent; changes none of them.

Retries are counted as well, and reported one by one to a listener.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync.errors import StoreError, ThrottledError
from aios3sync.events import RequestRetried
from aios3sync.store.protocol import GetResult, ObjectStore, PutOptions, PutResult, RangeRead
from aios3sync.store.wrappers.base import ForwardingStore, StoreCall

__all__ = ("CountingStore", "OnRetry", "RequestCounts", "RetryDetails")

T = TypeVar("T")


class RetryDetails(NamedTuple):
    """One retry, reported before its delay.

    Attributes:
        attempt: the number of the failed attempt, from 1; throttled attempts are counted separately from the
            others.
        delay: seconds until the request is sent again.
        error: why the attempt failed; it has operation, key and code.
    """

    attempt: int
    delay: float
    error: StoreError

    def event(self) -> RequestRetried:
        """Return the event for it."""
        error = self.error
        facts = (error.operation, error.key or "", error.code, error.status)
        return RequestRetried(*facts, self.attempt, round(self.delay, 3))


OnRetry = Callable[[RetryDetails], object]
"""Called for every retry, at worst thousands of times a second; must not raise."""


@dataclass(slots=True)
class RequestCounts:
    """The requests that were sent so far; shared by the wrappers of one store, and by stores that share it.

    Attributes:
        requests: number of requests by S3 operation name, every attempt counted. An operation that reads
            several pages (ListParts, ListMultipartUploads) counts as one.
        retries: how many of them repeated an earlier one.
        throttled: how many retries followed a demand for fewer requests.
        retry_codes: how many retries followed each error code.
        bytes_sent: bytes of the bodies of successful requests.
        on_retry: called for every retry, after it was counted; ``None`` for no listener.
    """

    requests: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    throttled: int = 0
    retry_codes: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    on_retry: OnRetry | None = None

    @property
    def total(self) -> int:
        """All requests together."""
        return self.requests.total()

    def as_fields(self) -> dict[str, Any]:
        """Return the counts for reports, by the names of their fields."""
        return {
            "requests": dict(self.requests),
            "retries": self.retries,
            "throttled": self.throttled,
            "retry_codes": dict(self.retry_codes),
        }

    def retry(self, details: RetryDetails) -> None:
        """Count and report a retry."""
        self.retries += 1
        self.throttled += isinstance(details.error, ThrottledError)
        self.retry_codes[details.error.code] += 1
        if self.on_retry is not None:
            self.on_retry(details)


class CountingStore(ForwardingStore):
    """Counts into ``counts``; innermost of the wrappers, so that each attempt counts."""

    def __init__(self, inner: ObjectStore, counts: RequestCounts) -> None:
        super().__init__(inner)
        self.counts = counts

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Count, then store; written out, because many small bodies are stored."""
        self.counts.requests["PutObject"] += 1
        result = await self.inner.put(key, body, options, md5=md5, sha256=sha256)
        self.counts.bytes_sent += len(body)
        return result

    async def get(
        self,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str = "",
        if_none_match: str = "",
        version_id: str = "",
    ) -> GetResult:
        """Count, then read; written out, because many small bodies are read."""
        self.counts.requests["GetObject"] += 1
        return await self.inner.get(
            key,
            start=start,
            length=length,
            if_match=if_match,
            if_none_match=if_none_match,
            version_id=version_id,
        )

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """Count, then read; none of it was sent."""
        self.counts.requests["GetObject"] += 1
        return await self.inner.read_into(key, buffer, start=start, if_match=if_match, version_id=version_id)

    async def call(self, request: StoreCall[T]) -> T:
        """Count, then send."""
        self.counts.requests[request.operation] += 1
        result = await request.send()
        self.counts.bytes_sent += request.size
        return result
