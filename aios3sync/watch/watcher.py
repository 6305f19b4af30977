"""The loop of a watch: takes changes, waits until they are due, runs a sync of them, and repeats."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from aios3sync.concurrency import Stop
from aios3sync.errors import AioS3SyncError, LockedError, StoreError
from aios3sync.events import EventSink, Warned, Watching
from aios3sync.report import SyncReport
from aios3sync.watch.changes import Changes
from aios3sync.watch.pending import Batch, Pending, WatchTimes

__all__ = ("Runner", "watch")

Runner = Callable[[Batch], Awaitable[SyncReport]]


async def watch(
    changes: AsyncGenerator[Changes, None],
    run: Runner,
    times: WatchTimes,
    on_event: EventSink,
    stop: Stop,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[SyncReport, None]:
    """Yield the report of each run that did something or failed, and always of the first one.

    The first run compares everything; its failure is raised. Later temporary failures, such as of the
    network, are warnings: everything is compared again afterwards.

    Args:
        changes: closed at the end.
        run: runs a sync of a batch.
        times: when changes are due.
        on_event: takes warnings, and the number of waiting files.
        stop: ends the watch, between two runs or in one.
        clock: seconds; never goes back.

    Raises:
        AioS3SyncError: the source or the target can no longer be used.
    """
    pending = Pending(times, clock())
    first = True
    async with aclosing(changes):
        async for change in changes:
            now = clock()
            pending.note(change.paths, now)
            if change.rescan:
                pending.note_rescan(now)
            if stop.signal:
                return
            batch = pending.due(now)
            on_event(Watching(len(pending), rescan=pending.rescans))
            if batch is None:
                continue
            report = await _tried(run, batch, pending, on_event, clock, first=first)
            if report is not None and (first or _did_something(report)):
                yield report
            first = False  # or its failure was raised


async def _tried(
    run: Runner,
    batch: Batch,
    pending: Pending,
    on_event: EventSink,
    clock: Callable[[], float],
    *,
    first: bool,
) -> SyncReport | None:
    """Run a batch; return ``None`` if it failed as a whole and is tried again."""
    began = clock()
    try:
        report = await run(batch)
    except AioS3SyncError as error:
        if first or not _may_pass(error):
            raise
        wait = pending.failed(clock())
        on_event(Warned(f"{error}; trying again in {wait:.0f} s"))
        return None
    if report.failed and not report.interrupted:
        pending.failed(clock())
    else:
        pending.done(batch, began, clock())
    return report


def _may_pass(error: AioS3SyncError) -> bool:
    return isinstance(error, LockedError) or (isinstance(error, StoreError) and error.retryable)


def _did_something(report: SyncReport) -> bool:
    done = report.uploaded + report.downloaded + report.copied + report.updated + report.deleted
    return bool(done or report.exit_code)
