"""RangedDownload: one version of a large object, fetched in parallel ranges into a part file, and verified.

A failed range is read again alone. The whole is verified before the file gets its name: by the digests of its
parts, which are computed while they are in memory, or by the MD5 of the whole, which is computed over the
written ranges up to the first gap; where these prove nothing (KMS without metadata), by the checksum that the
endpoint stores. Where it stores none, only the number of bytes of every range is checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import raise_first_error
from aios3sync.core.digests import Digest
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import (
    Proof,
    multipart_etag,
    part_count,
    part_size_candidates,
    proof,
    same_etag,
)
from aios3sync.local.part_file import PartFile
from aios3sync.local.write import ChangedHereError, TreeWriter
from aios3sync.store.protocol import HeadResult
from aios3sync.sync.transfers.object_version import ChangedObjectError, ObjectVersion
from aios3sync.sync.transfers.range_buffers import RangeBuffers
from aios3sync.sync.transfers.range_plan import RangePlan
from aios3sync.sync.transfers.received import (
    WrongBytesError,
    check_checksum,
    original_of,
    plain_mismatch,
    stored_md5,
)

__all__ = ("ATTEMPTS", "RangedDownload", "Verified", "open_part_file")

ATTEMPTS: Final = 3
"""How often an object is read if it changes while it is read, or if its bytes are wrong."""
_RANGES_AT_ONCE: Final = 8
"""Ranges of one object; those of all objects are bounded by their buffers."""
_HOP: Final = 64 * 1024 * 1024
"""Bytes that one call in a thread hashes at most, so that a cancellation does not wait for long."""
_CHUNK: Final = 1024 * 1024
_MOST_GUESSES: Final = 4


@asynccontextmanager
async def open_part_file(
    writer: TreeWriter, key: str, source: TargetEntry, range_size: int
) -> AsyncIterator[PartFile]:
    """Open the part file of one version of an object; it stays for a later run if it is not committed.

    It is removed where an error makes it useless: the object or the file changed, or bytes are wrong.

    Args:
        writer: of the directory.
        key: path below its root.
        source: the version.
        range_size: bytes of one range, the last one excepted.

    Raises:
        OSError: it cannot be created, or the disk has no room for it.
    """
    part = await to_thread.run_sync(PartFile.open, writer, key, source.size, source.etag, range_size)
    try:
        if not source.etag:  # nothing binds what an earlier run wrote to this object
            await to_thread.run_sync(part.restart)
        yield part
    except (ChangedObjectError, WrongBytesError, ChangedHereError):
        await to_thread.run_sync(part.discard)
        raise
    finally:
        part.close()


class Verified(NamedTuple):
    """What is known of the bytes that were fetched.

    Attributes:
        head: the facts of the object.
        md5: of the whole in hexadecimal, empty where it was not needed.
        part_size: bytes of a part, where the ETag proved to be that of parts.
        proof: ``md5`` (the ETag, or a digest in the metadata), ``parts`` (the ETag), ``checksum`` (what the
            endpoint stores besides), or empty where it stores nothing that can be compared.
        sha256: of the whole in hexadecimal, empty where it was not requested.
    """

    head: HeadResult
    md5: str
    part_size: int
    proof: str
    sha256: str = ""


class RangedDownload:
    """One attempt at one version; used once.

    Invariant: ``_digests`` has the digest of a part only after all its ranges were written.

    Args:
        version: to fetch.
        part: takes the bytes; ranges that it has already are not fetched.
        plan: the ranges, of the size that the part file was opened with.
        buffers: the memory.
        opaque: ETags of this endpoint prove nothing.
        on_bytes: called with the number of bytes that have arrived, first with those of an earlier run; and
            with a negative number, all of them, where they have to be fetched again.

    Attributes:
        resumed: bytes that an earlier run has written.
    """

    def __init__(
        self,
        version: ObjectVersion,
        part: PartFile,
        plan: RangePlan,
        buffers: RangeBuffers,
        *,
        opaque: bool,
        on_bytes: Callable[[int], object],
    ) -> None:
        self._version = version
        self._part = part
        self._plan = plan
        self._buffers = buffers
        self._opaque = opaque
        self._on_bytes = on_bytes
        self._head: HeadResult | None = None
        self._digests: dict[int, bytes] = {}
        self._whole = hashlib.md5(usedforsecurity=False)
        self._sha256: Digest | None = None
        self._hashed = 0
        self._progress = anyio.Event()
        self._received = 0
        self.resumed = sum(map(plan.length, part.finished))

    @asynccontextmanager
    async def fetched(
        self,
        *,
        needs_md5: bool = False,
        needs_sha256: bool = False,
        decodes: bool = False,
        first: tuple[HeadResult, bytes] | None = None,
    ) -> AsyncIterator[Verified]:
        """Fetch the missing ranges and verify the whole, for a block that commits the part file.

        Args:
            needs_md5: whether the MD5 of the whole is needed even where the parts prove the bytes.
            needs_sha256: the same for the SHA-256.
            decodes: whether the block decompresses what this package compressed, which verifies it.
            first: a response with the first bytes of the object, which need not be requested again.

        Raises:
            ChangedObjectError: the object was replaced.
            WrongBytesError: these are not the bytes of the object.
            StoreError: it cannot be read.
            OSError: it cannot be written.
        """
        self._sha256 = hashlib.sha256() if needs_sha256 else None
        self._report(self.resumed)
        try:
            if first is not None:
                self._head = first[0]
                await self._save(first[1])
            with raise_first_error():
                await self._fetch_ranges()
            head = self._head or await self._version.head()
            found = await to_thread.run_sync(self._verified, head, needs_md5)
            if not found.proof:
                found = found._replace(proof=await self._proof_by_checksum(head, decodes=decodes))
            if self._sha256 is not None:
                found = found._replace(sha256=self._sha256.hexdigest())
            yield found
        except BaseException:
            self._report(-self._received)
            raise

    def _report(self, size: int) -> None:
        self._received += size
        if size:
            self._on_bytes(size)

    # Ranges

    async def _save(self, body: bytes) -> None:
        """Save the complete ranges of a response, except those that exist already: these will be verified."""
        for start in self._plan.starts():
            length = self._plan.length(start)
            if start + length > len(body):
                return
            if start not in self._part.finished:
                piece = memoryview(body)[start : start + length]
                await to_thread.run_sync(self._write, start, piece)
                self._report(length)

    async def _fetch_ranges(self) -> None:
        missing = iter([start for start in self._plan.starts() if start not in self._part.finished])

        async def worker() -> None:
            for start in missing:
                await self._fetch_range(start)

        async with anyio.create_task_group() as tasks:
            if not self._plan.part_size or self._sha256 is not None:
                tasks.start_soon(self._hash_in_order)
            for _ in range(_RANGES_AT_ONCE):
                tasks.start_soon(worker)

    async def _fetch_range(self, start: int) -> None:
        length = self._plan.length(start)
        async with self._buffers.take(length) as buffer:
            await self._read(start, buffer)
            await to_thread.run_sync(self._write, start, buffer)
        self._report(length)
        self._progress.set()

    async def _read(self, start: int, buffer: memoryview) -> None:
        for attempt in range(ATTEMPTS):
            try:
                head = await self._version.read_into(start, buffer)
            except WrongBytesError:
                if attempt + 1 == ATTEMPTS:
                    raise
            else:
                if self._head is None:
                    self._head = head
                elif head.etag != self._head.etag:  # where the listing has no ETag to compare with
                    raise ChangedObjectError
                return
        raise AssertionError("the last attempt returns or raises")

    def _write(self, start: int, body: memoryview) -> None:
        """Write a range, and hash the part that it completes. Blocks."""
        plan = self._plan
        if plan.part_size == plan.range_size:
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            self._part.write(start, body)
            self._digests[start] = digest
            return
        self._part.write(start, body)
        if plan.part_size and self._part.finished.issuperset(plan.ranges_of_part(start)):
            first = start - start % plan.part_size
            self._digests[first] = self._md5_of_part(first, min(plan.part_size, plan.size - first))

    async def _hash_in_order(self) -> None:
        """Hash the whole, up to the first gap, as ranges arrive."""
        while self._hashed < self._plan.size:
            frontier = self._frontier()
            if frontier == self._hashed:
                self._progress = anyio.Event()
                await self._progress.wait()
                continue
            until = min(frontier, self._hashed + _HOP)
            await to_thread.run_sync(self._hash_until, until)

    def _frontier(self) -> int:
        """Return the bytes before the first gap."""
        start = self._hashed - self._hashed % self._plan.range_size
        while start < self._plan.size and start in self._part.finished:
            start += self._plan.range_size
        return max(min(start, self._plan.size), self._hashed)

    def _hash_until(self, until: int) -> None:
        for chunk in self.chunks(self._hashed, until - self._hashed):
            self._whole.update(chunk)
            if self._sha256 is not None:
                self._sha256.update(chunk)
        self._hashed = until

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Yield the written bytes, all or a range, in pieces that are valid until the next one. Blocks."""
        length = self._plan.size - offset if length is None else length
        buffer = memoryview(bytearray(min(_CHUNK, length)))
        while length:
            count = self._part.read_into(offset, buffer[: min(length, len(buffer))])
            if not count:
                raise WrongBytesError("the file became shorter while it was written")
            yield buffer[:count]
            offset, length = offset + count, length - count

    def _md5_of_part(self, offset: int, length: int) -> bytes:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self.chunks(offset, length):
            digest.update(chunk)
        return digest.digest()

    # Verification

    def _verified(self, head: HeadResult, needs_md5: bool) -> Verified:
        """Return what the digests prove. Blocks: it reads what was not hashed yet.

        Raises:
            WrongBytesError: these are not the bytes of the object.
        """
        part_size = self._proved_part_size(head)
        if part_size and not needs_md5:
            return Verified(head, "", part_size, "parts")
        self._hash_until(self._plan.size)
        md5 = self._whole.hexdigest()
        if part_size:
            return Verified(head, md5, part_size, "parts")
        if same_etag(head.etag, md5):
            return Verified(head, md5, 0, "md5")
        if reason := plain_mismatch(md5, head, opaque=self._opaque):
            raise WrongBytesError(reason)
        return Verified(head, md5, 0, "md5" if stored_md5(head) == md5 else "")

    async def _proof_by_checksum(self, head: HeadResult, *, decodes: bool) -> str:
        """Compare the written bytes with the checksum that the endpoint stores, if there is one.

        Raises:
            WrongBytesError: the checksum is of other bytes; or there is none, and an earlier run has written
                some of the bytes.
        """
        proved = False
        if not decodes or original_of(head) is None:  # an original is verified when it is decompressed
            checksum = await self._version.checksum()
            if checksum is not None:
                proved = await to_thread.run_sync(check_checksum, checksum, self.chunks)
        if self.resumed and self._plan.part_size and not proved:
            raise WrongBytesError("what an earlier run wrote of it cannot be verified")
        return "checksum" if proved else ""

    def _proved_part_size(self, head: HeadResult) -> int:
        """Return the size of the parts whose digests make the ETag, 0 if there is none that is likely."""
        plan = self._plan
        if not plan.part_size or proof(head.etag, opaque=self._opaque) is not Proof.PARTS:
            return 0
        guesses = part_size_candidates(plan.size, part_count(head.etag), plan.part_size)
        for part_size in guesses[:_MOST_GUESSES]:
            digests = self._digests if part_size == plan.part_size else {}
            parts = plan._replace(part_size=part_size).parts()
            whole = [digests.get(offset) or self._md5_of_part(offset, length) for offset, length in parts]
            if same_etag(head.etag, multipart_etag(whole)):
                return part_size
        return 0
