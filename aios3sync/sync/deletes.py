"""Check the deferred deletes against the guards, and have the target delete in batches. Nothing else deletes.

The stage begins when both walks have ended cleanly and all uploads have ended. Each guard checks the whole
plan before the first request (P1 to P5).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from aios3sync import events
from aios3sync.core.filters import Filters
from aios3sync.core.keys import nfc, stored_form
from aios3sync.core.safety import (
    DeleteLimits,
    PlanFacts,
    Refusal,
    Unfinished,
    UnreadablePaths,
    check_deletes,
    waits_for,
)
from aios3sync.core.text import count
from aios3sync.events import Deleted, Forgotten, Kept, NotDone
from aios3sync.options import SyncOptions
from aios3sync.sync.deferred import DeferredAction, DeferredDeletes
from aios3sync.sync.detector import Detector
from aios3sync.sync.run import Run

if TYPE_CHECKING:
    from aios3sync.errors import StoreError

__all__ = ("DeleteSender", "DeleteStage", "limits_of")

_AT_ONCE: Final = 8


def limits_of(options: SyncOptions) -> DeleteLimits:
    """Return the limits that the options set for deletes."""
    return DeleteLimits(options.max_delete, options.max_delete_ratio, options.allow_empty_source)


class DeleteStage:
    """The deletes of one run.

    Args:
        run: the run.
        deferred: the decisions about absent keys.
        detector: the comparison that made them, ended.
        filters: of the run; only now are all ``.gitignore`` rules known.
    """

    def __init__(
        self,
        run: Run,
        deferred: DeferredDeletes,
        detector: Detector,
        filters: Filters,
    ) -> None:
        self._run = run
        self._deferred = deferred
        self._detector = detector
        self._filters = filters

    async def forget_and_report(self) -> None:
        """Drop the rows of keys that are gone on both sides, and report conflicts; delete nothing."""
        run = self._run
        async for page in self._deferred.pages("forget"):
            for action in page:
                if self._detector.unreadable.covers(action.key):
                    run.builder.find("kept")
                else:
                    run.builder.plan()
                    run.recorder.add(Forgotten(action.key))
            await run.recorder.catch_up()
        async for page in self._deferred.pages("conflict"):
            for action in page:
                if self._detector.unreadable.covers(action.key):
                    run.builder.find("kept")
                    continue
                run.builder.plan()
                text = f"{action.reason}: {run.direction.gone_conflict}"
                run.recorder.add(NotDone(action.key, "conflicts", "conflict", text, forget=action.tracked))
            await run.recorder.catch_up()

    async def approve(self) -> int:
        """Drop the deferred deletes of keys that stay; return the number of those that are left."""
        planned, stays = await self._deferred.filter_out("delete", self._stays)
        if stays:
            self._run.builder.find("kept", stays)
            self._run.outdated += stays
        return planned

    def _stays(self, page: list[DeferredAction]) -> set[str]:
        """Return the keys whose absence is not certain, or that look like a present name (P2, P6, C15)."""
        stays = set(self._run.target.out_of_reach([action.key for action in page]))
        gate = self._run.resources.gate
        if gate is not None:
            stays |= gate.stays(page)
        unreadable = self._detector.unreadable
        hidden = None if self._run.options.delete_excluded else self._filters.ignored
        lookalike_keys = self._deferred.noted([stored_form(action.key) for action in page])
        for key in (action.key for action in page):
            if not (unreadable or hidden or lookalike_keys) and key.isascii():
                continue  # nothing is in doubt
            unknown = unreadable.covers(key)
            ignored = hidden is not None and hidden.hides(key)
            if unknown or ignored:
                stays.add(key)
            elif stored_form(key) in lookalike_keys or self._is_there_composed(key):
                stays.add(key)
                self._run.builder.warn(
                    f"kept {key!r}: the source has the same name in another form (Unicode, backslashes "
                    "or empty path components), which may be the same object; delete it by hand if it is not"
                )
        return stays

    def _is_there_composed(self, key: str) -> bool:
        composed = nfc(key)
        return composed != key and self._run.source.has_name(composed)

    def refusal(self, planned: int) -> Refusal | None:
        """Return the refusal of the first guard that objects, if any. Blocks: it checks the root again."""
        return check_deletes(self.facts(planned), limits_of(self._run.options)) or self._root_gone(planned)

    def facts(self, planned: int) -> PlanFacts:
        """Return the facts that the guards check."""
        detector = self._detector
        return PlanFacts(
            deletes=planned,
            source_files=detector.source_files,
            target_objects=detector.target_objects,
            source_complete=detector.complete,
            target_complete=detector.complete,
            entries=self._run.direction.entries,
            renamed=self._run.renames.copied if self._run.renames is not None else 0,
        )

    def _root_gone(self, planned: int) -> Refusal | None:
        if planned and (text := self._run.files.root_problem()):
            return Refusal("source-gone", planned, text)
        return None

    def withhold(self, planned: int, reason: str) -> None:
        """Count the planned deletes as withheld, and warn with the reason."""
        self._run.builder.settle("withheld", count=planned)
        self._run.builder.warn(f"{count(planned, 'delete')} withheld: {reason}")

    @property
    def unreadable(self) -> UnreadablePaths:
        """The places that could not be seen."""
        return self._detector.unreadable

    @property
    def deferred(self) -> DeferredDeletes:
        """The decisions about absent keys."""
        return self._deferred

    async def due(self, page: list[DeferredAction]) -> list[DeferredAction]:
        """Return the deletes of a page that are still due, for a part of a run, which holds them.

        An inventory may be old: objects that changed since are dropped from the page first.
        """
        run, check = self._run, self._run.inventory_check
        if check is None:
            return page
        stays = await check.blocked(page)
        run.builder.plan(len(stays))
        _keep(run, stays)
        return [action for action in page if action.key not in stays]

    def unfinished(self) -> Unfinished:
        """Return the counts of what did not succeed in the run."""
        run, recorder, gate = self._run, self._run.recorder, self._run.resources.gate
        return Unfinished(
            given_up=run.refusals.reason,
            failed_transfers=recorder.failed_transfers,
            failed_reads=recorder.failed_reads,
            places=frozenset(self._detector.unreadable.unexplained),
            refused=gate.refused if gate is not None else 0,
            transfers=run.direction.transfers,
        )

    def waits_for(self) -> str:
        """Return the failures for which nothing is deleted (P5); empty where deletes may begin."""
        return waits_for(self.unfinished(), despite_errors=self._run.options.delete_despite_errors)


class DeleteSender:
    """Carries out the deletes that are deferred, once all guards have accepted them.

    Args:
        run: the run.
        deferred: holds the deletes.
        changed: returns why some of a batch are no longer what was listed, by key; ``None`` where no time has
            passed since the listing.
    """

    def __init__(
        self,
        run: Run,
        deferred: DeferredDeletes,
        changed: Callable[[Sequence[DeferredAction]], Awaitable[Mapping[str, str]]] | None = None,
    ) -> None:
        self._run = run
        self._deferred = deferred
        self._changed = changed

    def plan(self, count: int) -> None:
        """Plan a number of deletes, each of which must end in a state."""
        self._run.builder.plan(count)
        self._run.events(events.Planned(deletes=count))

    async def preview(self) -> None:
        """Count and report the deletes of a dry run, and send nothing."""
        gate = self._run.resources.gate
        async for page in self._deferred.pages("delete"):
            if gate is not None:
                await gate.preview(page)
            self._run.recorder.add_all([Deleted(action.key, action.size) for action in page])
            await self._run.recorder.catch_up()

    async def delete(self) -> None:
        """Delete everything that was approved."""
        run = self._run
        await run.recorder.begin()
        batches_in, batches_out = anyio.create_memory_object_stream[list[DeferredAction]](_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            with batches_out:
                for _ in range(min(_AT_ONCE, run.resources.workers)):
                    tasks.start_soon(self._worker, batches_out.clone())
            async with batches_in:
                async for batch in self._batches():
                    await batches_in.send(batch)

    async def _batches(self) -> AsyncIterator[list[DeferredAction]]:
        most = self._run.target.deletes_at_once
        async for page in self._deferred.pages("delete"):
            for start in range(0, len(page), most):
                yield page[start : start + most]

    async def _worker(self, batches: MemoryObjectReceiveStream[list[DeferredAction]]) -> None:
        async with batches:
            async for batch in batches:
                if not self._run.stop.signal:
                    await self._delete_batch(batch)
                    await self._run.recorder.catch_up()

    async def _delete_batch(self, batch: list[DeferredAction]) -> None:
        run = self._run
        await run.target.open()  # outside: a target that cannot be reached ends the run
        try:
            batch = await self._due(batch)
            errors = await run.target.delete(batch) if batch else {}
        except Exception as error:  # noqa: BLE001 - of this batch alone
            run.recorder.add_all(run.target.moved())
            run.recorder.add_all(run.outcomes_of_error([action.key for action in batch], "delete", error))
            return
        run.recorder.add_all(run.target.moved())
        run.note_response()
        if not errors:
            run.recorder.add_all([Deleted(action.key, action.size) for action in batch])
            return
        for action in batch:
            text = errors.get(action.key)
            if text is None:
                run.recorder.add(Deleted(action.key, action.size))
            else:
                run.recorder.add(NotDone(action.key, "failed", "delete", text, uncertain=True))

    async def _due(self, batch: list[DeferredAction]) -> list[DeferredAction]:
        """Return the deletes of objects that are still what was listed; the others are kept and reported."""
        run = self._run
        if self._changed is None:
            check = run.inventory_check
            stays = {} if check is None else await check.blocked(batch)
            _keep(run, stays)
            return [action for action in batch if action.key not in stays] if stays else batch
        changed = await self._changed(batch)
        for key, reason in changed.items():
            run.recorder.add(NotDone(key, "conflicts", "delete", f"{reason}; kept", uncertain=True))
        return [action for action in batch if action.key not in changed] if changed else batch


def _keep(run: Run, stays: Mapping[str, StoreError | None]) -> None:
    """Keep objects that changed since the inventory, or that could not be checked because of an error."""
    for key, error in stays.items():
        run.recorder.add(Kept(key) if error is None else run.outcome_of_error(key, "delete", error))
