"""ObjectReader: one object as a stream of chunks, read ahead in ranges and verified at its end.

All ranges are of one object: each request names the ETag of the first response, so that an object that is
replaced meanwhile is an error, never a mixture. The store repeats a failed request, for its range alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
from anyio import to_thread

from aios3sync.core.etag import same_etag
from aios3sync.core.parts import MIB
from aios3sync.errors import IntegrityError, ObjectNotFoundError, PreconditionFailedError
from aios3sync.objects.verification import BodyCheck, MemberDecoder, is_compressed_by_us
from aios3sync.store.protocol import GetResult, HeadResult, ObjectStore
from aios3sync.sync.stored_checksum import (
    StoredChecksum,
    head_with_checksum,
    stored_checksum,
)
from aios3sync.sync.transfers.received import lacks_proof

__all__ = (
    "READ_AHEAD",
    "ObjectReader",
    "changed_object",
    "open_object",
    "other_content",
    "range_size_for",
)

READ_AHEAD: Final = 64 * MIB
_RANGES: Final = 8
"""Ranges in memory or in flight at once."""
_SMALLEST_RANGE: Final = 128 * 1024


def range_size_for(memory: int) -> int:
    """Return the size of a range, such that all ranges that are read ahead fit into ``memory`` bytes."""
    return max(_SMALLEST_RANGE, min(memory, READ_AHEAD) // _RANGES)


class ObjectReader:
    """An open object, see :meth:`aios3sync.Session.open_reader`: an asynchronous iterator of its chunks.

    The chunks can be read once, by one task. They are verified when the last one was returned: before that,
    nothing is proved.

    Attributes:
        head: the facts of the object: size, ETag, metadata, content type.
        verified: what proved the bytes, once all were read: ``md5`` (the ETag, or a digest in the metadata),
            ``parts`` (the ETag of a multipart upload), ``checksum`` (which the endpoint stores besides the
            ETag), or empty where it stores no digest that can be compared; then only the size was checked.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        first: GetResult,
        range_size: int,
        *,
        decode: bool,
        checksum: StoredChecksum | None = None,
    ) -> None:
        self.head: HeadResult = first.head
        self.verified = ""
        self._store = store
        self._key = key
        self._first = first.body
        self._range_size = range_size
        self._decoder = MemberDecoder(first.head) if decode and is_compressed_by_us(first.head) else None
        self._check = BodyCheck(first.head, opaque=store.capabilities.opaque_etags, checksum=checksum)
        self._next = len(first.body)
        self._ahead: deque[asyncio.Task[bytes]] = deque()
        self._chunks = self._verified_chunks()

    @property
    def decodes(self) -> bool:
        """Whether the chunks are those of the original of a compressed object."""
        return self._decoder is not None

    @property
    def first(self) -> bytes:
        """The body of the first response, before the first chunk is read: the first bytes of the object."""
        return self._first

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def read(self) -> bytes:
        """Read the rest into memory.

        Raises:
            StoreError: as the iteration does.
        """
        return b"".join([chunk async for chunk in self._chunks])

    async def close(self) -> None:
        """Cancel the requests in flight, and wait for their end; idempotent."""
        await self._chunks.aclose()
        tasks = list(self._ahead)
        self._ahead.clear()
        for task in tasks:
            task.cancel()
        with anyio.CancelScope(shield=True):
            for task in tasks:
                with suppress(BaseException):  # its failure is of a range that is not wanted any more
                    await task

    async def _verified_chunks(self) -> AsyncGenerator[bytes, None]:
        decoder = self._decoder
        while body := await self._next_body():
            await to_thread.run_sync(self._check.update, body)
            if decoder is None:
                yield body
                continue
            decoder.feed(body)
            while piece := await to_thread.run_sync(decoder.piece):
                yield piece
        proved, problem = self._check.end()
        if not problem and decoder is not None:
            problem = decoder.end()
        if problem:
            raise other_content(self._store, self._key, problem)
        self.verified = proved

    async def _next_body(self) -> bytes:
        """Return the next range, empty at the end; further ranges are requested meanwhile."""
        self._request_ahead()
        if self._first:
            body, self._first = self._first, b""
            return body
        if not self._ahead:
            return b""
        task = self._ahead.popleft()
        try:
            body = await task
        finally:
            task.cancel()
        self._request_ahead()
        return body

    def _request_ahead(self) -> None:
        while self._next < self.head.size and len(self._ahead) < _RANGES - 1:
            length = min(self._range_size, self.head.size - self._next)
            self._ahead.append(asyncio.ensure_future(self._range(self._next, length)))
            self._next += length

    async def _range(self, start: int, length: int) -> bytes:
        try:
            found = await self._store.get(self._key, start=start, length=length, if_match=self.head.etag)
        except (PreconditionFailedError, ObjectNotFoundError):
            raise changed_object(self._store, self._key) from None
        # A server may ignore If-Match, as it may ignore a range.
        if not same_etag(found.head.etag, self.head.etag) or found.head.size != self.head.size:
            raise changed_object(self._store, self._key)
        if len(found.body) != length:
            raise other_content(
                self._store, self._key, f"{len(found.body)} bytes came of the {length} from {start}"
            )
        return found.body


def changed_object(store: ObjectStore, key: str) -> PreconditionFailedError:
    """Return the error for an object that is no longer the one that was opened."""
    return PreconditionFailedError(
        f"{key!r} in {store.bucket} was replaced or deleted while it was read",
        operation="GetObject",
        bucket=store.bucket,
        key=key,
        code="ObjectChanged",
    )


def other_content(store: ObjectStore, key: str, problem: str) -> IntegrityError:
    """Return the error for bytes that are not those of the object.

    Args:
        store: of its bucket.
        key: the full key.
        problem: what contradicts them.
    """
    return IntegrityError(
        f"GetObject of {key!r} in {store.bucket}: the bytes are not those of the object: {problem}",
        operation="GetObject",
        bucket=store.bucket,
        key=key,
        code="BodyMismatch",
    )


async def _checksum_of(
    store: ObjectStore, key: str, head: HeadResult, *, decode: bool
) -> StoredChecksum | None:
    """Return the checksum of an object whose bytes nothing else proves, if its endpoint stores one."""
    if not head.size or not lacks_proof(head, opaque=store.capabilities.opaque_etags, decode=decode):
        return None
    found = await head_with_checksum(store, key)
    # Another version would end the reading soon: each range names the ETag.
    return await stored_checksum(store, key, found) if same_etag(found.etag, head.etag) else None


@asynccontextmanager
async def open_object(
    store: ObjectStore, key: str, *, memory: int = READ_AHEAD, decode: bool = True
) -> AsyncIterator[ObjectReader]:
    """Open an object for reading; its first range is requested at once.

    Args:
        store: of its bucket.
        key: the full key.
        memory: bytes that may be read ahead.
        decode: whether to return the original of an object that a sync has compressed.

    Raises:
        StoreError: it cannot be read. The iteration raises PreconditionFailedError where the object changes
            while it is read, and IntegrityError where its bytes are wrong.
    """
    range_size = range_size_for(memory)
    first = await store.get(key, length=range_size)
    if len(first.body) < min(range_size, first.head.size):
        first = first._replace(body=b"")  # its ranges are requested again, one by one
    checksum = await _checksum_of(store, key, first.head, decode=decode)
    reader = ObjectReader(store, key, first, range_size, decode=decode, checksum=checksum)
    try:
        yield reader
    finally:
        await reader.close()
