"""The events of one sync as an asynchronous iterator: bounded, and ended orderly when its reader leaves.

The run is a task of its own. A queue lies between it and its reader. When the queue is full, counts are added
to events that already wait, and the run waits before it records more: a slow reader slows the run down, but
costs no memory. A reader that leaves (``break``, an exception, a cancellation) asks the run to stop; what is
in flight ends and is recorded, as after a :class:`~aios3sync.concurrency.Stop`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import anyio

from aios3sync._dataclass import replace
from aios3sync.concurrency import Stop
from aios3sync.errors import UsageError
from aios3sync.events import (
    BytesReceived,
    BytesSent,
    Decided,
    Event,
    Failed,
    Finished,
    OutcomeSink,
    Planned,
    Scanned,
)
from aios3sync.report import SyncReport

__all__ = ("EventQueue", "EventStreams", "SyncEvents")

_MOST_BEYOND: Final = 4096
"""Events that are accepted above the limit: those of a batch that is being recorded, and of the walk."""
_TRIED_TO_ADD: Final = 64
"""How many of the newest waiting events are searched for one of the same kind."""


class EventQueue:
    """Holds the events between a run and its reader.

    Invariant: it has at most ``limit + _MOST_BEYOND`` events and the last one. It is an event sink, which may
    not wait, and an outcome sink, which waits until there is space.

    Args:
        limit: events that may wait before the run does.
        stop: asks the run to end early and orderly.

    Attributes:
        is_abandoned: the reader has left.
        dropped: events that were not kept because the reader was too slow; the report counts their items.
    """

    def __init__(self, limit: int, stop: Stop) -> None:
        self.dropped = 0
        self._limit = limit
        self._stop = stop
        self._events: deque[Event] = deque()
        self._has_ended = False
        self.is_abandoned = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        if self.is_abandoned:
            return
        if isinstance(event, Finished) or (isinstance(event, Failed) and event.error is not None):
            self._has_ended = True
        elif len(self._events) >= self._limit:
            self._room.clear()
            if self._is_added(event):
                return
            if len(self._events) >= self._limit + _MOST_BEYOND:
                self.dropped += 1
                return
        self._events.append(event)
        self._news.set()

    def _is_added(self, event: Event) -> bool:
        """Add the counts of an event to one that waits; return whether there was one."""
        kind = type(event)
        if kind not in (BytesSent, BytesReceived, Decided, Planned, Scanned):
            return False
        newest = len(self._events) - 1
        for place in range(newest, max(newest - _TRIED_TO_ADD, -1), -1):
            waiting = self._events[place]
            if type(waiting) is kind and getattr(waiting, "key", "") == getattr(event, "key", ""):
                self._events[place] = _sum(waiting, event)
                return True
        return False

    async def outcomes(self, batch: Sequence[Any]) -> None:  # noqa: ARG002 - the events show them
        """Wait until there is space in the queue."""
        await self._room.wait()

    def take(self) -> Event | None:
        """Return the next event, ``None`` where none waits."""
        if not self._events:
            self._news.clear()
            return None
        event = self._events.popleft()
        if len(self._events) < self._limit:
            self._room.set()
        return event

    async def wait(self) -> None:
        """Wait for an event, or for the end of the run."""
        await self._news.wait()

    def end(self, _: object = None) -> None:
        """Wake the reader: the run has ended."""
        self._news.set()

    def abandon(self) -> None:
        """Drop all events, because the reader has left, and ask a run that still works to stop."""
        self.is_abandoned = True
        self._events.clear()
        self._room.set()
        if not self._has_ended:
            self._stop.request()


def _sum(one: Any, other: Any) -> Any:
    """Return an event with the counts of both."""
    counts = {
        name: getattr(one, name) + getattr(other, name) for name in type(one).__slots__ if name != "key"
    }
    return replace(one, **counts)


async def _awaited(run: Awaitable[SyncReport]) -> SyncReport:
    return await run


def _note_error(task: asyncio.Task[SyncReport]) -> None:
    """Retrieve the error of a run whose reader has left: or asyncio logs that it was not."""
    if not task.cancelled():
        task.exception()


class EventStreams:
    """The runs of a session whose events are read; they end before the session does."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Task[SyncReport], EventQueue] = {}

    def open(
        self, run: Callable[..., Awaitable[SyncReport]], limit: int, sinks: Sequence[OutcomeSink], stop: Stop
    ) -> SyncEvents:
        """Return the events of a run that has not begun yet.

        Args:
            run: takes ``on_event``, ``outcome_sinks`` and ``stop``.
            limit: events that may wait before the run does.
            sinks: outcome sinks of the caller.
            stop: asks the run to end early and orderly.

        Raises:
            UsageError: the limit is less than 1.
        """
        if limit < 1:
            raise UsageError(f"buffer: {limit} is less than 1")
        queue = EventQueue(limit, stop)
        return SyncEvents(lambda: run(on_event=queue, outcome_sinks=(*sinks, queue), stop=stop), queue, self)

    def add(self, task: asyncio.Task[SyncReport], queue: EventQueue) -> None:
        """Add a run that has begun."""
        self._queues[task] = queue
        task.add_done_callback(lambda _: self._queues.pop(task, None))

    async def close(self) -> None:
        """Ask all runs to stop, and wait until they have ended."""
        tasks = dict(self._queues)
        for queue in tasks.values():
            queue.abandon()
        for task in tasks:
            await _ended(task)


