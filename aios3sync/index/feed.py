"""Feed the index with the outcomes of a sync: an OutcomeSink with a bounded queue in front of the database.

It never raises into the sync and never delays it for long. If the database fails or does not keep up, the
rest of the run is not written, the mark of the run stays with the reason, and the sync gets a warning;
``reconcile`` repairs the index. A killed process leaves its mark as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

from aios3sync._dataclass import replace
from aios3sync.core.keys import Location, thumbnails_below
from aios3sync.core.tool_files import is_tool_file
from aios3sync.events import (
    Adopted,
    Copied,
    Deleted,
    EventSink,
    Forgotten,
    Trashed,
    Updated,
    Uploaded,
    Warned,
    discard,
)
from aios3sync.index.db.batch import facts_of
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.rows import Applied, Change, Facts, ObjectIndexError, ObjectRow, Removal, Upsert
from aios3sync.index.staleness import FeedMark, final_state, new_mark
from aios3sync.report import SyncReport

if TYPE_CHECKING:
    from aios3sync.sync.request import SyncRequest
    from aios3sync.sync.resources import Resources

__all__ = ("TOO_SLOW", "IndexFeed", "IndexSubscriber", "changes_of", "facts_of_outcome", "feed_index")

_LOG: Final = logging.getLogger(__name__)
_NO_IMAGE: Final = (None, None)
TOO_SLOW: Final = "the database did not keep up"
_QUEUE: Final = 200
"""Batches of changes that may wait, of about as many each as the next."""
_BATCH: Final = 256
_AT_ONCE: Final = 16_000
"""Changes of one transaction: the more, the fewer pages of the B-trees are written twice."""
_LINGER: Final = 1.0
"""Seconds that outcomes may wait for others to be written with them."""
_POLL: Final = 0.05
_QUEUE_TIMEOUT: Final = 10.0
"""Seconds that a sync waits for space in the queue before it continues without the index."""
_FINISH_TIMEOUT: Final = 30.0
"""Seconds for writing the queue after the end of the sync."""


def facts_of_outcome(outcome: Any, prefix: str, observed: float) -> Facts | None:
    """Return the change of the index that an outcome results in; ``None`` where the bucket did not change."""
    kind = type(outcome)
    if kind is Uploaded:
        row = outcome.row
        width, height = outcome.image or _NO_IMAGE
        # A file that was compressed on the way has another size than its object.
        size = outcome.sent if row.encoding else row.size
        return (
            prefix + row.key, size, row.etag, outcome.content_type, "", width, height, None, "",
            row.uploaded_at, 0.0, observed, "",
        )  # fmt: skip
    if kind is Copied:
        row = outcome.row
        return (
            prefix + row.key, row.size, row.etag, "", "", None, None, None, "", row.uploaded_at, 0.0,
            observed, "",
        )  # fmt: skip
    if kind is Updated:
        row = outcome.row
        return (
            prefix + row.key, outcome.size, row.etag, outcome.content_type, outcome.storage_class, None, None,
            None, "", 0.0, 0.0, observed, "",
        )  # fmt: skip
    if kind is Adopted:
        return facts_of(Upsert(_adopted(outcome, prefix), observed))
    if kind is Trashed:
        return facts_of(Upsert(ObjectRow(outcome.key, outcome.size, outcome.etag), observed))
    if kind is Deleted or kind is Forgotten:
        return facts_of(Removal(prefix + outcome.key, observed))
    return None


def _facts_of(batch: Sequence[Any], prefix: str, observed: float) -> list[Facts]:
    facts = (facts_of_outcome(outcome, prefix, observed) for outcome in batch)
    return [known for known in facts if known is not None]


def changes_of(batch: Sequence[Any], request: SyncRequest, observed: float) -> list[Facts]:
    """Return the changes of the index that outcomes of a sync result in.

    Args:
        batch: the outcomes.
        request: the sync.
        observed: seconds since the epoch.
    """
    return _facts_of(_followed(batch, request), request.location.prefix, observed)


def _followed(batch: Sequence[Any], request: SyncRequest) -> Sequence[Any]:
    """Return the outcomes without those in another bucket than the target."""
    trash = request.options.trash
    if trash is None or Location.parse(trash).bucket == request.location.bucket:
        return batch
    return [outcome for outcome in batch if type(outcome) is not Trashed]


def _adopted(outcome: Adopted, prefix: str) -> ObjectRow:
    """Return the row as the target listed it: a compressed object has another size than its file."""
    row, stored = outcome.row, outcome.stored
    if stored is None:
        return ObjectRow(prefix + row.key, row.size, row.etag)
    return ObjectRow(
        prefix + row.key,
        stored.size,
        stored.etag,
        storage_class=stored.storage_class,
        last_modified=stored.last_modified,
    )


def _unexpected(error: Exception) -> str:
    """Log an unexpected error with its traceback, and return the reason in one line."""
    _LOG.debug("the index is not fed any more", exc_info=error)
    return f"unexpected {type(error).__name__}: -vv shows where"


class IndexFeed:
    """The sink of one sync, see :class:`~aios3sync.events.OutcomeSink`; created by :func:`feed_index`.

    Attributes:
        applied: how many changes had which effect.
        warnings: for the report of the run, when it has ended.
        trouble: why the rest of the run is not written; empty as long as nothing went wrong.
        lack: why changes are missing among those that are written; empty as long as none are.
    """

    def __init__(self, backend: IndexBackend, location: Location, others: Sequence[Location] = ()) -> None:
        self.applied = Applied()
        self.warnings: list[str] = []
        self.trouble = ""
        self.lack = ""
        self._backend = backend
        self._location = location
        self._ended = anyio.Event()
        self._targets = " and ".join(map(str, (location, *others)))
        self._send, self._receive = anyio.create_memory_object_stream[Sequence[Facts]](_QUEUE)

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Queue the changes of a batch of outcomes."""
        if self.trouble:
            return
        try:
            facts = _facts_of(batch, self._location.prefix, time.time())
        except Exception as error:  # noqa: BLE001 - the index never fails the run
            self.fail(_unexpected(error))
            return
        await self.take(facts)

    @property
    def room(self) -> int:
        """How many batches can be queued without waiting; after a failure they are dropped."""
        return _QUEUE if self.trouble else _QUEUE - self._send.statistics().current_buffer_used

    async def take(self, facts: Sequence[Facts]) -> None:
        """Queue a batch of changes."""
        facts = [known for known in facts if not is_tool_file(known[0])]
        if self.trouble or not facts:
            return
        try:
            self._send.send_nowait(facts)
        except anyio.WouldBlock:
            with anyio.move_on_after(_QUEUE_TIMEOUT) as scope:
                await self._send.send(facts)
            if scope.cancelled_caught:
                self.fail(TOO_SLOW)

    async def changes(self, changes: Sequence[Change]) -> None:
        """Queue further changes of objects, after those of their outcomes."""
        await self.take(list(map(facts_of, changes)))

    def fail(self, reason: str) -> None:
        """Stop feeding the index in this run, and add a warning."""
        if not self.trouble:
            self.trouble = reason
            self._warn(reason)

    def lacks(self, reason: str) -> None:
        """Add a warning: changes of the run are missing. Those that come are written all the same."""
        if not (self.trouble or self.lack):
            self.lack = reason
            self._warn(reason)

    def _warn(self, reason: str) -> None:
        self.warnings.append(f"the index is stale, reconcile {self._targets} repairs it: {reason}")

    async def run(self) -> None:
        """Write the queue until it is closed; after a failure drop its content."""
        async with self._receive:
            async for first in self._receive:
                facts = list(first)
                await self._gather(facts)
                if not self.trouble:
                    await self._apply(facts)

    async def _gather(self, facts: list[Facts]) -> None:
        """Wait for more changes: one large transaction writes fewer B-tree pages than many small ones.

        It polls, since a cancelled receive could lose changes. When the sync has ended it does not wait.
        """
        until = time.monotonic() + _LINGER
        while len(facts) < _AT_ONCE and time.monotonic() < until:
            try:
                facts += self._receive.receive_nowait()
            except anyio.WouldBlock:
                with anyio.move_on_after(_POLL):
                    await self._ended.wait()
            except anyio.EndOfStream:
                return

    async def _apply(self, facts: Sequence[Facts]) -> None:
        try:
            applied = await self._backend.apply_facts(self._location.bucket, facts)
        except ObjectIndexError as error:
            self.fail(str(error))
        except Exception as error:  # noqa: BLE001 - the index never fails the run
            self.fail(_unexpected(error))
        else:
            self.applied = self.applied.plus(applied)

    def end(self) -> None:
        """Close the queue: the sync has no more outcomes."""
        self._send.close()
        self._ended.set()


