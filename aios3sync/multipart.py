"""Sends one large file as a multipart upload, its parts in parallel; aborts what it does not finish.

The file is hashed once before, because metadata must be known when the upload begins, and its stat is
compared at the end: a file that changed meanwhile is aborted, never completed (P8).
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync.core.actions import Upload
from aios3sync.core.parts import Part, plan_part_size, plan_parts
from aios3sync.errors import StoreError, UsageError
from aios3sync.hashing import (
    ATTEMPTS,
    CHUNK,
    ChangedError,
    FileDigest,
    digest_file,
    entry_of,
    in_thread,
    is_settled,
    open_regular,
)
from aios3sync.headers import GzipWriter, HeaderPlan, md5_of
from aios3sync.outcomes import Fault, Uploaded
from aios3sync.run import Run
from aios3sync.store.protocol import ListedPart, ObjectStore, PutOptions, PutResult

__all__ = ("send_large",)

PARTS_AT_ONCE: Final = 8
_AROUND: Final = 8
"""A part is counted with an eighth more of memory, for what sockets and TLS hold of it on its way."""
_HEAD: Final = CHUNK
"""Bytes of a large file that tell whether it is an image, and of which size."""
_ABORT_GRACE: Final = 5.0
"""Seconds that an abort may take after a cancellation."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What is sent: the file itself, or a compressed copy of it.

    Attributes:
        digest: of the file.
        descriptor: of what is sent.
        size: bytes of what is sent.
        stored_md5: hex digest of what is sent.
        encoding: ``gzip`` or empty.
    """

    digest: FileDigest
    descriptor: int
    size: int
    stored_md5: str
    encoding: str


async def send_large(run: Run, headers: HeaderPlan, upload: Upload) -> Uploaded | Fault:
    """Send one file; what goes wrong with it is an outcome.

    Raises:
        StoreError: the session is broken.
    """
    known_md5 = upload.md5
    for attempt in range(ATTEMPTS):
        try:
            return await _send_once(run, headers, upload, known_md5=known_md5)
        except ChangedError as error:
            known_md5 = ""
            if attempt == ATTEMPTS - 1:
                return run.fault_of(upload.source.key, "upload", error)
        except (StoreError, OSError) as error:
            return run.fault_of(upload.source.key, "upload", error)
        except UsageError as error:  # of a size that no object has
            return Fault(upload.source.key, "failed", "upload", str(error))
    raise AssertionError("the last attempt returns")


async def _send_once(run: Run, headers: HeaderPlan, upload: Upload, *, known_md5: str) -> Uploaded:
    async with _content_of(run, upload, known_md5) as content:
        entry = content.digest.entry
        part_size = plan_part_size(content.size, run.options.part_size)
        options = headers.for_upload(
            entry,
            encoding=content.encoding,
            original_md5=content.digest.md5,
            stored_md5=content.stored_md5,
        )
        result = await _multipart(run, content, part_size, options)
        run.answered(result.encryption)
        row = run.row(entry, content.digest.md5, result.etag, settled=content.digest.settled)
        asked = headers.digest_of(entry.key)
        row = row._replace(part_size=part_size, encoding=content.encoding, headers=asked)
        image = await to_thread.run_sync(_image, run, entry.key) if run.inspect else None
        return Uploaded(row, content.size, upload.reason, options.content_type, result.encryption, image)


def _image(run: Run, key: str) -> tuple[int, int] | None:
    """The size of a large image; what is no file any more has none."""
    try:
        with open_regular(run.path(key)) as descriptor:
            head = os.read(descriptor, _HEAD)
    except OSError:
        return None
    return run.inspect(key, head) if run.inspect else None


@asynccontextmanager
async def _content_of(run: Run, upload: Upload, known_md5: str) -> AsyncIterator[_Content]:
    """Open and hash the file; where gzip applies, compress it into a temporary file that vanishes."""
    key, path = upload.source.key, run.path(upload.source.key)
    encoding = run.policy.encoding(key)
    if encoding:
        with tempfile.TemporaryFile(prefix="aios3sync-") as copy:
            digest, stored_md5, size = await in_thread(
                lambda stop: _compress_file(path, key, copy, stop, by_mtime=run.by_mtime)
            )
            yield _Content(digest, copy.fileno(), size, stored_md5, encoding)
        return
    descriptor = await to_thread.run_sync(_open, path)
    try:
        now = entry_of(key, os.fstat(descriptor))
        plan_part_size(now.size, run.options.part_size)  # refuses what no object can hold before it is hashed
        if known_md5 and now == upload.source:
            # It was hashed after the run began, so the run's beginning is the safe side to judge from.
            digest = FileDigest(now, known_md5, is_settled(now, run.started_ns, by_mtime=run.by_mtime))
        else:
            digest = await in_thread(lambda stop: digest_file(path, key, stop, by_mtime=run.by_mtime))
        yield _Content(digest, descriptor, digest.entry.size, digest.md5, "")
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    with open_regular(path) as descriptor:
        return os.dup(descriptor)


def _compress_file(
    path: str, key: str, copy: IO[bytes], stop: threading.Event, *, by_mtime: bool
) -> tuple[FileDigest, str, int]:
    """Compress ``path`` into ``copy``; the digest of the file, the digest and the size of the copy."""
    digest = digest_file(path, key, stop, by_mtime=by_mtime)
    writer = GzipWriter(copy)
    with open_regular(path) as descriptor:
        while not stop.is_set() and (chunk := os.read(descriptor, CHUNK)):
            writer.write(chunk)
        if stop.is_set() or entry_of(key, os.fstat(descriptor)) != digest.entry:
            raise ChangedError(key)
    stored_md5, size = writer.finish()
    copy.flush()
    return digest, stored_md5, size


async def _multipart(run: Run, content: _Content, part_size: int, options: PutOptions) -> PutResult:
    store, key = await run.open_store(), run.full_key(content.digest.entry.key)
    upload_id = await store.create_multipart(key, options)
    sent = 0
    stored: list[ListedPart] = []
    try:
        parts = iter(list(plan_parts(content.size, part_size)))

        async def worker() -> None:
            nonlocal sent
            for part in parts:
                stored.append(await _send_part(run, store, key, upload_id, part, content, options))
                sent += part.length
                run.events(events.BytesSent(content.digest.entry.key, part.length))

        async with anyio.create_task_group() as tasks:
            for _ in range(PARTS_AT_ONCE):
                tasks.start_soon(worker)
        _check_unchanged(content)
        result = await store.complete_multipart(key, upload_id, sorted(stored), options)
    except BaseException as error:  # noqa: BLE001 - cancellation too must not leave parts behind
        run.events(events.BytesSent(content.digest.entry.key, -sent))
        with anyio.move_on_after(_ABORT_GRACE, shield=True):
            await _abort(run, store, key, upload_id)
        raise _first(error) from None
    return result if result.etag else await _with_etag(store, key, result)


async def _with_etag(store: ObjectStore, key: str, result: PutResult) -> PutResult:
    """Ceph answers an empty ETag; where it cannot be asked for, the next listing tells it."""
    try:
        return result._replace(etag=(await store.head(key)).etag)
    except StoreError:
        return result


def _first(error: BaseException) -> BaseException:
    """The one failure of a task group; its siblings were only cancelled because of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _abort(run: Run, store: ObjectStore, key: str, upload_id: str) -> None:
    try:
        await store.abort_multipart(key, upload_id)
    except StoreError as error:
        run.tally.warn(f"a multipart upload of {key!r} may be left over: {error}")


