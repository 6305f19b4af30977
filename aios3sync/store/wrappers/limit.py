"""LimitingStore: limits the requests in flight, adapted to the endpoint; first come, first served.

The limit of requests in flight follows from throughput (:mod:`.hill_climb`), the rate of starts from what an
endpoint accepts while it refuses the rest (:mod:`.cubic_rate`). All operations of a session share one
limiter.

Measured on two shared cores with the command line and its defaults (32 in flight at first, 256 at most),
4 KiB files, plain HTTP on loopback. The endpoint is a simulator that delays each answer, and that accepts
the first 3,500 writes of each second and answers SlowDown to the rest:

========================  ========  ===================================================================
endpoint                  files     behaviour
========================  ========  ===================================================================
no delay                   30,000   10,000 to 12,500 a second; between 54 and 128 in flight
30 ms                      30,000   5,900 a second over the whole run, start included; 256 in flight half
                                    a second after the first request
50 ms, 3,500 a second     100,000   3,440 a second (98 %) from the fifth second on, 1 % refused;
                                    3,330 (95 %) over the whole run, none failed
50 ms, 3,500 a second      30,000   3,280 a second (94 %) from the fourth second on, 1.7 % refused;
                                    none failed
========================  ========  ===================================================================

Refusals occur in the first two seconds, while the limit is found (300 to 450), and then about every five
seconds, when a higher rate is tried (10 to 180 each time). Acquire and release cost a third of a microsecond
per request if none waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from aios3sync.errors import ThrottledError
from aios3sync.store.protocol import DeleteError, DeleteItem, GetResult, ObjectStore, PutOptions, PutResult
from aios3sync.store.s3.errors import THROTTLED_CODES
from aios3sync.store.wrappers.base import ForwardingStore, StoreCall
from aios3sync.store.wrappers.cubic_rate import CubicRate
from aios3sync.store.wrappers.hill_climb import HillClimb

__all__ = (
    "FIRST_LIMIT",
    "MAX_TOLERANCE",
    "TOLERATED_REFUSAL_RATE",
    "ConcurrencyLimiter",
    "LimitingStore",
)

T = TypeVar("T")
FIRST_LIMIT: Final = 32
"""Requests in flight at first."""
TOLERATED_REFUSAL_RATE: Final = 0.02
"""Share of the requests that may be refused without a reaction; up to MAX_TOLERANCE are saved up."""
MAX_TOLERANCE: Final = 8.0

_LOG: Final = logging.getLogger(__name__)
_MEASURED_S: Final = 0.1
_SHORTEST_WINDOW: Final = 16
_UNIT: Final = 256 * 1024


class ConcurrencyLimiter:
    """Bounds the requests in flight: more while that increases throughput, half after SlowDown.

    Throughput is measured over whole windows (a window is as many successes as the limit, so that
    synchronized requests do not blur it) and at least 0.1 s; the window after a change of the limit is left
    out. A request counts one, and one more for each 256 KiB of its body: small ones cost by the request,
    large ones by the byte. Measurements in which a quarter of the limit was not used are dropped, because it
    was the caller or the rate of starts that was slow.

    A ThrottledError halves the limit, once for all the requests that were in flight when it was halved: they
    met the same overload. Then each window of successes doubles it, up to the last useful limit. It also cuts
    the rate of starts, at most once a second. One ThrottledError for fifty successes is no overload: a large
    endpoint refuses a few requests at any rate.

    Invariants, all of which hold whenever a task can run, because nothing here awaits between two changes:

    * ``1 <= limit <= ceiling``. ``in_flight`` may exceed ``limit`` after a cut; it then only falls.
    * A request is in flight from when it is *admitted*, not from when its task wakes up: :meth:`_admit`
      counts it and then sets its future. A task that is cancelled between the two gives the slot back itself.
    * First come, first served: a request is admitted at once only if none waits, and of those that wait only
      the head of the queue is.
    * None waits while it could start. Whatever makes that possible (a slot that is given back, a higher
      limit, the timer of the rate, a head of the queue that was cancelled) calls :meth:`_admit`.
    * At most one timer runs, and only while the rate, not the limit, holds the head of the queue back.
    * ``_cuts`` counts the cuts of the limit. A request carries the number that it was admitted with; a
      refusal with an older number belongs to an overload that was answered already, and changes nothing.
    * ``_left`` is at least 1 between two requests: the success that makes it 0 begins the next window.

    Args:
        ceiling: the highest limit.
        first: the limit at first.
    """

    def __init__(self, ceiling: int, *, first: int = FIRST_LIMIT) -> None:
        if ceiling < 1:
            raise ValueError("at least one request has to be allowed")
        self.ceiling = ceiling
        self._limit = min(first, ceiling)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._hill_climb = HillClimb(self._limit, ceiling)
        self._rate = CubicRate()
        self._rate_limited = False
        self._cuts = 0
        self._recovering = False
        self._tolerance = 0.0
        # The window and the measurement; every request changes some of it, so there is no object for it.
        self._window = self._left = 1
        self._successes = 0  # before this window
        self._settled = False
        self._slack = False
        self._busy = 0
        self._work = 0
        self._work_before = 0
        self._began = 0.0
        self._begin_window()

    def __repr__(self) -> str:
        return (
            f"ConcurrencyLimiter({self._limit}/{self.ceiling}, {self._in_flight} in flight, "
            f"{len(self._waiting)} waiting)"
        )

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """How many requests are in flight now."""
        return self._in_flight

    @property
    def start_rate(self) -> float:
        """How many requests may start in a second; infinite until the endpoint demands fewer."""
        return self._rate.rate

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot now."""
        return len(self._waiting)

    @property
    def successes(self) -> int:
        """How many requests have succeeded so far."""
        return self._successes + self._window - self._left

    def resize(self, ceiling: int) -> None:
        """Change the highest limit; requests in flight above it are not interrupted."""
        if ceiling < 1:
            raise ValueError("at least one request has to be allowed")
        self.ceiling = ceiling
        self._hill_climb.resize(ceiling)
        if self._limit > ceiling:
            self._successes = self.successes
            self._set_limit(ceiling)

    def limit_rate(self, ceiling: float) -> None:
        """Bound the requests that may start in a second, in addition to the rate from refusals."""
        self._rate.ceiling = ceiling
        self._rate_limited = self._rate.limits
        self._admit()

    def free_slots(self) -> int:
        """Return how many more requests would not wait for others now; the rate may still delay them."""
        return max(0, self._limit - self._in_flight - len(self._waiting))

    async def acquire(self) -> int:
        """Wait for a slot; return the argument for :meth:`release`, which must always follow."""
        free = self._in_flight < self._limit and not self._waiting
        if free and (not self._rate_limited or self._may_start()):
            self._in_flight += 1
        else:
            await self._turn()
        return self._cuts

    def try_acquire(self) -> int | None:
        """Like :meth:`acquire` if the request need not wait, else return ``None``."""
        if self._in_flight >= self._limit or self._waiting or self._rate_limited:
            return None
        self._in_flight += 1
        return self._cuts

    def release(self, cuts: int, error: BaseException | None, size: int = 0) -> None:
        """Release the slot, and adapt to the outcome of the request; ``size`` is its body's in bytes."""
        if self._in_flight < self._busy:
            self._slack = True
        self._in_flight -= 1
        if error is None:
            self._work += size
            self._left -= 1
            if not self._left:
                self._end_window()
        elif isinstance(error, ThrottledError):
            self._slow_down(cuts)
        if self._waiting:
            self._admit()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot during the block; the exception that leaves the block, or none, is the outcome."""
        cuts = await self.acquire()
        try:
            yield
        except BaseException as error:
            self.release(cuts, error)
            raise
        self.release(cuts, None)

    def throttled(self) -> None:
        """Halve the limit: part of a request that succeeded as a whole was throttled."""
        self._slow_down(self._cuts)

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            # Cancelled: either still in the queue, or admitted just before: the slot is given back.
            if not turn.cancelled():
                self._in_flight -= 1
            self._admit()
            raise

    def _admit(self) -> None:
        """Admit the requests that may start now, in the order of arrival."""
        waiting = self._waiting
        while waiting:
            if not waiting[0].done():  # else cancelled, and taken out here
                if self._in_flight >= self._limit or (self._rate_limited and not self._may_start()):
                    return
                self._in_flight += 1
                waiting[0].set_result(None)
            del waiting[0]

    def _may_start(self) -> bool:
        if self._timer is not None:
            return False
        loop = asyncio.get_running_loop()
        wait = self._rate.take(loop.time())
        if not wait:
            return True
        self._slack = True
        self._timer = loop.call_later(wait, self._ring)
        return False

    def _ring(self) -> None:
        self._timer = None
        self._admit()

    def _slow_down(self, cuts: int) -> None:
        # The same overload as another request saw before: the limit was cut since this one was admitted.
        if cuts != self._cuts:
            return
        # A large endpoint refuses a few requests at any rate: successes pay for some refusals.
        if self._tolerance >= 1.0:
            self._tolerance -= 1.0
            return
        self._cuts += 1
        self._hill_climb.fall_back()
        cut = self._rate.cut(asyncio.get_running_loop().time(), self.successes)
        self._rate_limited = self._rate.limits
        self._successes = self.successes
        self._recovering = True
        if cut or self._limit > 1:
            level = f", {self._rate.rate:.0f} a second" if cut else ""
            _LOG.debug("asked to slow down: %d requests in flight%s", max(1, self._limit // 2), level)
        self._set_limit(max(1, self._limit // 2))

    def _end_window(self) -> None:
        """End a window of successes, and read the clock, which single requests do not."""
        now = asyncio.get_running_loop().time()
        self._successes += self._window
        self._tolerance = min(self._tolerance + self._window * TOLERATED_REFUSAL_RATE, MAX_TOLERANCE)
        self._rate.note(now, self._successes)
        self._rate_limited = self._rate.limits
        # After a cut the limit doubles with each window, and is not measured before it is back.
        if self._recovering:
            self._recover()
        # What was not used, or ran partly under another limit, is no measurement of this one.
        elif self._slack or not self._settled:
            self._begin_measurement(now)
        elif now - self._began >= _MEASURED_S:
            self._end_measurement(now)
        else:
            self._begin_window()

    def _begin_window(self) -> None:
        self._busy = self._limit * 3 // 4
        self._window = self._left = self._limit if self._recovering else max(self._limit, _SHORTEST_WINDOW)

    def _begin_measurement(self, now: float) -> None:
        self._settled, self._slack = True, False
        self._began, self._work, self._work_before = now, 0, self._successes
        self._begin_window()

    def _end_measurement(self, now: float) -> None:
        rate = (self._successes - self._work_before + self._work / _UNIT) / (now - self._began)
        before = self._limit
        limit = min(self._hill_climb.next(rate), self.ceiling)
        if limit == before:
            self._begin_measurement(now)
            return
        _LOG.debug("%d requests in flight after %d with %.0f a second", limit, before, rate)
        self._set_limit(limit)

    def _recover(self) -> None:
        limit = min(2 * self._limit, self._hill_climb.base)
        self._recovering = limit < self._hill_climb.base
        self._set_limit(limit)

    def _set_limit(self, limit: int) -> None:
        """Change the limit; nothing is measured before a whole window under the new one."""
        self._limit = limit
        self._settled = False
        self._begin_window()
        self._admit()


class LimitingStore(ForwardingStore):
    """Sends at most as many requests at once as ``limiter`` allows; stores may share one."""

    def __init__(self, inner: ObjectStore, limiter: ConcurrencyLimiter) -> None:
        super().__init__(inner)
        self.limiter = limiter

    def __repr__(self) -> str:
        return f"LimitingStore({self.limiter.limit}/{self.limiter.ceiling}, {self.inner!r})"

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Wait for a slot, then store; written out, because many small bodies are stored."""
        limiter = self.limiter
        cuts = await limiter.acquire()
        try:
            result = await self.inner.put(key, body, options, md5=md5, sha256=sha256)
        except BaseException as error:
            limiter.release(cuts, error)
            raise
        limiter.release(cuts, None, len(body))
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
        """Wait for a slot, then read; written out, because many small bodies are read."""
        limiter = self.limiter
        cuts = await limiter.acquire()
        try:
            result = await self.inner.get(
                key,
                start=start,
                length=length,
                if_match=if_match,
                if_none_match=if_none_match,
                version_id=version_id,
            )
        except BaseException as error:
            limiter.release(cuts, error)
            raise
        limiter.release(cuts, None, len(result.body))
        return result

    async def call(self, request: StoreCall[T]) -> T:
        """Wait for a slot, then send."""
        limiter = self.limiter
        cuts = await limiter.acquire()
        try:
            result = await request.send()
        except BaseException as error:
            limiter.release(cuts, error)
            raise
        limiter.release(cuts, None, request.size)
        return result

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Slow down also when single keys were throttled."""
        errors = await super().delete_many(items)
        if any(error.code in THROTTLED_CODES for error in errors):
            self.limiter.throttled()
        return errors
