"""The one writer of the manifest: takes outcomes, checks, counts, records and passes them on, in batches.

An upload whose file changed while it was sent becomes a failure here. Outcomes are recorded after the fact,
each batch in one transaction, at least four times a second: after a crash some work is repeated, but the
manifest is right. This module decides nothing and sends nothing to S3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import ManifestError
from aios3sync.events import (
    Adopted,
    Archived,
    Copied,
    Deleted,
    Downloaded,
    EventSink,
    Forgotten,
    Kept,
    NotDone,
    Outcome,
    OutcomeSink,
    Touched,
    Updated,
    Uploaded,
)
from aios3sync.manifest.protocol import Manifest, ManifestState
from aios3sync.report import Failure, ReportBuilder
from aios3sync.sync.error_file import ErrorFile
from aios3sync.sync.sides import Source

if TYPE_CHECKING:
    from aios3sync.sync.part_progress import PartProgress

__all__ = (
    "Recorder",
    "unforeseen",
)


_BATCH: Final = 256
_WAITING: Final = 16 * _BATCH
"""Outcomes that may wait to be recorded before callers have to wait."""
_TRANSFERS: Final = frozenset({"compare", "upload", "download", "copy"})
_INTERVAL: Final = 0.25
"""Seconds after which even a few outcomes are recorded."""


class Recorder:
    """Takes the outcomes of one run.

    Args:
        source: where files come from, to check once more what was sent.
        manifest: where rows go; ``None`` in a dry run.
        builder: takes the counts.
        sink: progress events.
        outcome_sinks: complete outcomes, after they are recorded.
        state: the manifest's state, with the number of this run.
        error_file: takes the errors that the report cannot hold.
        progress: of a part of a run; keeps the counts for the next attempt.
        before_changes: see :class:`~aios3sync.sync.resources.Resources`.

    Attributes:
        began: the manifest was written to in this run.
        changing: the target was changed in this run, or was about to be.
        uncertain: uploads and deletes whose effect is not known: the next run must list.
        failed_transfers: items that could not be compared, sent, fetched or copied, so that deletes wait
            (P5).
        failed_reads: files that could not be read. They count as well: for a file that was moved and cannot
            be read at its new path, the object under its old key is the only copy.
        held: planned items that begin when all others have ended.
        not_done: keys that ended without a transfer; a second comparison skips them.
    """

    def __init__(  # noqa: PLR0913 - what a run has, each of its own kind
        self,
        source: Source[Any],
        manifest: Manifest | None,
        builder: ReportBuilder,
        sink: EventSink,
        outcome_sinks: Sequence[OutcomeSink] = (),
        *,
        state: ManifestState,
        error_file: ErrorFile,
        progress: PartProgress | None = None,
        before_changes: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._source = source
        self._manifest = manifest
        self._builder = builder
        self._sink = sink
        self._outcome_sinks = outcome_sinks
        self._pending: list[Outcome] = []
        self._wake = anyio.Event()
        self._writing = anyio.Lock()
        self._idle = anyio.Event()
        self._awaited = False
        self._state = state
        self._error_file = error_file
        self._progress = progress
        self._before_changes = before_changes
        self._beginning = anyio.Lock()
        self.changing = False
        self.began = False
        self.uncertain = 0
        self.failed_transfers = 0
        self.failed_reads = 0
        self.held = 0
        self.not_done: set[str] = set()
        self._comparing = True

    def begin_comparison(self) -> None:
        """Reset the counts of the previous comparison; what it has done is not decided again.

        A dry run has done nothing, and no row remembers what it counted: everything is counted anew.
        """
        self._builder.begin_comparison(nothing_done=self._manifest is None)
        if self._manifest is None:
            self.not_done.clear()
            self.uncertain = self.failed_transfers = self.failed_reads = 0

    def compared(self) -> None:
        """Note that the last comparison has ended: failed keys are no longer looked up."""
        self._comparing = False
        self.not_done.clear()

    async def begin(self, *, changing: bool = True) -> None:
        """Mark in the manifest that this run writes, before it writes.

        ``changing`` the target makes it incomplete: unless the run ends well, the next one lists (P10).
        """
        if self._manifest is None or (self.began and (self.changing or not changing)):
            return
        async with self._beginning:
            if self.began and (self.changing or not changing):
                return
            changing |= self.changing
            await self._manifest.save_state(self._state.begun() if changing else self._state)
            if changing and self._before_changes is not None:
                await self._before_changes()
                self._before_changes = None
            self.changing, self.began = changing, True  # at the end: others go on as soon as they see it

    def add(self, outcome: Outcome) -> None:
        """Take one outcome; it is counted when it is recorded."""
        self._pending.append(outcome)
        if len(self._pending) >= _BATCH or self._awaited:
            self._wake_up()

    def add_all(self, outcomes: Sequence[Outcome]) -> None:
        """Take some outcomes."""
        self._pending += outcomes
        if len(self._pending) >= _BATCH or self._awaited:
            self._wake_up()

    def _wake_up(self) -> None:
        """Record now: a batch is full, or the last outcome that :meth:`settled` waits for has arrived."""
        if len(self._pending) >= min(_BATCH, self._builder.pending - self.held):
            self._wake.set()

    async def run(self) -> None:
        """Record outcomes until cancelled. Run it as a task; call :meth:`flush` at the end."""
        while True:
            with anyio.move_on_after(_INTERVAL):
                await self._wake.wait()
            self._wake = anyio.Event()
            await self.flush()

    async def catch_up(self) -> None:
        """Wait while the manifest is slower than the callers, so that memory stays bounded."""
        if len(self._pending) >= _WAITING:
            await self.flush()

    async def flush(self) -> None:
        """Record everything that was added so far."""
        async with self._writing:
            while self._pending:
                batch, self._pending = self._pending[: 4 * _BATCH], self._pending[4 * _BATCH :]
                with anyio.CancelScope(shield=True):  # a batch that was taken must not be lost
                    await self._record(batch)
            if self._builder.overflow:
                await self._write_errors()
        self._idle.set()
        self._idle = anyio.Event()

    async def _write_errors(self) -> None:
        """Put the errors that the report cannot hold into their file."""
        try:
            await self._error_file.append(self._builder.take_overflow())
        except OSError as error:
            self._builder.warn(f"not all errors could be kept: {error.strerror}")

    async def settled(self, given_up: Callable[[], object]) -> None:
        """Wait until every planned item has ended and is recorded, or ``given_up`` returns true.

        Items that are ``held`` are not waited for.
        """
        await self.flush()
        self._awaited = True
        try:
            while self._builder.pending > self.held and not given_up():
                await self._idle.wait()  # at the latest after the next interval
        finally:
            self._awaited = False

    async def _record(self, batch: list[Outcome]) -> None:
        if self._manifest is not None:
            batch = await to_thread.run_sync(self._recheck, batch)
            if self._progress is not None:
                batch = list(map(self._progress.as_sent, batch))
            batch = await self._write(self._manifest, batch)
        # Only what is recorded is counted and passed on: a crash before loses work, never truth.
        if all(type(outcome) is Deleted for outcome in batch):
            self._count_deleted(batch)
        else:
            for outcome in batch:
                self._count(outcome)
        if self._manifest is not None:
            for sink in self._outcome_sinks:
                await sink.outcomes(batch)

    async def _write(self, manifest: Manifest, batch: list[Outcome]) -> list[Outcome]:
        """Record a batch; an item that cannot be recorded fails alone."""
        rows, gone = _changes(batch)
        if not (rows or gone):
            return batch
        await self.begin(changing=False)
        try:
            if self._progress is None:
                await manifest.record(rows, gone)
            else:
                await self._progress.record(rows, gone, batch)
        except ManifestError:
            raise
        except Exception as error:  # noqa: BLE001 - one item is never the end of the run
            if len(batch) == 1:
                return [unforeseen((*(row.key for row in rows), *gone)[0], "upload", error)]
            halves = batch[: len(batch) // 2], batch[len(batch) // 2 :]
            return [outcome for half in halves for outcome in await self._write(manifest, half)]
        return batch

    def _recheck(self, batch: list[Outcome]) -> list[Outcome]:
        """Turn uploads whose file changed while it was sent into failures (P8): they are never recorded."""
        return [self._checked(outcome) if type(outcome) is Uploaded else outcome for outcome in batch]

    def _checked(self, uploaded: Uploaded) -> Outcome:
        if self._source.is_unchanged(uploaded.row):
            return uploaded
        return NotDone(uploaded.row.key, "failed", "upload", "changed while it was sent", uncertain=True)

    def _count(self, outcome: Outcome) -> None:
        builder, sink = self._builder, self._sink
        if type(outcome) is Uploaded:  # a pattern takes three times as long, and these two are the most
            row = outcome.row
            builder.uploaded_bytes += outcome.sent
            builder.settle("uploaded")
            if sink is not events.discard:
                sink(events.ObjectUploaded(row.key, row.size, row.etag, outcome.reason))
            return
        if type(outcome) is Downloaded:
            row = outcome.row
            builder.downloaded_bytes += outcome.received
            builder.settle("downloaded")
            if sink is not events.discard:
                sink(events.ObjectDownloaded(row.key, row.size, row.etag, outcome.reason))
            return
        if type(outcome) is Deleted:
            builder.settle("deleted")
            if sink is not events.discard:
                sink(events.ObjectDeleted(outcome.key, outcome.size))
            return
        self._count_rare(outcome)

    def _count_deleted(self, batch: Sequence[Any]) -> None:
        """Count a batch of deletes, which may be millions, at once."""
        self._builder.settle("deleted", count=len(batch))
        if (sink := self._sink) is not events.discard:
            for outcome in batch:
                sink(events.ObjectDeleted(outcome.key, outcome.size))

    def _count_rare(self, outcome: Outcome) -> None:
        builder, sink = self._builder, self._sink
        match outcome:
            case Adopted(row):
                builder.settle("adopted")
                sink(events.ObjectAdopted(row.key, row.size, row.etag))
            case Updated(row):
                builder.settle("updated")
                sink(events.ObjectUpdated(row.key, row.size, row.etag))
            case Copied(row, sent, reason):
                builder.copied_bytes += sent
                builder.settle("copied")
                sink(events.ObjectCopied(row.key, row.size, row.etag, reason))
            case Touched(row, visible=True):
                builder.settle("touched")
                sink(events.ObjectTouched(row.key, row.size))
            case NotDone():
                self._count_not_done(outcome)
            case _:
                self._count_unseen(outcome)

    def _count_unseen(self, outcome: Outcome) -> None:
        """Count an outcome that is neither listed nor shown."""
        builder, sink = self._builder, self._sink
        match outcome:
            case Touched():
                builder.settle("kept")
                sink(events.Decided(1))
            case Kept():
                builder.settle_as_found("kept")  # nothing was done, so a second comparison finds it again
                sink(events.Decided(1))
            case Archived(key, size, restoring):
                if self._comparing:
                    self.not_done.add(key)
                builder.archived_bytes += size
                builder.settle("restoring" if restoring else "archived")
            case Forgotten():
                builder.settle("forgotten")

    def _count_not_done(self, outcome: NotDone) -> None:
        if self._comparing:
            self.not_done.add(outcome.key)
        self.uncertain += outcome.uncertain
        if outcome.state == "failed":
            self.failed_reads += outcome.stage == "read"
            self.failed_transfers += outcome.stage in _TRANSFERS
        failure = Failure(outcome.key, outcome.stage, outcome.error) if outcome.error else None
        self._builder.settle(outcome.state, failure)
        if failure is not None:
            self._sink(events.Failed(failure))


def _changes(batch: Sequence[Outcome]) -> tuple[list[RecordedEntry], list[str]]:
    rows: list[RecordedEntry] = []
    gone: list[str] = []
    for outcome in batch:
        if type(outcome) is Uploaded or type(outcome) is Downloaded:
            rows.append(outcome.row)
            continue
        if type(outcome) is Deleted:
            gone.append(outcome.key)
            continue
        match outcome:
            case Adopted() | Touched() | Updated() | Copied():
                rows.append(outcome.row)
            case Forgotten() | NotDone(forget=True):
                gone.append(outcome.key)
            case _:
                pass
    return rows, gone


def unforeseen(key: str, stage: str, error: Exception) -> NotDone:
    """Return the outcome of an item that failed for an unexpected reason: the target may have changed."""
    return NotDone(key, "failed", stage, Failure.unforeseen(key, stage, error).error, uncertain=True)