@asynccontextmanager
async def feed_index(
    backend: IndexBackend, location: Location, *, others: Sequence[Location] = ()
) -> AsyncIterator[IndexFeed]:
    """Open the sink of one sync, which lasts as long as the block; the queue is written before it ends.

    Args:
        backend: of the index.
        location: the target, to which the keys of outcomes are relative.
        others: other prefixes of the bucket in which the sync changes objects; each gets a mark of its own.
    """
    sink = IndexFeed(backend, location, others)
    now = time.time()
    marks = [new_mark(each, now) for each in (location, *others)]
    try:
        await backend.save_state({mark.item: mark.text() for mark in marks})
    except ObjectIndexError as error:
        sink.fail(str(error))
    finished = anyio.Event()

    async def run() -> None:
        # The sync may be cancelled; the changes that it has made are written all the same.
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
            with anyio.move_on_after(_FINISH_TIMEOUT) as waiting:
                await finished.wait()
            if waiting.cancelled_caught:
                sink.fail(TOO_SLOW)
                await finished.wait()
            await _conclude(backend, sink, marks)
    if failure is not None:
        raise failure


async def _conclude(backend: IndexBackend, sink: IndexFeed, marks: Sequence[FeedMark]) -> None:
    state: dict[str, str | None] = {}
    for mark in marks:
        state |= final_state(mark, sink.trouble or sink.lack)
    try:
        await backend.save_state(state)
    except ObjectIndexError as error:
        sink.fail(str(error))


