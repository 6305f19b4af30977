"""Find what changed: join source, manifest and target, and pass on batches of actions. It writes nothing.

Everything is a stream in key order. Decisions about keys that are in the source go out at once; decisions
about keys that are absent there are deferred until both walks have ended cleanly (P1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from anyio.abc import ObjectSendStream

from aios3sync import events
from aios3sync.core.actions import (
    UNCOUNTED,
    Action,
    AdoptCopy,
    CompareDigest,
    Conflict,
    Delete,
    Forget,
    NeedListing,
    UpdateHeaders,
)
from aios3sync.core.decision import UNKNOWN
from aios3sync.core.entries import Problem, RecordedEntry, ScanBatch, SourceEntry, TargetEntry
from aios3sync.core.keys import stored_form
from aios3sync.core.merge import BatchJoin, merge_join
from aios3sync.core.safety import UnreadablePaths
from aios3sync.core.text import escape_undecodable
from aios3sync.events import Adopted
from aios3sync.report import Failure
from aios3sync.sync.deferred import DeferredAction, DeferredDeletes
from aios3sync.sync.directions import COPY
from aios3sync.sync.manifest_diff import DiffStep
from aios3sync.sync.run import Run

if TYPE_CHECKING:
    from aios3sync.sync.download_gate import DownloadGate
    from aios3sync.sync.inventory_check import InventoryCheck

__all__ = ("Detector", "ListingNeededError")

SOURCE, MANIFEST, TARGET = range(3)
_MOST_WAITING: Final = 4096
_new: Final = tuple.__new__
"""Decisions that wait in memory before they are written to disk."""
_NAMES: Final = ("source", "manifest", "target")


class ListingNeededError(Exception):
    """The comparison cannot go on without a listing of the target; internal to a run."""


class Detector:
    """One comparison of the three sides.

    Args:
        run: the run.
        deferred: where decisions about absent keys wait.
        transfers: takes batches of the transfers of the direction: Upload, Download or CopyObject.
        compares: takes batches of CompareDigest.
        updates: takes batches of UpdateHeaders.
        gate: of a download; lets transfers through once they are known to be possible.

    Attributes:
        unreadable: what the walk of the tree could not see.
        target_objects: visible entries of the target.
        source_files: entries of the source.
        complete: both sides were seen to their ends.
    """

    def __init__(
        self,
        run: Run,
        deferred: DeferredDeletes,
        transfers: ObjectSendStream[list[Any]],
        compares: ObjectSendStream[list[CompareDigest]],
        updates: ObjectSendStream[list[UpdateHeaders]],
        gate: DownloadGate | None = None,
    ) -> None:
        self._run = run
        self._deferred = deferred
        self._transfers = transfers
        self._gate = gate
        self._compares = compares
        self._updates = updates
        self._waiting: list[DeferredAction] = []
        self._lookalikes: list[str] = []
        self.unreadable = UnreadablePaths()
        self.target_objects = 0
        self.source_files = 0
        self.complete = False

    async def compare(
        self,
        source: AsyncIterator[ScanBatch[Any]],
        recorded: AsyncIterator[Sequence[Any]],
        target: AsyncIterator[Sequence[Any]] | None,
        visible: Callable[[str], bool] | None,
    ) -> None:
        """Join the streams to their ends and send every decision.

        Args:
            source: batches of the source.
            recorded: pages of manifest rows.
            target: pages of a listing or batches of a walk, or ``None`` where the target is not asked.
            visible: the filters, for the manifest's and the target's keys; ``None`` if all are visible.

        Raises:
            ListingNeededError: ``target`` is ``None`` and a delete needs it.
            OutOfOrderError: the listing is not in key order.
        """
        streams = [source, recorded] if target is None else [source, recorded, target]
        join = BatchJoin(*_NAMES)
        if target is None:
            join.end(TARGET)
        while not join.finished:
            if self._run.stop.signal:
                return
            while (index := join.needs_input()) is not None:
                batch = await anext(streams[index], None)
                if batch is None:
                    join.end(index)
                else:
                    join.feed(index, self._arrived(index, batch, visible))
            if target is not None and self._run.policy.delete != "mirror":
                join.take_unmatched(
                    TARGET
                )  # objects that this tool did not upload: there is nothing to decide
            rows: Iterable[Any] = join.rows()
            if target is not None and self._run.inventory_check is not None:
                rows = await self._confirmed(self._run.inventory_check, rows)
            await self._decide(rows, listed=target is not None)
        await self._end()

    async def compare_unlisted(
        self, steps: AsyncIterator[DiffStep], visible: Callable[[str], bool] | None
    ) -> None:
        """Compare without a listing of the target: only what differs is examined key by key.

        Raises:
            ListingNeededError: a delete needs a listing.
        """
        async for step in steps:
            if self._run.stop.signal:
                return
            for problem in step.problems:
                self._report(problem)
            self._count_scanned(step.files, step.size)
            self._note_lookalikes(step.entries)
            rows = step.rows if visible is None else [row for row in step.rows if visible(row.key)]
            joined = merge_join(step.entries, rows, (), names=_NAMES)
            await self._decide(joined, listed=False, kept=step.agreed)
        await self._end()

    def _arrived(self, index: int, batch: Any, visible: Callable[[str], bool] | None) -> Sequence[Any]:
        if index == SOURCE:
            if self._gate is None:
                for problem in batch.problems:
                    self._report(problem)
            else:
                self._gate.feed(batch, self.unreadable)
            self._count_scanned(len(batch.entries), sum(entry.size for entry in batch.entries))
            self._note_lookalikes(batch.entries)
            return batch.entries  # type: ignore[no-any-return]
        if type(batch) is ScanBatch:
            for problem in batch.problems:
                self._report_in_target(problem)
            batch = batch.entries
        if visible is not None:
            batch = [entry for entry in batch if visible(entry.key)]
        if index == TARGET:
            self.target_objects += len(batch)
        return batch  # type: ignore[no-any-return]

    def _count_scanned(self, files: int, size: int) -> None:
        self.source_files += files
        self._run.builder.scanned += files
        if files:
            self._run.events(events.Scanned(files, size))

    def _note_lookalikes(self, entries: Sequence[SourceEntry | TargetEntry]) -> None:
        """Note the forms in which servers and other systems store source keys (C15)."""
        if self._run.policy.delete == "off":
            return
        for key in (entry.key for entry in entries):
            # Spelled out for speed: nearly all keys are plain.
            odd = "\\" in key or "//" in key or key[:1] == "/" or key[-1:] == "/" or not key.isascii()
            if odd and (form := stored_form(key)) != key:
                self._lookalikes.append(form)

    def _report(self, problem: Problem) -> None:
        self.unreadable.add(problem.path, unreadable=problem.kind == "unreadable")
        if problem.elsewhere:
            return
        if problem.kind == "vanished":
            # It is gone, but so recently that only the next run may delete its object.
            self._run.builder.find("vanished")
            return
        failure = Failure(escape_undecodable(problem.path), "scan", problem.error)
        if problem.kind == "unreadable":
            self._run.builder.find("failed", failure=failure)
            self._run.events(events.Failed(failure))
        else:
            self._run.builder.find("skipped")
            self._run.events(events.Skipped(failure.key, problem.error))
            if problem.kind == "skipped":
                message = f"skipped {failure.key}: {problem.error}"
                self._run.builder.warn(message)
                self._run.events(events.Warned(message))

    def _report_in_target(self, problem: Problem) -> None:
        """Note an unreadable place of the target: nothing at or below it is written or deleted.

        Only failures are reported: anything else matters to a download only where it is in the way.
        """
        if problem.kind == "unreadable":
            self._report(problem)
        else:
            self.unreadable.add(problem.path)

    async def _confirmed(self, check: InventoryCheck, rows: Iterable[Any]) -> Iterable[Any]:
        """Return the rows, with current objects where an inventory may be old; the others have failed."""
        run = self._run

        def decide(source: Any, recorded: Any, target: Any) -> Action:
            return run.direction.decide(source, recorded, target, run.policy)

        confirmed, failed = await check.confirmed(rows, run.number, decide)
        for key, error in failed.items():
            run.builder.plan()
            run.recorder.add(run.outcome_of_error(key, "compare", error))
        return confirmed

    async def _decide(self, rows: Iterable[Any], *, listed: bool, kept: int = 0) -> None:
        transfers: list[Any] = []
        compares: list[CompareDigest] = []
        updates: list[UpdateHeaders] = []
        run, policy, number = self._run, self._run.policy, self._run.number
        decide, transfer = run.direction.decide, run.direction.transfer
        again, gone = run.recorder.not_done, 0
        for source, recorded, target in rows:
            if source is not None and recorded is not None and recorded.run == number:
                continue  # done earlier in this run, and counted there
            if again and (source or recorded or target).key in again:
                continue
            try:
                action = decide(source, recorded, target if listed else UNKNOWN, policy)
            except Exception as error:  # noqa: BLE001 - Run.item, spelled out: this is once for every key
                run.builder.plan()
                key = (source or recorded or target).key
                run.recorder.add(run.outcome_of_error(key, "compare", error))
                continue
            kind = type(action)
            if kind is transfer:
                transfers.append(action)
            elif kind is CompareDigest:
                compares.append(action)  # type: ignore[arg-type]
            elif kind is Delete or kind is Forget or kind is Conflict:
                self._defer(action, recorded, target)
            elif kind is UpdateHeaders:
                updates.append(action)  # type: ignore[arg-type]
            elif kind is AdoptCopy or kind is NeedListing:
                self._adopt(action)
            elif action.reason not in UNCOUNTED:  # type: ignore[union-attr]
                kept += 1
                gone += source is None
        run.outdated += gone if self._gate is not None else 0
        await self._hand_on(self._admitted(transfers), compares, updates, kept)

    def _admitted(self, transfers: list[Any]) -> list[Any]:
        """Return the transfers that can begin now; others wait for later keys of the comparison."""
        if self._run.renames is not None:
            return self._run.renames.hold(transfers)
        if self._gate is not None:
            return self._gate.admit(transfers, self.unreadable)
        if transfers and self._run.direction.name == COPY:
            from aios3sync.sync.archives import readable

            return readable(self._run, transfers)
        return transfers

    def _defer(self, action: Action, recorded: RecordedEntry | None, target: Any) -> None:
        self._waiting.append(_deferred(action, target))
        if self._run.renames is not None and recorded is not None:
            self._run.renames.gone(recorded)

    def _adopt(self, action: Action) -> None:
        """Record that the target holds the object already.

        Raises:
            ListingNeededError: the action depends on a listing.
        """
        if type(action) is not AdoptCopy:
            raise ListingNeededError
        run = self._run
        run.builder.plan()
        run.recorder.add(Adopted(run.copied_row(action.source, action.target.etag), action.target))

    async def _hand_on(
        self,
        transfers: list[Any],
        compares: list[CompareDigest],
        updates: list[UpdateHeaders],
        kept: int,
    ) -> None:
        run = self._run
        if kept:
            run.builder.find("kept", kept)
            run.events(events.Decided(kept))
        if compares:
            run.builder.plan(len(compares))
            await self._compares.send(compares)
        if transfers:
            run.builder.plan(len(transfers))
            run.events(run.direction.planned(len(transfers), sum(each.source.size for each in transfers)))
            await self._transfers.send(transfers)
        if updates:
            run.builder.plan(len(updates))
            run.events(events.Planned(updates=len(updates)))
            await self._updates.send(updates)
        if len(self._waiting) >= _MOST_WAITING:
            await self._deferred.add(self._waiting)
            self._waiting.clear()
        if len(self._lookalikes) >= _MOST_WAITING:
            await self._deferred.note_names(self._lookalikes)
            self._lookalikes.clear()

    async def _end(self) -> None:
        """Defer the rest and mark the comparison complete: both sides have ended cleanly."""
        if self._gate is not None:
            await self._hand_on(await self._gate.end(self.unreadable), [], [], 0)
        if self._run.renames is not None:
            await self._hand_on(self._run.renames.release(), [], [], 0)
        if self._waiting:
            await self._deferred.add(self._waiting)
        if self._lookalikes:
            await self._deferred.note_names(self._lookalikes)
        self.complete = True


def _deferred(action: Action, target: Any) -> DeferredAction:
    if type(action) is Delete:  # a pattern takes three times as long, and these may be many
        reason = action.reason.value  # kept as plain text
        stat = tuple(target[2:]) if type(target) is SourceEntry else ()
        fields = (action.key, "delete", action.etag, action.size, action.tracked, reason, stat)
        return _new(DeferredAction, fields)  # half the time of the constructor, which is a function of Python
    match action:
        case Forget(key):
            return DeferredAction(key, "forget")
        case Conflict(key, reason, forget):
            return DeferredAction(key, "conflict", tracked=forget, reason=reason.value)
    raise TypeError(f"{action!r} cannot be deferred")
