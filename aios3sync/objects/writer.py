"""Writes an object from a stream: with one request if it is short, else in parts that grow with its length.

The length need not be known. Memory is bounded: parts wait for memory before they are read. An upload that is
not completed is aborted; the object appears whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import first_error
from aios3sync.core.etag import Proof, is_opaque_encryption, multipart_etag, proof, same_etag
from aios3sync.core.parts import MIB, growing_part_size
from aios3sync.errors import IntegrityError, StoreError
from aios3sync.store.protocol import ListedPart, ObjectStore, PutOptions, PutResult
from aios3sync.sync.transfers.memory import ByteSemaphore

__all__ = ("PART_SIZE", "PartSize", "WrittenObject", "write_object")

PART_SIZE: Final = 16 * MIB
PartSize = Callable[[int], int]
"""Returns the size of a part by its number."""
_PARTS_AT_ONCE: Final = 8
_ABORT_GRACE: Final = 5.0
"""Seconds that an abort may take after a cancellation."""


class WrittenObject(NamedTuple):
    """The written object: its ETag, and its size in bytes."""

    etag: str
    size: int


async def write_object(  # noqa: PLR0913 - the last three have defaults
    store: ObjectStore,
    key: str,
    chunks: AsyncIterable[bytes],
    options: PutOptions,
    memory: ByteSemaphore,
    *,
    part_size: PartSize | None = None,
    on_sent: Callable[[int], None] = lambda _: None,
) -> WrittenObject:
    """Write one object from chunks of any size.

    Args:
        store: of its bucket.
        key: the full key.
        chunks: its bytes; an error of the iterator aborts the upload.
        options: headers and conditions.
        memory: bounds the bytes of the parts in memory.
        part_size: sizes of the parts; without it they grow so that 5 TiB fit.
        on_sent: called with the bytes of each part that is stored.

    Raises:
        StoreError: a request failed, or the object is not what was sent (IntegrityError).
    """
    sizes = part_size or (lambda number: growing_part_size(number, PART_SIZE))
    parts, size = _Parts(chunks), sizes(1)
    await memory.acquire(size)
    try:
        first = await parts.next(size)
        if len(first) < size:
            result = await _put(store, key, bytes(first), options)
            on_sent(len(first))
            memory.release(size)
            return WrittenObject(result.etag, len(first))
    except BaseException:
        memory.release(size)
        raise
    return await _StreamUpload(store, key, options, memory, sizes, on_sent).send(first, parts)


async def _put(store: ObjectStore, key: str, body: bytes, options: PutOptions) -> PutResult:
    md5 = await to_thread.run_sync(_md5, body)
    return await store.put(key, body, options, md5=md5)


def _md5(body: bytes | bytearray) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


class _Parts:
    """Cuts chunks into parts."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self._rest = memoryview(b"")

    async def next(self, size: int) -> bytearray:
        """Return the next ``size`` bytes; fewer at the end."""
        part = bytearray()
        while len(part) < size:
            if not self._rest:
                chunk = await anext(self._chunks, b"")
                if not chunk:
                    break
                self._rest = memoryview(chunk)
            room = size - len(part)
            part += self._rest[:room]
            self._rest = self._rest[room:]
        return part


class _StreamUpload:
    """One multipart upload of a stream. Invariant: the memory of every part is acquired before it is read."""

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        options: PutOptions,
        memory: ByteSemaphore,
        sizes: PartSize,
        on_sent: Callable[[int], None],
    ) -> None:
        self._store = store
        self._key = key
        self._options = options
        self._memory = memory
        self._sizes = sizes
        self._on_sent = on_sent
        self._held = {1: sizes(1)}
        self._slots = anyio.Semaphore(_PARTS_AT_ONCE)
        self._stored: list[tuple[ListedPart, bytes]] = []
        self._encryption = ""

    async def send(self, first: bytearray, parts: _Parts) -> WrittenObject:
        """Send all parts and join them; the memory of the first one is acquired."""
        try:
            return await self._verified(await self._send(first, parts))
        finally:
            for number in list(self._held):  # of parts that a failure kept from being sent
                self._release(number)

    async def _send(self, first: bytearray, parts: _Parts) -> PutResult:
        upload_id = await self._store.create_multipart(self._key, self._options)
        try:
            await self._send_all(upload_id, first, parts)
            listed = [part for part, _ in sorted(self._stored)]
            return await self._store.complete_multipart(self._key, upload_id, listed, self._options)
        except BaseException as error:  # noqa: BLE001 - cancellation too must leave no parts
            with anyio.move_on_after(_ABORT_GRACE, shield=True):
                await self._abort(upload_id)
            raise first_error(error) from None

    async def _send_all(self, upload_id: str, first: bytearray, parts: _Parts) -> None:
        number, body = 1, first
        async with anyio.create_task_group() as tasks:
            while body:
                await self._slots.acquire()
                tasks.start_soon(self._send_part, upload_id, number, body)
                if len(body) < self._sizes(number):
                    return
                number += 1
                await self._acquire(number)
                body = await parts.next(self._sizes(number))

    async def _acquire(self, number: int) -> None:
        size = self._sizes(number)
        await self._memory.acquire(size)
        self._held[number] = size

    def _release(self, number: int) -> None:
        if size := self._held.pop(number, 0):
            self._memory.release(size)

    async def _send_part(self, upload_id: str, number: int, body: bytearray) -> None:
        try:
            md5 = await to_thread.run_sync(_md5, body)
            with memoryview(body) as view:
                result = await self._store.put_part(
                    self._key, upload_id, number, view, self._options, md5=md5
                )
            self._encryption = result.encryption
            self._stored.append((ListedPart(number, result.etag, len(body), result.checksum), md5))
            self._on_sent(len(body))
        finally:
            self._release(number)
            self._slots.release()

    async def _verified(self, result: PutResult) -> WrittenObject:
        """Return the joined object, after a check of its size.

        Raises:
            IntegrityError: it is not what was sent.
        """
        stored = sorted(self._stored)
        size = sum(part.size for part, _ in stored)
        head = await self._store.head(self._key)
        if head.size != size:
            raise self._damaged(f"it has {head.size} bytes of {size}")
        etag = result.etag or head.etag
        opaque = self._store.capabilities.opaque_etags or is_opaque_encryption(self._encryption)
        digests = [md5 for _, md5 in stored]
        known = all(same_etag(part.etag, md5.hex()) for part, md5 in stored)
        if (
            known
            and proof(etag, opaque=opaque) is Proof.PARTS
            and not same_etag(etag, multipart_etag(digests))
        ):
            raise self._damaged("its ETag is that of other parts")
        return WrittenObject(etag, size)

    def _damaged(self, problem: str) -> IntegrityError:
        return IntegrityError(
            f"CompleteMultipartUpload of {self._key!r} in {self._store.bucket}: {problem}",
            operation="CompleteMultipartUpload",
            bucket=self._store.bucket,
            key=self._key,
            code="ETagMismatch",
        )

    async def _abort(self, upload_id: str) -> None:
        with suppress(StoreError):  # the first failure is the one that counts
            await self._store.abort_multipart(self._key, upload_id)
