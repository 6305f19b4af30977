"""A run that only carries out the deletes that an earlier run held, of objects that have not changed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from aios3sync import events
from aios3sync._dataclass import dataclass, replace
from aios3sync.concurrency import raise_first_error
from aios3sync.report import SyncReport
from aios3sync.sync.callbacks import Callbacks
from aios3sync.sync.deferred import DeferredAction, DeferredDeletes
from aios3sync.sync.deletes import DeleteSender
from aios3sync.sync.execution import execute
from aios3sync.sync.pipeline import Pipeline
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import assembled

__all__ = ("HeldPages", "run_deletes")


@dataclass(frozen=True, slots=True)
class HeldPages:
    """Deletes that were held back by the run that decided them.

    Attributes:
        pages: opens the deletes, in key order.
        known_since: since when the rows of the manifest are known to be what the bucket holds, except for
            these.
        stays: returns which keys of a page must not be deleted; called in a thread.
    """

    pages: Callable[[], AsyncIterator[list[DeferredAction]]]
    known_since: float
    stays: Callable[[list[DeferredAction]], set[str]]


async def run_deletes(request: SyncRequest, resources: Resources, held: HeldPages) -> SyncReport:
    """Carry out the held deletes of objects that are still what was listed; the guards have accepted them.

    Raises:
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
    """
    began = time.monotonic()
    callbacks = Callbacks(resources.stop.request)
    with callbacks.raised():
        async with assembled(request, callbacks.wrapped(resources)) as run:
            deletes = _HeldDeletes(run.pipeline, held, DeferredDeletes())
            try:
                with raise_first_error():
                    await execute(run.pipeline.run, deletes.carry_out, deletes.remember)
            finally:
                await deletes.deferred.close()
            return run.report(began)


@dataclass(slots=True)
class _HeldDeletes:
    """The phases of such a run."""

    pipeline: Pipeline
    held: HeldPages
    deferred: DeferredDeletes
    ended: bool = False

    async def carry_out(self) -> None:
        run = self.pipeline.run
        run.events(events.PhaseBegan("delete"))
        async for page in self.held.pages():
            await self.deferred.add(page)
        planned, stays = await self.deferred.filter_out("delete", self.held.stays)
        if stays:
            run.builder.find("kept", stays)
            run.outdated += stays
        sender = DeleteSender(run, self.deferred, run.target.changed)
        sender.plan(planned)
        await self.pipeline.open_tree()
        if run.options.dry_run:
            await sender.preview()
        elif planned:
            await sender.delete()
        self.ended = not run.stop.signal

    async def remember(self) -> None:
        """Save that the rows are what the bucket holds, if that is so."""
        run, pipeline = self.pipeline.run, self.pipeline
        if run.options.dry_run:
            return
        certain = self.ended and not (run.recorder.uncertain or run.outdated or run.builder.cancelled)
        state = pipeline.state if certain else pipeline.state.begun()
        if certain and self.held.known_since:
            state = state.listed(pipeline.scope, self.held.known_since)
        await pipeline.manifest.save_state(replace(state, run=run.number, last_sync=time.time()))