class IndexSubscriber:
    """Feeds an index with the outcomes of one sync: a :class:`~aios3sync.sync.subscribers.Subscriber`.

    Attributes:
        backend: of the index.
    """

    def __init__(self, backend: IndexBackend) -> None:
        self.backend = backend
        self._feed: IndexFeed | None = None
        self._request: SyncRequest | None = None
        self._on_event: EventSink = discard

    @asynccontextmanager
    async def attached(self, request: SyncRequest, resources: Resources) -> AsyncIterator[Resources]:
        """Feed the index while the run lasts; the queue is written before the block ends."""
        self._on_event, self._request = resources.on_event, request
        location, others = request.location, []
        if side := request.options.thumbnails:
            others.append(Location(location.bucket, thumbnails_below(side, location.prefix)))
        if request.options.trash is not None:
            trash = Location.parse(request.options.trash)
            others += [trash] if trash.bucket == location.bucket else []
        async with feed_index(self.backend, location, others=others) as self._feed:
            yield resources

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Queue the changes of a batch of outcomes."""
        if self._feed is not None and self._request is not None:
            await self._feed.outcomes(_followed(batch, self._request))

    @property
    def room(self) -> int:
        """How many changes :meth:`take` queues without waiting."""
        return 0 if self._feed is None else self._feed.room * _BATCH

    async def take(self, facts: Sequence[Facts]) -> None:
        """Queue changes that others have made of outcomes, see :func:`changes_of`."""
        if self._feed is not None:
            for start in range(0, len(facts), _BATCH):
                await self._feed.take(facts[start : start + _BATCH])

    async def changes(self, changes: Sequence[Change]) -> None:
        """Queue further changes of objects, after those of their outcomes."""
        if self._feed is not None:
            await self._feed.changes(changes)

    def lacks(self, reason: str) -> None:
        """Note that changes of the run are missing."""
        if self._feed is not None:
            self._feed.lacks(reason)

    async def finish(self, report: SyncReport) -> SyncReport:
        """Return the report with the warnings of the feed."""
        warnings = self._feed.warnings if self._feed is not None else []
        for warning in warnings:
            self._on_event(Warned(warning))
        return replace(report, warnings=(*report.warnings, *warnings))