async def _ended(task: asyncio.Task[SyncReport]) -> None:
    """Wait for the end of a run, through one cancellation; the second one cancels the run."""
    try:
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        raise


class SyncEvents:
    """An asynchronous iterator of the events of one sync; the last one is ``Finished`` with the report.

    The run begins with the first event that is asked for. If it fails as a whole, its ``Failed`` event comes
    last, and then the error is raised. In ``async with`` the block waits for the end of a run that it leaves
    early; otherwise the session waits for it when it closes.
    """

    def __init__(
        self, run: Callable[[], Awaitable[SyncReport]], queue: EventQueue, running: EventStreams
    ) -> None:
        self._running = running
        self._run: Callable[[], Awaitable[SyncReport]] | None = run
        self._queue = queue
        self._task: asyncio.Task[SyncReport] | None = None
        # The run knows the queue alone, so that an iterator that its reader has left is collected at once.
        weakref.finalize(self, queue.abandon).atexit = False

    @property
    def report(self) -> SyncReport:
        """The report of the run.

        Raises:
            UsageError: the run has not ended yet.
            AioS3SyncError: the run failed as a whole.
        """
        if self._task is None or not self._task.done():
            raise UsageError("report: the run has not ended; read its events to the end")
        return self._task.result()

    @property
    def dropped(self) -> int:
        """Events that were left out, because the reader was too slow; the report counts their items."""
        return self._queue.dropped

    def _start(self) -> None:
        """Begin the run, unless it has begun or the iterator is closed."""
        if self._run is not None:
            self._task = asyncio.ensure_future(_awaited(self._run()))
            self._run = None
            self._task.add_done_callback(self._queue.end)
            self._task.add_done_callback(_note_error)
            self._running.add(self._task, self._queue)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        self._start()
        while (event := self._queue.take()) is None:
            if self._task is None or self._task.done():
                return self._end()
            try:
                await self._queue.wait()
            except asyncio.CancelledError:
                await self.aclose()
                raise
        return event

    def _end(self) -> NoReturn:
        if self._task is not None and not self._queue.is_abandoned:
            self._task.result()  # raises what the run raised
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the run early in an orderly way, and wait until it has ended; its error is dropped."""
        self._queue.abandon()
        self._run = None
        if self._task is not None:
            await _ended(self._task)

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
