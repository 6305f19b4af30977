"""WorkerPool: workers for queued items, as many as the session allows requests in flight."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from anyio.abc import TaskGroup

from aios3sync.sync.run import Run

__all__ = ("WorkerPool",)

T = TypeVar("T")


class WorkerPool(ABC, Generic[T]):
    """The workers that send requests, and the items that are queued for them.

    Items are passed on without a stream: a stream would cost a third as much as sending a small body. There
    are as many workers as the session allows requests in flight, up to the ceiling: further ones would only
    be woken to wait.

    Invariant: items leave the queue one by one, so that its length never skips ``refill_at``, at which a
    caller that waits in :meth:`submit` is woken.

    Args:
        run: says how many requests may be in flight.
        tasks: the workers are tasks of this group.
        most_queued: items; :meth:`submit` waits while there are more.
        refill_at: the queue length at which it continues.
    """

    def __init__(self, run: Run, tasks: TaskGroup, *, most_queued: int, refill_at: int) -> None:
        self.run = run
        self._tasks = tasks
        self._most_queued = most_queued
        self._refill_at = refill_at
        self._queue: deque[T] = deque()
        self._idle: deque[asyncio.Event] = deque()
        self._has_room = asyncio.Event()
        self._workers = 0
        self._closed = False

    @abstractmethod
    async def handler(self) -> Callable[[T], Awaitable[object]]:
        """Return the function that handles one item; each worker calls this once, before its first item.

        An exception of that function ends the task group: the failure of one item is an outcome instead.
        """

    async def submit(self, items: Sequence[T]) -> None:
        """Queue items; wait while too many are queued."""
        self._queue.extend(items)
        all_idle = self._workers == len(self._idle)
        self._add_workers(min(len(items), max(self.run.resources.free_slots(), all_idle)))
        while len(self._queue) > self._most_queued:
            self._has_room.clear()
            await self._has_room.wait()

    def submit_again(self, item: T) -> None:
        """Queue an item that has to be handled again; the pool must not be closed."""
        self._queue.append(item)
        self._add_workers(1)

    def _add_workers(self, count: int) -> None:
        """Activate up to ``count`` more workers, first those that have been idle longest."""
        for _ in range(count):
            if self._idle:
                self._idle.popleft().set()
            elif self._workers < self.run.resources.workers:
                self._workers += 1
                self._tasks.start_soon(self._work)
            else:
                return

    def close(self) -> None:
        """Accept no more items: workers end when the last one is handled."""
        self._closed = True
        for event in self._idle:
            event.set()

    async def _work(self) -> None:
        queue, free_slots, refill_at = self._queue, self.run.resources.free_slots, self._refill_at
        handle = await self.handler()
        while True:
            while queue:
                item = queue.popleft()
                if len(queue) == refill_at:
                    self._has_room.set()
                await handle(item)
                if queue and free_slots() > 1:  # one is our own: the limit grew, or others wait to try again
                    self._add_workers(1)
            self._has_room.set()
            if self._closed:
                return
            event = asyncio.Event()  # anyio's asks which event loop this is, at a third of a body's cost
            self._idle.append(event)
            await event.wait()
