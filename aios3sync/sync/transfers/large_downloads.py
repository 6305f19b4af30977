"""Fetches one large object in ranges, in parallel, into a file that a later run goes on with.

Each range is read again by itself. The whole is verified before the file gets its name: by the digests of its
parts, which are taken while they are in memory, or by the MD5 of the whole, which follows the ranges that are
written up to the first gap; where they prove nothing (KMS without metadata), by the checksum that the
endpoint keeps. Where it keeps none, the number of bytes of every range is what is known.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.concurrency import raise_first_error
from aios3sync.core.actions import Download
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import (
    Proof,
    multipart_etag,
    part_count,
    part_size_candidates,
    proof,
    recorded_md5,
    same_etag,
)
from aios3sync.core.mtimes import file_mtime
from aios3sync.events import Adopted, Downloaded
from aios3sync.local.part_file import PartFile
from aios3sync.local.write import ChangedHereError
from aios3sync.store.protocol import HeadResult, ObjectStore
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.fetched import (
    ATTEMPTS,
    ChangedObjectError,
    DifferentFileError,
    adopted,
    checksum_of_version,
    current,
    downloaded,
    read_version_into,
)
from aios3sync.sync.transfers.range_buffers import RangeBuffers
from aios3sync.sync.transfers.range_plan import RangePlan, plan_ranges
from aios3sync.sync.transfers.received import (
    Original,
    WrongBytesError,
    check_checksum,
    decompressed,
    original_of,
    plain_mismatch,
)

__all__ = ("fetch_large",)

_RANGES_AT_ONCE: Final = 8
"""Ranges of one object; those of all objects are bounded by their buffers."""
_HOP: Final = 64 * 1024 * 1024
"""Bytes that one thread hop hashes at most, so that a cancellation does not wait for long."""
_CHUNK: Final = 1024 * 1024
_MOST_GUESSES: Final = 4


async def fetch_large(run: Run, download: Download, buffers: RangeBuffers) -> Downloaded | Adopted:
    """Fetch one object; begin again if it changes meanwhile, or if its bytes prove to be wrong.

    Raises:
        ChangedObjectError: it changed at every attempt.
        WrongBytesError: its bytes were wrong at every attempt.
        DifferentFileError: the file has another content, and may not be replaced.
        ChangedHereError: the file was changed since it was compared.
        StoreError: it cannot be read.
        OSError: it cannot be written.
    """
    store = await run.resources.open_store()
    for attempt in range(ATTEMPTS):
        last = attempt + 1 == ATTEMPTS
        try:
            return await _LargeDownload(run, store, download, buffers).fetch()
        except ChangedObjectError:
            if last:
                raise
            source = await current(store, run.full_key(download.source.key), download.source)
            download = replace(download, source=source)
        except WrongBytesError:
            if last:
                raise
    raise AssertionError("the last attempt returns or raises")


class _LargeDownload:
    """One attempt at one object.

    Invariant: ``_digests`` has the digest of a part only after all its ranges were written.
    """

    def __init__(self, run: Run, store: ObjectStore, download: Download, buffers: RangeBuffers) -> None:
        self._run = run
        self._store = store
        self._download = download
        self._buffers = buffers
        self._source: TargetEntry = download.source
        self._opaque = run.settling_policy.opaque_etags
        self._plan: RangePlan = plan_ranges(self._source.size, self._source.etag, run.options.part_size)
        self._head: HeadResult | None = None
        self._digests: dict[int, bytes] = {}
        self._whole = hashlib.md5(usedforsecurity=False)
        self._sha256 = None if run.receipt is None else hashlib.sha256()
        self._hashed = 0
        self._progress = anyio.Event()
        self._received = self._resumed = 0
        self._started = time.time_ns()

    async def fetch(self) -> Downloaded | Adopted:
        """Fetch, verify and commit it."""
        source, run, plan = self._source, self._run, self._plan
        self._part = part = await to_thread.run_sync(
            PartFile.open, run.writer, source.key, source.size, source.etag, plan.range_size
        )
        try:
            if not source.etag:  # nothing binds what an earlier run wrote to this object
                await to_thread.run_sync(part.restart)
            run.events(events.DownloadBegan(source.key, source.size))
            return await self._fetch_and_commit()
        except (ChangedObjectError, DifferentFileError, WrongBytesError, ChangedHereError):
            await to_thread.run_sync(part.discard)
            raise
        finally:
            part.close()

    async def _fetch_and_commit(self) -> Downloaded | Adopted:
        self._resumed = sum(map(self._plan.length, self._part.finished))
        self._report(self._resumed)
        try:
            with raise_first_error():
                await self._fetch_ranges()
            head = self._head or await self._facts()
            md5, part_size, proved = await to_thread.run_sync(self._verified, head)
            if not proved:
                await self._verify_by_checksum(head)
            return await self._finish(head, md5, part_size)
        except BaseException:
            self._report(-self._received)
            raise

    def _report(self, size: int) -> None:
        self._received += size
        if size:
            self._run.events(events.BytesReceived(self._source.key, size))

    async def _facts(self) -> HeadResult:
        """Return the facts of the object where all its ranges were there already."""
        source = self._source
        head = await self._store.head(self._run.full_key(source.key), version_id=source.version_id)
        if head.size != source.size or not same_etag(head.etag, source.etag):
            raise ChangedObjectError
        return head

    # Ranges

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
        full_key = self._run.full_key(self._source.key)
        for attempt in range(ATTEMPTS):
            try:
                head = await read_version_into(self._store, full_key, self._source, start, buffer)
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
            digest = hashlib.md5(usedforsecurity=False)
            self._part.write(start, body, digest.update)
            self._digests[start] = digest.digest()
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
        for chunk in self._chunks(self._hashed, until - self._hashed):
            self._whole.update(chunk)
            if self._sha256 is not None:
                self._sha256.update(chunk)
        self._hashed = until

    def _chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        """Yield what is written, in pieces that are valid until the next one. Blocks."""
        buffer = memoryview(bytearray(min(_CHUNK, length)))
        while length:
            count = self._part.read_into(offset, buffer[: min(length, len(buffer))])
            if not count:
                raise WrongBytesError("the file became shorter while it was written")
            yield buffer[:count]
            offset, length = offset + count, length - count

    def _md5_of_part(self, offset: int, length: int) -> bytes:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self._chunks(offset, length):
            digest.update(chunk)
        return digest.digest()

    # Verification

    def _verified(self, head: HeadResult) -> tuple[str, int, bool]:
        """Return the MD5 of the whole, empty where not needed, the part size, and whether one is proof.

        It blocks: it reads what was not hashed yet.

        Raises:
            WrongBytesError: these are not the bytes of the object.
        """
        part_size = self._proved_part_size(head)
        if part_size and not self._download.md5:
            return "", part_size, True
        self._hash_until(self._plan.size)
        md5 = self._whole.hexdigest()
        if part_size or same_etag(head.etag, md5):
            return md5, part_size, True
        if reason := plain_mismatch(md5, head, opaque=self._opaque):
            raise WrongBytesError(reason)
        return md5, 0, recorded_md5(head.metadata) == md5

    async def _verify_by_checksum(self, head: HeadResult) -> None:
        """Compare what is written with the checksum that the endpoint keeps, if there is one.

        Raises:
            WrongBytesError: it is that of other bytes, or none, and an earlier run wrote some of these.
        """
        proved = False
        if original_of(head) is None:  # the original is verified when it is decompressed
            key = self._run.full_key(self._source.key)
            checksum = await checksum_of_version(self._store, key, self._source)
            if checksum is not None:
                size = self._plan.size
                proved = await to_thread.run_sync(check_checksum, checksum, lambda: self._chunks(0, size))
        if self._resumed and self._plan.part_size and not proved:
            raise WrongBytesError("what an earlier run wrote of it cannot be verified")

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

    # The end

    async def _finish(self, head: HeadResult, md5: str, part_size: int) -> Downloaded | Adopted:
        run, download = self._run, self._download
        original = original_of(head) if run.options.decode else None
        content_md5, encoding = (md5, "") if original is None else (original.md5, "gzip")
        if download.md5:
            if original is not None:
                await to_thread.run_sync(self._check_original, original)
            if content_md5 == download.md5:
                source = self._source._replace(etag=head.etag)
                outcome = adopted(run, download, source, content_md5, encoding=encoding, part_size=part_size)
                await to_thread.run_sync(self._part.discard)
                return outcome
            if not download.overwrite:
                raise DifferentFileError
        mtime_ns = file_mtime(head.metadata, head.last_modified)
        if original is None:
            commit = partial(self._part.commit, mtime_ns, download.replaces)
        else:
            content = decompressed(self._stored(), original)
            commit = partial(self._part.commit_other, content, mtime_ns, download.replaces)
        written = await to_thread.run_sync(commit)
        run.stored(head.encryption)
        return downloaded(
            run,
            download,
            written,
            head.etag,
            content_md5,
            self._source.size - self._resumed,
            self._started,
            encoding=encoding,
            part_size=0 if encoding else part_size,
            sha256="" if encoding or self._sha256 is None else self._sha256.hexdigest(),
        )

    def _stored(self) -> Iterator[bytes]:
        return map(bytes, self._chunks(0, self._plan.size))

    def _check_original(self, original: Original) -> None:
        for _ in decompressed(self._stored(), original):
            pass
