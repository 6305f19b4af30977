"""Tells the index what a sync did: an OutcomeSink with a bounded queue in front of the database.

It never raises into the sync and never makes it wait long. Where the database fails, or does not keep up,
the rest of the run is not told, the mark of the run says so, and the sync gets a warning; ``reconcile``
repairs it. A process that is killed leaves its mark as well.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import anyio

from aios3sync.core.keys import Location
from aios3sync.events import Event, EventSink, Finished, Warned
from aios3sync.index.behind import new_mark, saved
from aios3sync.index.protocol import IndexBackend
from aios3sync.index.rows import Applied, Change, ObjectIndexError, ObjectRow, Removal, Upsert
from aios3sync.outcomes import Adopted, Deleted, Forgotten, Uploaded
from aios3sync.report import SyncReport

__all__ = ("IndexFeed", "change_of", "fed", "feed")

_NO_IMAGE: Final = (None, None)
_new: Final = tuple.__new__
"""Makes a named tuple of all its values in a third of the time that its constructor takes with names."""
_QUEUE: Final = 200
"""Batches of outcomes that may wait, of about 256 each."""
_AT_ONCE: Final = 4000
_LINGER: Final = 1.0
"""Seconds that outcomes may wait for others to be written with them."""
_LOOK: Final = 0.01
_PATIENCE: Final = 10.0
"""Seconds that a sync waits for room in the queue before it goes on without the index."""
_LAST_WORDS: Final = 30.0
"""Seconds that what is queued may still take when the sync has ended."""


def change_of(outcome: Any, prefix: str, observed: float) -> Change | None:
    """What an outcome means for the index; ``None`` where the bucket did not change."""
    kind = type(outcome)
    if kind is Uploaded or kind is Adopted:
        return _new(Upsert, (_row(outcome, prefix), observed, ""))
    if kind is Deleted or kind is Forgotten:
        return Removal(prefix + outcome.key, observed)
    return outcome if kind is Upsert or kind is Removal else None


def _row(outcome: Uploaded | Adopted, prefix: str) -> ObjectRow:
    """The row of an object that is there; what the outcome does not tell stays unknown."""
    row = outcome.row
    if type(outcome) is not Uploaded:
        return ObjectRow(prefix + row.key, row.size, row.etag)
    width, height = outcome.image or _NO_IMAGE
    # The bytes of the file are not those of the object where it was compressed on the way.
    size = outcome.sent if row.encoding else row.size
    known = (prefix + row.key, size, row.etag, outcome.content_type, "", width, height, None, "")
    return _new(ObjectRow, (*known, row.uploaded_at, 0.0, ""))


class IndexFeed:
    """See :class:`~aios3sync.events.OutcomeSink`; made by :func:`feed`.

    Attributes:
        applied: what became of the changes.
        warnings: what a person should know when the run has ended.
    """

    def __init__(self, backend: IndexBackend, location: Location) -> None:
        self.applied = Applied()
        self.warnings: list[str] = []
        self.trouble = ""
        self._backend = backend
        self._location = location
        self._send, self._receive = anyio.create_memory_object_stream[tuple[float, Sequence[Any]]](_QUEUE)

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Queue a batch."""
        if self.trouble:
            return
        item = (time.time(), batch)
        try:
            self._send.send_nowait(item)
        except anyio.WouldBlock:
            with anyio.move_on_after(_PATIENCE) as scope:
                await self._send.send(item)
            if scope.cancelled_caught:
                self.fail("the database did not keep up")

    async def rows(self, rows: Sequence[ObjectRow]) -> None:
        """Queue what else is known of objects, behind the outcomes that told of them."""
        observed = time.time()
        await self.outcomes([Upsert(row, observed) for row in rows])

    def fail(self, reason: str) -> None:
        """Tell the index nothing more in this run."""
        if not self.trouble:
            self.trouble = reason
            self.warnings.append(f"the index is behind, reconcile {self._location} repairs it: {reason}")

    async def run(self) -> None:
        """Write what is queued until the queue is closed; after a failure throw it away."""
        async with self._receive:
            async for item in self._receive:
                items = [item]
                await self._gather(items)
                if not self.trouble:
                    await self._apply(items)

    async def _gather(self, items: list[tuple[float, Sequence[Any]]]) -> None:
        """Wait for more: the search trees are written once for a large batch, not for each of many.

        It looks again and again rather than being cancelled in the middle of a receive: nothing gets lost.
        """
        rows, until = len(items[0][1]), time.monotonic() + _LINGER
        while rows < _AT_ONCE and time.monotonic() < until:
            try:
                items.append(self._receive.receive_nowait())
            except anyio.WouldBlock:
                await anyio.sleep(_LOOK)
            except anyio.EndOfStream:
                return
            else:
                rows += len(items[-1][1])

    async def _apply(self, items: Sequence[tuple[float, Sequence[Any]]]) -> None:
        changes = [
            change
            for observed, batch in items
            for outcome in batch
            if (change := change_of(outcome, self._location.prefix, observed)) is not None
        ]
        if not changes:
            return
        try:
            applied = await self._backend.apply(self._location.bucket, changes)
        except ObjectIndexError as error:
            self.fail(str(error))
        else:
            self.applied = self.applied.plus(applied)

    def end(self) -> None:
        """No more outcomes will come."""
        self._send.close()


@asynccontextmanager
async def feed(backend: IndexBackend, location: Location) -> AsyncIterator[IndexFeed]:
    """A sink for one sync, which ends with the block; what is queued then is written first."""
    sink = IndexFeed(backend, location)
    mark = new_mark(location, time.time())
    try:
        await backend.save_state({mark.item: mark.text()})
    except ObjectIndexError as error:
        sink.fail(str(error))
    finished = anyio.Event()

    async def run() -> None:
        # The sync may be cancelled; what it did all the same is told.
        with anyio.CancelScope(shield=True):
            await sink.run()
            finished.set()

    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            yield sink
        except BaseException as error:  # noqa: BLE001 - raised below, outside of the group that would wrap it
            failure = error
        sink.end()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(_LAST_WORDS) as waiting:
                await finished.wait()
            if waiting.cancelled_caught:
                sink.fail("the database did not keep up")
                await finished.wait()
            await _conclude(backend, sink, saved(mark, sink.trouble))
    if failure is not None:
        raise failure


async def _conclude(backend: IndexBackend, sink: IndexFeed, state: dict[str, str | None]) -> None:
    try:
        await backend.save_state(state)
    except ObjectIndexError as error:
        sink.fail(str(error))


async def fed(
    backend: IndexBackend,
    location: Location,
    on_event: EventSink,
    run: Callable[[EventSink, IndexFeed], Awaitable[SyncReport]],
) -> SyncReport:
    """Run a sync that feeds the index; its report tells what the index does not know.

    Args:
        backend: of the index.
        location: the target.
        on_event: of the caller; the last event comes when the index has been told all.
        run: the sync, with the listeners that it is to have.
    """
    finished: list[Finished] = []

    def hold(event: Event, /) -> object:
        if isinstance(event, Finished):
            finished.append(event)
            return None
        return on_event(event)

    async with feed(backend, location) as sink:
        report = await run(hold, sink)
    for warning in sink.warnings:
        on_event(Warned(warning))
    report = replace(report, warnings=(*report.warnings, *sink.warnings))
    if finished:
        on_event(Finished(report))
    return report
