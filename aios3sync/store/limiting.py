"""Bounds on requests and bytes in flight; waiting is first come first served, and safe to cancel."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from anyio import Event

from aios3sync.errors import ThrottledError
from aios3sync.store.answers import THROTTLED_CODES
from aios3sync.store.forwarding import ForwardingStore, Request
from aios3sync.store.protocol import DeleteError, DeleteItem, ObjectStore

__all__ = ("ByteBudget", "Limiter", "LimitingStore")

T = TypeVar("T")
_FIRST_LIMIT: Final = 32


class _Turns:
    """An amount that is handed out in order of asking: the one queue of this module."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._waiting: deque[tuple[Event, int]] = deque()

    async def acquire(self, amount: int) -> None:
        if not self._waiting and self.used + amount <= self.total:
            self.used += amount
            return
        turn = Event()
        place = (turn, amount)
        self._waiting.append(place)
        try:
            await turn.wait()
        except BaseException:
            # Cancelled: either still in the queue, or the amount came just before.
            if turn.is_set():
                self.release(amount)
            else:
                self._waiting.remove(place)
                self.admit()
            raise

    def release(self, amount: int) -> None:
        self.used -= amount
        self.admit()

    def admit(self) -> None:
        """Let in whoever fits now, without overtaking."""
        while self._waiting and self.used + self._waiting[0][1] <= self.total:
            turn, amount = self._waiting.popleft()
            self.used += amount
            turn.set()

    def waiting(self) -> int:
        return len(self._waiting)


class ByteBudget:
    """Bounds the bytes of bodies in memory: :class:`~aios3sync.store.protocol.Budget`.

    Args:
        total: bytes. A body that is larger waits for all of it, and is then alone.
    """

    def __init__(self, total: int) -> None:
        if total < 1:
            raise ValueError("a budget has at least one byte")
        self._turns = _Turns(total)

    @property
    def in_use(self) -> int:
        """Bytes that are taken now."""
        return self._turns.used

    async def acquire(self, size: int) -> None:
        """Wait until ``size`` bytes are free; later and smaller ones do not overtake."""
        await self._turns.acquire(min(size, self._turns.total))

    def release(self, size: int) -> None:
        """Give back what was acquired, exactly once and with the same size."""
        self._turns.release(min(size, self._turns.total))


class Limiter:
    """How many requests may be in flight: it grows while all goes well and halves when told to slow down.

    One more is allowed after as many successes as the limit (a window); a ThrottledError halves it, once
    for all the requests that were in flight when it was halved: they saw the same overload.

    Args:
        ceiling: never more than this many.
        first: how many to begin with.
    """

    def __init__(self, ceiling: int, *, first: int = _FIRST_LIMIT) -> None:
        if ceiling < 1:
            raise ValueError("at least one request has to be allowed")
        self.ceiling = ceiling
        self._turns = _Turns(min(first, ceiling))
        self._successes = 0
        self._cuts = 0

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self._turns.total

    @property
    def in_flight(self) -> int:
        """How many requests are in flight now."""
        return self._turns.used

    async def enter(self) -> int:
        """Wait for a slot; what it returns goes to :meth:`leave`, which must follow however that ends."""
        await self._turns.acquire(1)
        return self._cuts

    def leave(self, entered: int, error: BaseException | None) -> None:
        """Give the slot back, and learn from how the request ended."""
        if error is None:
            self._speed_up()
        elif isinstance(error, ThrottledError):
            self._slow_down(entered)
        self._turns.release(1)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one request in flight; its outcome is learnt from the exception that leaves, or none."""
        entered = await self.enter()
        try:
            yield
        except BaseException as error:
            self.leave(entered, error)
            raise
        self.leave(entered, None)

    def throttled(self) -> None:
        """Halve the limit: an answer within a request that succeeded as a whole asked to slow down."""
        self._slow_down(self._cuts)

    def _slow_down(self, seen: int) -> None:
        if seen == self._cuts:
            self._cuts += 1
            self._successes = 0
            self._turns.total = max(1, self._turns.total // 2)

    def _speed_up(self) -> None:
        self._successes += 1
        if self._successes >= self._turns.total and self._turns.total < self.ceiling:
            self._successes = 0
            self._turns.total += 1
            self._turns.admit()


class LimitingStore(ForwardingStore):
    """Sends at most as many requests at once as ``limiter`` allows; stores may share one."""

    def __init__(self, inner: ObjectStore, limiter: Limiter) -> None:
        super().__init__(inner)
        self.limiter = limiter

    async def call(self, request: Request[T]) -> T:
        """Wait for a slot, then send."""
        limiter = self.limiter
        seen = await limiter.enter()
        try:
            result = await request.send()
        except BaseException as error:
            limiter.leave(seen, error)
            raise
        limiter.leave(seen, None)
        return result

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Slow down also when single keys were throttled."""
        errors = await super().delete_many(items)
        if any(error.code in THROTTLED_CODES for error in errors):
            self.limiter.throttled()
        return errors
