"""BandwidthStore: limits the bytes per second of all bodies that are sent and all ranges that are read."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from aios3sync.store.protocol import GetResult, ObjectStore
from aios3sync.store.wrappers.base import ForwardingStore, StoreCall

__all__ = ("BandwidthLimit", "BandwidthStore")

T = TypeVar("T")


class BandwidthLimit:
    """A line of ``rate`` bytes a second: each body books the next free interval and waits for it.

    Idle time is not saved up, so that a pause is never followed by a burst.

    Args:
        rate: bytes a second.
        clock: seconds, never going back.
        sleep: waits for some seconds.

    Attributes:
        rate: may be changed; booked intervals stay.
        booked: bytes so far.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        if rate <= 0:
            raise ValueError("a rate is above zero")
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()
        self.booked = 0

    async def book(self, size: int) -> None:
        """Return when a body of ``size`` bytes may start."""
        self.booked += size
        now = self._clock()
        start = max(now, self._free_at)
        self._free_at = start + size / self.rate
        if start > now:
            await self._sleep(start - now)


class BandwidthStore(ForwardingStore):
    """Delays the bodies of PutObject, UploadPart and ranged reads so that all keep to ``bandwidth``."""

    def __init__(self, inner: ObjectStore, bandwidth: BandwidthLimit) -> None:
        super().__init__(inner)
        self.bandwidth = bandwidth

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
        """Wait for the line, which counts the whole range, then read."""
        if length:
            await self.bandwidth.book(length)
        return await self.inner.get(
            key,
            start=start,
            length=length,
            if_match=if_match,
            if_none_match=if_none_match,
            version_id=version_id,
        )

    async def call(self, request: StoreCall[T]) -> T:
        """Wait for the line, then send."""
        if request.size:
            await self.bandwidth.book(request.size)
        return await request.send()
