"""Single flight: concurrent calls with the same key share one computation, whatever it computes.

A result may be shared only if the computation had not begun when the call was made: a caller who has just
written something has to find it in the numbers. So a call joins a computation that has not begun yet. While
one is running, later calls wait for the next one, which begins when the running one has ended and is shared
by all calls made meanwhile: however many callers there are, there is one listing at a time. Only a caller
who accepts numbers of some age joins a running computation that began within it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

__all__ = ("SingleFlight",)

T = TypeVar("T")


class _Flight(Generic[T]):
    """One computation, how many callers wait for it, and when it began (monotonic seconds)."""

    def __init__(self) -> None:
        self.task: asyncio.Task[T]
        self.waiting = 0
        self.began = 0.0


class SingleFlight(Generic[T]):
    """The computations of one session.

    Each is a task of its own, so that a cancelled caller takes nothing from the others; it is cancelled
    itself when its last caller is.
    """

    def __init__(self) -> None:
        self._next: dict[Hashable, _Flight[T]] = {}
        self._running: dict[Hashable, _Flight[T]] = {}

    async def run(
        self, key: Hashable, compute: Callable[[], Awaitable[T]], max_age: float | None = None
    ) -> T:
        """Return the result for a key; an error of the computation is raised to every caller that waits.

        Args:
            key: calls with equal keys share a computation.
            compute: computes the result; not called where another caller's computation is shared.
            max_age: seconds; join a running computation that is no older. ``None`` joins none.
        """
        flight = self._joinable(key, max_age) or self._start(key, compute)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                await self._cancel(key, flight)

    def _joinable(self, key: Hashable, max_age: float | None) -> _Flight[T] | None:
        running = self._running.get(key)
        if running is None or not running.waiting or max_age is None:
            return self._next.get(key)
        young = time.monotonic() - running.began < max_age
        return running if young else self._next.get(key)

    def _start(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> _Flight[T]:
        flight = self._next[key] = _Flight()
        flight.task = asyncio.create_task(self._run(key, flight, compute))
        flight.task.add_done_callback(_mark_retrieved)
        return flight

    async def _run(self, key: Hashable, flight: _Flight[T], compute: Callable[[], Awaitable[T]]) -> T:
        """Compute when the computation before this one has ended, with a result or an error."""
        while (before := self._running.get(key)) is not None:
            await asyncio.wait([before.task])
        del self._next[key]
        self._running[key] = flight
        flight.began = time.monotonic()
        try:
            return await compute()
        finally:
            del self._running[key]

    async def _cancel(self, key: Hashable, flight: _Flight[T]) -> None:
        """Cancel a computation that has no caller left, and wait until it has ended."""
        if self._next.get(key) is flight:
            del self._next[key]
        flight.task.cancel()
        with anyio.CancelScope(shield=True):  # the caller is being cancelled, maybe with its whole scope
            await asyncio.wait([flight.task])


def _mark_retrieved(task: asyncio.Task[T]) -> None:
    """Read the error of a task so that asyncio does not log it: the callers, if there are any, have it."""
    if not task.cancelled():
        task.exception()
