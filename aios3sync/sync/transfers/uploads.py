"""Sends files: readers read many small files at a time, put workers send them, large files become multipart.

Bodies in memory are bounded by the byte budget: a reader acquires bytes before it reads, a put worker
releases them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Final

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.core.actions import Upload
from aios3sync.core.media_types import is_utf8
from aios3sync.events import Uploaded
from aios3sync.local.compress import compress, md5_of
from aios3sync.local.digest import ChangedError, SmallFile
from aios3sync.local.read import ATTEMPTS
from aios3sync.store.body_progress import LARGE_BODY
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.multipart import send_large
from aios3sync.sync.transfers.offload import SmallFileOffload
from aios3sync.sync.transfers.progress import BodyProgress
from aios3sync.sync.transfers.unneeded import abort_unneeded
from aios3sync.sync.transfers.worker_pool import WorkerPool

__all__ = ("preview_stage", "upload_stage")

_READERS: Final = 8
_LARGE_AT_ONCE: Final = 4
_CHUNK_FILES: Final = 128
_QUEUED_BODIES: Final = 512
_CHUNK_BYTES: Final = 8 * 1024 * 1024
_GROWTH: Final = 8
"""A file that grew before it was read gets an eighth more memory than its size at the last check."""


class _Body(NamedTuple):
    """One file, ready to be sent.

    ``reserved`` bytes of the budget, and of the send window if it is large, are released once it is sent.
    """

    file: SmallFile
    content: bytes
    md5: bytes
    sha256: str
    encoding: str
    reason: str
    reserved: int
    image: tuple[int, int] | None
    utf8: bool | None = None


class _UploadPool(WorkerPool[_Body]):
    """The put workers, the bodies that are queued for them, and the readers that read more.

    From the page cache one reader at a time is fastest: a second one would only share the interpreter lock
    with the first. More of them work where reading waits for a device.
    """

    def __init__(self, run: Run, headers: HeaderPlan, tasks: TaskGroup) -> None:
        super().__init__(run, tasks, most_queued=_QUEUED_BODIES, refill_at=_QUEUED_BODIES)
        self.offload = SmallFileOffload(run, headers)
        self.reading = anyio.CapacityLimiter(1)
        self.headers = headers

    async def handler(self) -> Callable[[_Body], Awaitable[None]]:
        """Return the function that sends one body."""
        return partial(self._send, await self.run.resources.open_store())

    async def _send(self, store: ObjectStore, body: _Body) -> None:
        run = self.run
        try:
            if run.sends_no_more:  # the queue is only drained, and counted as cancelled
                run.cancel([body.file.entry.key])
            else:
                run.recorder.add(await _put(run, self.headers, store, body))
        except Exception as error:  # noqa: BLE001 - Run.item, spelled out: this is once for every file
            run.recorder.add(run.outcome_of_error(body.file.entry.key, "upload", error))
        finally:
            self._release(body.reserved)

    def release_all(self) -> None:
        """Release the memory of queued bodies, after a failure that ended their workers."""
        while self._queue:
            self._release(self._queue.popleft().reserved)

    def _release(self, reserved: int) -> None:
        self.run.resources.memory.release(reserved)
        if reserved >= LARGE_BODY:
            self.run.resources.window.release(reserved)


async def upload_stage(run: Run, headers: HeaderPlan, jobs: MemoryObjectReceiveStream[list[Upload]]) -> None:
    """Upload batches until the stream ends; the streams are always closed.

    Raises:
        StoreError: the session is broken.
    """
    large_in, large_out = anyio.create_memory_object_stream[Upload](_LARGE_AT_ONCE)
    async with jobs, anyio.create_task_group() as workers:
        pool = _UploadPool(run, headers, workers)
        try:
            with large_out:
                for _ in range(_LARGE_AT_ONCE):
                    workers.start_soon(_large_worker, run, headers, large_out.clone())
            async with aclosing(pool.offload), anyio.create_task_group() as background:
                background.start_soon(pool.offload.cancel_pending_at_stop)
                async with anyio.create_task_group() as readers:
                    with large_in:
                        for _ in range(_READERS):
                            readers.start_soon(_reader, pool, jobs.clone(), large_in.clone())
                background.cancel_scope.cancel()
            pool.close()
        except BaseException:
            pool.release_all()
            raise
    await abort_unneeded(run)


async def preview_stage(run: Run, headers: HeaderPlan, jobs: MemoryObjectReceiveStream[list[Upload]]) -> None:
    """Replace :func:`upload_stage` in a dry run: count and report every upload, send none."""
    async with jobs:
        async for batch in jobs:
            for upload in batch:
                entry = upload.source
                with run.item(entry.key, "upload"):
                    options = headers.for_upload(entry)
                    row = run.row(entry, upload.md5, "", settled=False)
                    run.recorder.add(Uploaded(row, entry.size, upload.reason, options.content_type))


async def _reader(
    pool: _UploadPool,
    jobs: MemoryObjectReceiveStream[list[Upload]],
    large: MemoryObjectSendStream[Upload],
) -> None:
    run = pool.run
    async with jobs, large:
        async for batch in jobs:
            await run.recorder.begin()
            await run.recorder.catch_up()
            small = []
            for upload in batch:
                if upload.source.size > run.options.multipart_threshold:
                    await large.send(upload)
                else:
                    small.append(upload)
            for chunk in _chunks(small):
                rest = chunk if run.sends_no_more else await pool.offload.send(chunk)
                if run.sends_no_more:  # the stream is only drained, and counted as cancelled
                    run.cancel(upload.source.key for upload in rest)
                elif rest:
                    await _read_small(pool, rest, large)


def _chunks(uploads: list[Upload]) -> Iterator[list[Upload]]:
    """Cut a batch so that one call in a thread reads many small files, or few larger ones.

    A large body is a chunk of its own: two in one chunk could wait for the window that another chunk holds.
    """
    chunk: list[Upload] = []
    size = 0
    for upload in uploads:
        if upload.source.size >= LARGE_BODY:
            yield [upload]
            continue
        if chunk and (len(chunk) >= _CHUNK_FILES or size + upload.source.size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(upload)
        size += upload.source.size
    if chunk:
        yield chunk


async def _read_small(pool: _UploadPool, chunk: list[Upload], large: MemoryObjectSendStream[Upload]) -> None:
    """Read small files and submit their bodies; send those that are no longer small to ``large``.

    The size when the file is opened counts: a file that has grown since the walk is not read before the
    budget has space for its new size. Invariant: no body is longer than its share of the budget.
    """
    run = pool.run
    small, chunks = chunk, [chunk]
    for _ in range(ATTEMPTS):
        grown: list[Upload] = []
        for part in chunks:
            grown += await _read_in_turn(pool, part)
        for upload in grown:
            if upload.source.size > run.options.multipart_threshold:
                await large.send(upload)
        small = [upload for upload in grown if upload.source.size <= run.options.multipart_threshold]
        if not small:
            return
        chunks = list(_chunks(list(map(_with_margin, small))))
    for key in (upload.source.key for upload in small):
        run.recorder.add(run.outcome_of_error(key, "read", ChangedError(key)))


def _with_margin(upload: Upload) -> Upload:
    """Return the upload with a larger size than the file has: a file that has grown may grow further."""
    size = upload.source.size
    return replace(upload, source=upload.source._replace(size=size + size // _GROWTH))


async def _read_in_turn(pool: _UploadPool, chunk: list[Upload]) -> list[Upload]:
    """Read a chunk and submit its bodies; a large file is read only when the send window has space for it.

    Returns:
        The uploads whose files are larger than their entry says, with their current size.
    """
    window, size = pool.run.resources.window, chunk[0].source.size
    if size < LARGE_BODY:
        async with pool.reading:
            bodies, grown = await _read_chunk(pool, chunk)
            await pool.submit(bodies)
        return grown
    await window.acquire(size, pool.run.next_turn())
    bodies = []
    try:
        async with pool.reading:
            bodies, grown = await _read_chunk(pool, chunk)
    finally:
        if not bodies:
            window.release(size)
    await pool.submit(bodies)
    return grown


async def _read_chunk(pool: _UploadPool, chunk: list[Upload]) -> tuple[list[_Body], list[Upload]]:
    """Read a chunk in one call in a thread; return its bodies and the uploads whose files have grown.

    Each body has its share of the budget. The entry of a grown file has its current size.
    """
    run = pool.run
    grown: list[Upload] = []
    left = sum(upload.source.size for upload in chunk)
    await run.resources.memory.acquire(left)
    bodies: list[_Body] = []
    try:
        read, waited = await to_thread.run_sync(_read_files, run, pool.headers, chunk)
        if waited and pool.reading.total_tokens < _READERS:
            pool.reading.total_tokens += 1
        for upload, result in zip(chunk, read, strict=True):
            if isinstance(result, _Body):
                bodies.append(result)
                left -= result.reserved
            elif isinstance(result, int):
                grown.append(replace(upload, source=upload.source._replace(size=result)))
            else:
                run.recorder.add(run.outcome_of_error(upload.source.key, "read", result))
    finally:
        # Each body keeps its own share, so that each can release it when it is sent.
        run.resources.memory.release(left)
    return bodies, grown


def _read_files(
    run: Run, headers: HeaderPlan, chunk: list[Upload]
) -> tuple[list[_Body | Exception | int], bool]:
    """Read a chunk; return bodies, errors or sizes of grown files, and whether the storage was waited for."""
    entries = [upload.source for upload in chunk]
    keys, sizes = [entry.key for entry in entries], [entry.size for entry in entries]
    read, waited = run.files.read_small(keys, sizes, by_mtime=run.by_mtime)
    return list(map(partial(_body_or_error, run, headers), chunk, read)), waited


def _body_or_error(
    run: Run, headers: HeaderPlan, upload: Upload, file: SmallFile | Exception | int
) -> _Body | Exception | int:
    """Return the body of a file, its size if it has grown, or the error that its reading raised."""
    if not isinstance(file, SmallFile):
        return file
    try:
        return _body_of(run, headers, upload, file)
    except Exception as error:  # noqa: BLE001 - it becomes the outcome of this file
        return error


def _body_of(run: Run, headers: HeaderPlan, upload: Upload, file: SmallFile) -> _Body:
    key = upload.source.key
    content, md5, sha256, encoding = file.body, file.md5, file.sha256, run.policy.encoding(key)
    if encoding:
        content = compress(content)
        md5, sha256 = md5_of(content), ""
    image = run.image(key, file.body)
    utf8 = is_utf8(file.body) if headers.detects_charset(key) else None
    return _Body(file, content, md5, sha256, encoding, upload.reason, upload.source.size, image, utf8)


async def _put(run: Run, headers: HeaderPlan, store: ObjectStore, body: _Body) -> Uploaded:
    entry = body.file.entry
    original = body.file.md5.hex()
    opaque = run.writes_md5 or headers.makes_opaque_etags
    stored = body.md5.hex() if opaque else ""
    options = headers.for_upload(
        entry, encoding=body.encoding, original_md5=original, stored_md5=stored, utf8=body.utf8
    )
    key = run.full_key(entry.key)
    if body.reserved < LARGE_BODY:
        result = await store.put(key, body.content, options, md5=body.md5, sha256=body.sha256)
        if run.events is not events.discard:
            run.events(events.BytesSent(entry.key, entry.size))
    else:
        run.events(events.UploadBegan(entry.key, entry.size))
        with BodyProgress(run, entry.key, entry.size, len(body.content)).watching():
            result = await store.put(key, body.content, options, md5=body.md5, sha256=body.sha256)
    run.stored(result.encryption)
    row = run.row(
        entry,
        original,
        result.etag,
        settled=body.file.settled,
        encoding=body.encoding,
        headers=headers.digest_of(entry.key),
        sha256=body.file.sha256,
    )
    sent, content_type = len(body.content), options.content_type
    return Uploaded(row, sent, body.reason, content_type, result.encryption, body.image)


async def _large_worker(run: Run, headers: HeaderPlan, uploads: MemoryObjectReceiveStream[Upload]) -> None:
    async with uploads:
        async for upload in uploads:
            if run.sends_no_more:
                run.cancel([upload.source.key])
            else:
                with run.item(upload.source.key, "upload"):
                    run.recorder.add(await send_large(run, headers, upload))
