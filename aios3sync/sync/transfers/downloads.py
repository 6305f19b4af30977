"""Fetches objects: many small ones at a time, written in batches; large ones in ranges.

Bodies in memory are bounded by the byte budget: bytes are acquired before an object is requested, and
released when its file is written. Writers never acquire any, so there is no deadlock.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.core.actions import Download
from aios3sync.core.entries import RecordedEntry
from aios3sync.events import Archived, Downloaded
from aios3sync.local.write import MOST_AT_ONCE
from aios3sync.store.body_progress import LARGE_BODY
from aios3sync.store.protocol import HeadResult, ObjectStore
from aios3sync.sync.archives import ask_for, is_archived
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.download_offload import SmallObjectOffload
from aios3sync.sync.transfers.fetched import (
    adopted,
    downloaded,
    outcome_of_failure,
    outcome_of_refusal,
)
from aios3sync.sync.transfers.large_downloads import fetch_large
from aios3sync.sync.transfers.object_version import ChangedObjectError, ObjectVersion
from aios3sync.sync.transfers.range_buffers import RangeBuffers
from aios3sync.sync.transfers.ranged_download import ATTEMPTS
from aios3sync.sync.transfers.received import WrongBytesError, lacks_proof, original_of
from aios3sync.sync.transfers.small_files import (
    ArrivedBody,
    NewContent,
    SameContent,
    SmallDownload,
    write_batch,
)
from aios3sync.sync.transfers.worker_pool import WorkerPool

__all__ = ("SMALL", "download_stage", "preview_downloads")

SMALL: Final = 8 * 1024 * 1024
"""Bytes of the largest object that is fetched with one request."""
_LARGE_AT_ONCE: Final = 4
_QUEUED_LARGE: Final = 256
_QUEUED: Final = 1024
_CHUNK: Final = 256
_OFFLOADED_AT_ONCE: Final = 8
"""Chunks that download processes work on at once."""
_WRITERS: Final = 2
_WORTH_A_HOP: Final = 64
"""Bodies for which a thread is called at once; with fewer the writer waits for more, for a moment."""
_MOMENT: Final = 0.01
_MOST_UNWRITTEN: Final = 1024
_BATCH_BYTES: Final = 16 * 1024 * 1024


class _DownloadPool(WorkerPool[SmallDownload]):
    """The workers that fetch small objects, the bodies that wait to be written, and the writers.

    Invariant: ``_pending`` counts the jobs that were submitted and have not ended. A job that is read again
    stays pending, so that the pool is closed only when the last one has ended.
    """

    def __init__(self, run: Run, tasks: TaskGroup) -> None:
        super().__init__(run, tasks, most_queued=_QUEUED, refill_at=_QUEUED // 2)
        self.large = anyio.CapacityLimiter(_LARGE_AT_ONCE)
        self.buffers = RangeBuffers(run.resources.memory)
        self._arrived: deque[ArrivedBody] = deque()
        self._writers: list[asyncio.Event] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._taken = asyncio.Event()
        self._fetching = self._pending = 0
        self._complete = False
        self.offload = SmallObjectOffload(run, self._end)
        self._offloading = anyio.Semaphore(_OFFLOADED_AT_ONCE)
        self._watching = anyio.CancelScope()

    def start(self) -> None:
        """Start the writers, and the task that waits for a stop."""
        for _ in range(_WRITERS):
            self._tasks.start_soon(self._write_arrived)
        self._tasks.start_soon(self._watch_stop)

    async def _watch_stop(self) -> None:
        with self._watching:
            await self.offload.cancel_pending_at_stop()

    async def submit_all(self, downloads: Sequence[Download]) -> None:
        """Queue small objects, or leave them to processes; wait while too many are queued."""
        self._pending += len(downloads)
        self.offload.note(len(downloads))
        if not self.offload.is_worth_it:
            await self._submit(downloads)
            return
        await self._offloading.acquire()
        self._tasks.start_soon(self._offload, downloads)

    async def _offload(self, downloads: Sequence[Download]) -> None:
        try:
            rest = await self.offload.fetch(downloads)
        finally:
            self._offloading.release()
        if rest:
            await self._submit(rest)

    async def _submit(self, downloads: Sequence[Download]) -> None:
        await self.submit([SmallDownload(download, download.source) for download in downloads])

    def complete(self) -> None:
        """Note that there are no more objects: workers and writers end after the last one."""
        self._complete = True
        self._close_at_end()

    def release_all(self) -> None:
        """Release the memory of bodies that were not written, after a failure that ended the tasks."""
        if self._timer is not None:
            self._timer.cancel()
        while self._arrived:
            self.run.resources.memory.release(self._arrived.popleft().reserved)

    @property
    def _ended(self) -> bool:
        return self._complete and not self._pending

    def _end(self, outcome: events.Outcome) -> None:
        self.run.recorder.add(outcome)
        self._drop()

    def _drop(self) -> None:
        """Note that one job has ended."""
        self._pending -= 1
        self._close_at_end()

    def _close_at_end(self) -> None:
        if self._ended:
            self.close()
            self._watching.cancel()
            for event in self._writers:
                event.set()

    # Fetching

    async def handler(self) -> Callable[[SmallDownload], Awaitable[None]]:
        """Return the function that fetches one object."""
        return partial(self._take, await self.run.resources.open_store())

    async def _take(self, store: ObjectStore, job: SmallDownload) -> None:
        """Fetch one object, and leave its body to the writers."""
        run = self.run
        if run.sends_no_more:  # the queue is only drained, and counted as cancelled
            run.cancel([job.source.key])
            self._drop()
            return
        try:
            asked = await ask_for(run, self._version(store, job)) if is_archived(job.source) else None
            if asked is not None:
                self._end(asked)
            elif job.source.size > SMALL:  # it has grown since the listing, or it was in an archive
                await self._fetch_large(job)
            else:
                await self._fetch(store, job)
        except ChangedObjectError as error:
            await self._again_with_current(store, job, error)
        except WrongBytesError as error:
            self._again(job, error)
        except Exception as error:  # noqa: BLE001 - one item is never the end of the run
            self._end(await outcome_of_refusal(run, self._version(store, job), error))

    def _version(self, store: ObjectStore, job: SmallDownload) -> ObjectVersion:
        return ObjectVersion(store, self.run.full_key(job.source.key), job.source)

    async def _fetch(self, store: ObjectStore, job: SmallDownload) -> None:
        run, source = self.run, job.source
        size = source.size
        await run.resources.memory.acquire(size)
        self._fetching += 1
        try:
            version = self._version(store, job)
            result = await version.read(0, size)
            checksum = None
            opaque, decode = run.settling_policy.opaque_etags, run.options.decode
            if size and lacks_proof(result.head, opaque=opaque, decode=decode):
                checksum = await version.checksum()
        except BaseException:
            run.resources.memory.release(size)
            raise
        finally:
            self._fetching -= 1
        if self._decoded_size(result.head) > SMALL:
            run.resources.memory.release(size)
            await self._fetch_large(job)
            return
        self._arrive(ArrivedBody(job, result, size, checksum))
        while len(self._arrived) >= _MOST_UNWRITTEN:
            self._taken.clear()
            await self._taken.wait()

    async def _fetch_large(self, job: SmallDownload) -> None:
        async with self.large:
            self._end(await fetch_large(self.run, replace(job.download, source=job.source), self.buffers))

    async def _again_with_current(self, store: ObjectStore, job: SmallDownload, error: Exception) -> None:
        """Read the object again, in its current version."""
        try:
            if job.attempt + 1 < ATTEMPTS:
                job.source = await self._version(store, job).now()
        except Exception as refused:  # noqa: BLE001 - one item is never the end of the run
            self._end(outcome_of_failure(self.run, job.source, refused))
        else:
            self._again(job, error)

    def _again(self, job: SmallDownload, error: Exception) -> None:
        job.attempt += 1
        if job.attempt >= ATTEMPTS:
            self._end(outcome_of_failure(self.run, job.source, error))
            return
        self.submit_again(job)

    # Writing

    def _arrive(self, arrived: ArrivedBody) -> None:
        waiting = self._arrived
        waiting.append(arrived)
        if len(waiting) >= _WORTH_A_HOP or not self._fetching:
            self._call_writer()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_MOMENT, self._call_writer)

    def _call_writer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = True
        if self._writers:
            self._writers.pop().set()

    async def _write_arrived(self) -> None:
        while True:
            if self._arrived and (self._due or len(self._arrived) >= _WORTH_A_HOP):
                batch = self._next_batch()
                self._due = bool(self._arrived) and self._due
                self._taken.set()
                await self._write(batch)
            elif self._ended:
                return
            else:
                event = asyncio.Event()
                self._writers.append(event)
                await event.wait()

    def _next_batch(self) -> list[ArrivedBody]:
        """Take bodies for one call in a thread, bounded by their decompressed size."""
        batch: list[ArrivedBody] = []
        size = 0
        while self._arrived and len(batch) < MOST_AT_ONCE and size < _BATCH_BYTES:
            arrived = self._arrived.popleft()
            size += max(arrived.reserved, self._decoded_size(arrived.result.head))
            batch.append(arrived)
        return batch

    def _decoded_size(self, head: HeadResult) -> int:
        original = original_of(head) if self.run.options.decode else None
        return 0 if original is None else original.size

    async def _write(self, batch: list[ArrivedBody]) -> None:
        run = self.run
        decode, opaque = run.options.decode, run.settling_policy.opaque_etags
        started = time.time_ns()
        try:
            sha256 = run.receipt is not None
            results = await to_thread.run_sync(write_batch, run.writer, batch, decode, opaque, sha256)
            for arrived, result in zip(batch, results, strict=True):
                self._written(arrived, result, started)
        finally:
            run.resources.memory.release(sum(arrived.reserved for arrived in batch))

    def _written(
        self, arrived: ArrivedBody, result: NewContent | SameContent | Exception, started: int
    ) -> None:
        run, job, head = self.run, arrived.job, arrived.result.head
        match result:
            case NewContent(written, content):
                run.stored(head.encryption)
                key, size = written.key, arrived.reserved
                if run.events is not events.discard:
                    if size >= LARGE_BODY:
                        run.events(events.DownloadBegan(key, size))
                    run.events(events.BytesReceived(key, size))
                outcome = downloaded(
                    run,
                    job.download,
                    written,
                    head.etag,
                    content.md5,
                    size,
                    started,
                    encoding=content.encoding,
                    part_size=content.part_size,
                    sha256=content.sha256,
                )
                self._end(outcome)
            case SameContent(content):
                source = job.source._replace(etag=head.etag)
                encoding, part_size = content.encoding, content.part_size
                self._end(
                    adopted(run, job.download, source, content.md5, encoding=encoding, part_size=part_size),
                )
            case WrongBytesError() as error:
                self._again(job, error)
            case Exception() as error:
                self._end(outcome_of_failure(run, job.source, error))


async def download_stage(run: Run, downloads: MemoryObjectReceiveStream[list[Download]]) -> None:
    """Fetch batches until the stream ends; the stream is always closed.

    Raises:
        StoreError: the session is broken.
    """
    large_in, large_out = anyio.create_memory_object_stream[Download](_QUEUED_LARGE)
    async with downloads, AsyncExitStack() as after, anyio.create_task_group() as tasks:
        pool = _DownloadPool(run, tasks)
        after.callback(pool.release_all)
        after.push_async_callback(pool.offload.aclose)
        pool.start()
        with large_out:
            for _ in range(_LARGE_AT_ONCE):
                tasks.start_soon(_large_worker, pool, large_out.clone())
        with large_in:
            async for batch in downloads:
                await run.recorder.begin()
                await run.recorder.catch_up()
                await _dispatch(pool, batch, large_in)
        pool.complete()


async def _dispatch(
    pool: _DownloadPool, batch: Sequence[Download], large: MemoryObjectSendStream[Download]
) -> None:
    for chunk in _chunks([download for download in batch if not _is_large(download)]):
        await pool.submit_all(chunk)
    for download in batch:
        if _is_large(download):
            await large.send(download)


def _is_large(download: Download) -> bool:
    """Whether an object is fetched in ranges; one in an archive is requested first, like a small one."""
    return download.source.size > SMALL and not is_archived(download.source)


def _chunks(downloads: Sequence[Download]) -> Iterator[Sequence[Download]]:
    for start in range(0, len(downloads), _CHUNK):
        yield downloads[start : start + _CHUNK]


async def _large_worker(pool: _DownloadPool, downloads: MemoryObjectReceiveStream[Download]) -> None:
    run, store = pool.run, await pool.run.resources.open_store()
    async with downloads:
        async for download in downloads:
            if run.sends_no_more:
                run.cancel([download.source.key])
                continue
            try:
                async with pool.large:
                    run.recorder.add(await fetch_large(run, download, pool.buffers))
            except Exception as error:  # noqa: BLE001 - one item is never the end of the run
                version = ObjectVersion(store, run.full_key(download.source.key), download.source)
                run.recorder.add(await outcome_of_refusal(run, version, error))


async def preview_downloads(run: Run, downloads: MemoryObjectReceiveStream[list[Download]]) -> None:
    """Replace :func:`download_stage` in a dry run: count and report every download, fetch none."""
    async with downloads:
        async for batch in downloads:
            for download in batch:
                source = download.source
                if is_archived(source):
                    run.recorder.add(Archived(source.key, source.size, restoring=True))
                    continue
                row = RecordedEntry(source.key, source.size, 0, 0, 0, "", source.etag, run=run.number)
                run.recorder.add(Downloaded(row, source.size, download.reason))
