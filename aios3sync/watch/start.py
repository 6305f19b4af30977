"""Starts the watch of a pair: chooses the source of changes, and the sync for a batch of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.concurrency import Stop
from aios3sync.core.filters import Filters
from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.events import EventSink
from aios3sync.index.follow.queue import Queue
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.sync.policy import make_filters
from aios3sync.sync.request import SyncRequest, is_shared
from aios3sync.watch.changes import Changes, clock_ticks, tree_changes
from aios3sync.watch.pending import Batch, WatchTimes
from aios3sync.watch.watcher import watch

__all__ = ("options_of_batch", "watch_request")


async def watch_request(
    request: SyncRequest,
    sync: Callable[[SyncOptions], Awaitable[SyncReport]],
    times: WatchTimes,
    queue: AbstractAsyncContextManager[Queue] | None,
    on_event: EventSink,
    stop: Stop,
) -> AsyncGenerator[SyncReport, None]:
    """Yield the reports of the runs that keep the target of a request in sync with its source.

    Args:
        request: the sync.
        sync: runs it with other options.
        times: when changes are due.
        queue: of the notifications about the source, where that is a bucket; ``None`` compares regularly.
        on_event: takes warnings, and the number of waiting files.
        stop: ends the watch.

    Raises:
        UsageError: this source cannot be watched, or not with these options.
        StoreError: the queue cannot be read, for a permanent reason.
        AioS3SyncError: see :func:`~aios3sync.watch.watcher.watch`.
    """
    options = request.options
    if options.dry_run:
        raise UsageError("a watch is no dry run; leave one of them out")
    if options.receipt is not None:
        raise UsageError("receipt: a watch goes on, and the list would be out of date; leave it out")
    if request.files is not None:
        raise UsageError("a list of files cannot be watched; name a directory")
    if queue is not None and request.direction == "up":
        raise UsageError("a queue tells of changes in a bucket, and the source is a directory; leave it out")
    async with AsyncExitStack() as stack:
        changes, settle = await _changes(request, queue, stack)

        async def run(batch: Batch) -> SyncReport:
            report = await sync(options_of_batch(options, batch))
            if batch.everything and _did_all(report):
                settle()
            return report

        reports = watch(changes, run, times, on_event, stop)
        async for report in await stack.enter_async_context(aclosing(reports)):
            yield report


async def _changes(
    request: SyncRequest, queue: AbstractAsyncContextManager[Queue] | None, stack: AsyncExitStack
) -> tuple[AsyncGenerator[Changes, None], Callable[[], object]]:
    """Return the changes of the source, and the function to call when all of them are done."""
    if request.direction == "up":
        return tree_changes(request.root, await to_thread.run_sync(_filters_of, request)), _no_one
    if queue is None:
        return clock_ticks(), _no_one
    from aios3sync.watch.queue_changes import QueueChanges

    source: Location = request.source_location or request.location
    changes = QueueChanges(await stack.enter_async_context(queue), source)
    return changes.changes(), changes.settle


def _did_all(report: SyncReport) -> bool:
    """Whether a run has done everything for the changes; not if it was refused, or withheld deletes."""
    not_done = (report.failed, report.cancelled, report.withheld, report.aborted, report.interrupted)
    return not any(not_done) and report.refused is None


def _no_one() -> None:
    """Do nothing: no message waits for the end of a run."""


def _filters_of(request: SyncRequest) -> Filters:
    """Return the filters of the syncs of a request. Blocks."""
    if is_shared(request.options):  # it is no file of the source
        request = replace(request, options=replace(request.options, manifest=False))
    return make_filters(request, request.tree_root())


def options_of_batch(options: SyncOptions, batch: Batch) -> SyncOptions:
    """Return the options of the sync of a batch: files alone are sent; only a full run deletes."""
    if batch.everything:
        return options
    return replace(options, files=batch.paths, delete="off", check="auto")