def _check_unchanged(content: _Content) -> None:
    """The file as it is now, before its parts become an object."""
    if content.encoding:
        return  # the copy cannot change, and the file was compared when the copy was made
    entry = content.digest.entry
    if entry_of(entry.key, os.fstat(content.descriptor)) != entry:
        raise ChangedError(entry.key)


async def _send_part(  # noqa: PLR0913 - what UploadPart needs
    run: Run,
    store: ObjectStore,
    key: str,
    upload_id: str,
    part: Part,
    content: _Content,
    options: PutOptions,
) -> ListedPart:
    cost = part.length + part.length // _AROUND
    await run.budget.acquire(cost)
    buffer = run.buffers.take(part.length)
    try:
        with memoryview(buffer)[: part.length] as body:
            await to_thread.run_sync(_read_part, content, part, body)
            # Where it would be compared with nothing it is not taken: it costs more than all else of a part.
            compared = not store.capabilities.opaque_etags
            digest = await to_thread.run_sync(md5_of, body) if compared else b""
            result = await store.put_part(key, upload_id, part.number, body, options, md5=digest)
    finally:
        run.buffers.give(buffer)
        run.budget.release(cost)
    return ListedPart(part.number, result.etag, part.length, result.checksum)


def _read_part(content: _Content, part: Part, body: memoryview) -> None:
    """Fill ``body`` with a part of the file."""
    read = 0
    while read < part.length:
        count = os.preadv(content.descriptor, [body[read:]], part.offset + read)
        if not count:
            raise ChangedError(content.digest.entry.key)
        read += count
