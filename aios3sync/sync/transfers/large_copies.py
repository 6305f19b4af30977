"""Copies one large object in parts, several at once; aborts uploads that it does not finish.

The parts are those in which the source was uploaded, where these can be found out: then the copy has the same
ETag. A copy that a killed run has begun is continued with the stored parts, if they are of the same version
and cut in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import first_error
from aios3sync.core.etag import same_etag
from aios3sync.core.parts import Part
from aios3sync.errors import PreconditionFailedError, StoreError
from aios3sync.local.compress import md5_of
from aios3sync.manifest.unfinished import UnfinishedUpload, UnfinishedUploads
from aios3sync.store.protocol import CopySource, HeadResult, ListedPart, ObjectStore, PutOptions, PutResult
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.aborts import abort_after_error, abort_upload
from aios3sync.sync.transfers.upload_version import version_of

__all__ = ("LargeCopy", "check_version", "copy_in_parts")

_PARTS_AT_ONCE: Final = 8


class LargeCopy(NamedTuple):
    """One object that is copied in parts.

    Attributes:
        source: the version that is copied.
        reading: the store of the source.
        key: of the copy, in full.
        writing: the store of the copy.
        options: the headers of the copy, and how it is stored.
        on_server: whether the endpoint reads the parts itself; else they go through memory.
        turn: its place in the order in which large bodies are sent.
    """

    source: CopySource
    reading: ObjectStore
    key: str
    writing: ObjectStore
    options: PutOptions
    on_server: bool
    turn: int


def check_version(store: ObjectStore, source: CopySource, size: int, head: HeadResult) -> None:
    """Check an object before it is copied in parts.

    Raises:
        PreconditionFailedError: it is no longer the object that was listed.
    """
    if (not source.etag or same_etag(head.etag, source.etag)) and head.size == size:
        return
    raise PreconditionFailedError(
        f"{source.key!r} was replaced since it was listed",
        operation="HeadObject",
        bucket=store.bucket,
        key=source.key,
        code="PreconditionFailed",
        status=412,
    )


async def copy_in_parts(
    copy: LargeCopy,
    parts: Sequence[Part],
    resources: Resources,
    unfinished: UnfinishedUploads,
    warn: Callable[[str], object],
) -> PutResult:
    """Copy one object in parts, and join them.

    Args:
        copy: what is copied, from where and to where.
        parts: all parts.
        resources: bound what is in memory.
        unfinished: the journal of unfinished uploads, in which the copy may be already.
        warn: takes one line where an upload may remain.

    Raises:
        PreconditionFailedError: it is no longer the object that was listed.
        StoreError: a request failed.
    """
    source = copy.source
    facts = [source.bucket, source.key, source.etag, source.version_id, [part.length for part in parts]]
    version = version_of(facts, copy.options) if source.etag else ""
    earlier = await unfinished.take(copy.key)
    if earlier is not None:
        found = _PartedCopy(copy, earlier, resources, unfinished, warn)
        if version and earlier.version == version and await found.resume(parts):
            try:
                return await found.finish(parts)
            except StoreError as error:
                if error.operation != "CompleteMultipartUpload" or error.retryable:
                    raise  # else the parts are not those that were listed, and they are gone
        else:
            await abort_upload(copy.writing, earlier, unfinished, warn)
    upload_id = await copy.writing.create_multipart(copy.key, copy.options)
    begun = UnfinishedUpload(copy.key, upload_id, version)
    await unfinished.began(begun)
    return await _PartedCopy(copy, begun, resources, unfinished, warn).finish(parts)


class _PartedCopy:
    """One copy in parts that was begun."""

    def __init__(
        self,
        copy: LargeCopy,
        begun: UnfinishedUpload,
        resources: Resources,
        unfinished: UnfinishedUploads,
        warn: Callable[[str], object],
    ) -> None:
        self._copy = copy
        self._begun = begun
        self._resources = resources
        self._unfinished = unfinished
        self._warn = warn
        self._stored: dict[int, ListedPart] = {}

    async def resume(self, parts: Sequence[Part]) -> bool:
        """Take over the parts that are stored already; return whether the upload can be continued.

        Its parts were copied on the condition that the source has the ETag of the same version, so their
        number and size determine their content.
        """
        lengths = {part.number: part.length for part in parts}
        try:
            listed = await self._copy.writing.list_parts(self._copy.key, self._begun.upload_id)
        except StoreError as error:
            if error.retryable:
                raise
            return False  # it has ended, or its parts may not be listed
        self._stored = {part.number: part for part in listed if lengths.get(part.number) == part.size}
        return True

    async def finish(self, parts: Sequence[Part]) -> PutResult:
        """Copy the missing parts, and join all; a failure aborts the upload, so that no parts are left."""
        copy = self._copy
        left = iter([part for part in parts if part.number not in self._stored])
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(_PARTS_AT_ONCE):
                    tasks.start_soon(self._work, left)
            listed = [self._stored[number] for number in sorted(self._stored)]
            result = await copy.writing.complete_multipart(
                copy.key, self._begun.upload_id, listed, copy.options
            )
        except BaseException as error:  # noqa: BLE001 - cancellation too must leave no parts
            await abort_after_error(copy.writing, self._begun, self._unfinished, self._warn)
            raise first_error(error) from None
        await self._unfinished.ended(self._begun)
        return result

    async def _work(self, left: Iterator[Part]) -> None:
        for part in left:
            send = self._copy_part if self._copy.on_server else self._send_part
            result = await send(part)
            self._stored[part.number] = ListedPart(part.number, result.etag, part.length, result.checksum)

    async def _copy_part(self, part: Part) -> PutResult:
        copy = self._copy
        source = copy.source._replace(start=part.offset, length=part.length)
        return await copy.writing.copy_part(
            source, copy.key, self._begun.upload_id, part.number, copy.options
        )

    async def _send_part(self, part: Part) -> PutResult:
        """Read a part and send it. The window is acquired before memory, as for uploads: no deadlock."""
        resources = self._resources
        await resources.window.acquire(part.length, self._copy.turn)
        try:
            await resources.memory.acquire(part.length)
            try:
                return await self._read_and_send(part)
            finally:
                resources.memory.release(part.length)
        finally:
            resources.window.release(part.length)

    async def _read_and_send(self, part: Part) -> PutResult:
        copy = self._copy
        source = copy.source
        read = await copy.reading.get(
            source.key,
            start=part.offset,
            length=part.length,
            if_match=source.etag,
            version_id=source.version_id,
        )
        digest = await to_thread.run_sync(md5_of, read.body)
        return await copy.writing.put_part(
            copy.key, self._begun.upload_id, part.number, read.body, copy.options, md5=digest
        )
