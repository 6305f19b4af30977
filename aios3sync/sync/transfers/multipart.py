"""Sends one large file as a multipart upload, its parts in parallel; aborts uploads that it does not finish.

The parts of the file are hashed before any of them is sent, and the ETag of the object proves that it
consists of these parts. The whole is hashed as well for the metadata, which must be known when the upload
begins; without the option ``md5chksum`` only where an ETag proves nothing. The endpoint checks the parts
against what it receives, and the stat is compared at the end: the upload of a file that changed meanwhile is
aborted, never completed (P8).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync._dataclass import dataclass, replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import first_error, run_in_thread
from aios3sync.core.actions import Upload
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import Proof, is_inferable, multipart_etag, proof, same_etag
from aios3sync.core.metadata import META_MD5, rclone_md5
from aios3sync.core.parts import Part, plan_parts
from aios3sync.errors import IntegrityError, StoreError
from aios3sync.events import Uploaded
from aios3sync.local.compress import md5_of
from aios3sync.local.digest import CHUNK, ChangedError, FileDigest, is_settled
from aios3sync.local.open_file import OpenFile
from aios3sync.local.read import ATTEMPTS
from aios3sync.local.temporary import drop, temporary_file
from aios3sync.manifest.unfinished import UnfinishedUpload
from aios3sync.store.protocol import ObjectStore, PutOptions, PutResult
from aios3sync.sync.etag_conflict import SentPart, check_part_etags, verify_joined, write_md5
from aios3sync.sync.run import Run
from aios3sync.sync.sides import ContentFile
from aios3sync.sync.transfers.aborts import abort_after_error, abort_upload
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.part_limits import PartLimits, PartRefusal, refuses_number, with_hint
from aios3sync.sync.transfers.progress import BodyProgress
from aios3sync.sync.transfers.upload_version import version_of

__all__ = ("send_large",)

PARTS_AT_ONCE: Final = 8
_OVERHEAD_SHARE: Final = 8
"""A part counts with an eighth more memory, for its copies in sockets and TLS."""
_HEAD: Final = CHUNK
"""Bytes at the beginning of a large file from which the size of an image is read."""


@dataclass(frozen=True, slots=True)
class _Content:
    """The content that is sent: the file itself, or a compressed copy of it.

    Attributes:
        digest: of the file; without an MD5 where the digests of the parts are to prove the object.
        file: open, with the content.
        size: bytes of the content.
        stored_md5: hex digest of the content; empty where the file has none yet.
        encoding: ``gzip`` or empty.
    """

    digest: FileDigest
    file: ContentFile
    size: int
    stored_md5: str
    encoding: str


class _Sent(NamedTuple):
    """An object that was joined from parts.

    Attributes:
        result: the response of the endpoint.
        part_size: bytes of each part but the last.
        md5: hex digest of the content; empty where the ETag proves the parts.
    """

    result: PutResult
    part_size: int
    md5: str


class _UnprovedError(Exception):
    """The endpoint's ETags do not prove the parts: the MD5 of the whole is needed before an upload begins."""


async def send_large(run: Run, headers: HeaderPlan, upload: Upload) -> Uploaded:
    """Send one file; begin again if it changes meanwhile.

    Of several files that are sent at once, the parts of the file that began first go first, so that the files
    arrive one after the other.

    Raises:
        StoreError: a request failed.
        OSError: the file cannot be read.
        ChangedError: it changed at every attempt.
    """
    known_md5 = upload.md5
    by_parts, damaged = True, False
    for attempt in range(ATTEMPTS + 1):
        try:
            return await _send_once(run, headers, upload, known_md5=known_md5, by_parts=by_parts)
        except _UnprovedError:
            by_parts = False  # invariant: it is raised only where this is true, so at most once
        except ChangedError:
            known_md5 = ""
            if attempt >= ATTEMPTS - 1:
                raise
        except IntegrityError as error:
            if damaged or not _is_damaged(error):
                raise
            damaged = True
    raise AssertionError("the last attempt returns or raises")


def _is_damaged(error: Exception) -> bool:
    """Whether the joined object is not what was sent; then it is tried again."""
    return isinstance(error, IntegrityError) and error.operation == "CompleteMultipartUpload"


async def _send_once(
    run: Run, headers: HeaderPlan, upload: Upload, *, known_md5: str, by_parts: bool
) -> Uploaded:
    whole = run.options.md5chksum or run.receipt is not None or _makes_opaque_etags(run, headers)
    by_parts = by_parts and not whole
    async with _content_of(run, upload, known_md5, by_parts=by_parts) as content:
        entry = content.digest.entry
        options = headers.for_upload(
            entry,
            encoding=content.encoding,
            original_md5=content.digest.md5,
            stored_md5=content.stored_md5,
        )
        run.events(events.UploadBegan(entry.key, entry.size))
        result, part_size, md5 = await _send_parts(run, content, options)
        if content.size != entry.size:  # compressed: events add up to the file
            run.events(events.BytesSent(entry.key, entry.size - content.size))
        run.stored(result.encryption)
        digest = content.digest
        row = run.row(entry, digest.md5 or md5, result.etag, settled=digest.settled, sha256=digest.sha256)
        asked = headers.digest_of(entry.key)
        row = row._replace(part_size=part_size, encoding=content.encoding, headers=asked)
        image = await to_thread.run_sync(_image, run, entry.key) if run.resources.inspect else None
        return Uploaded(row, content.size, upload.reason, options.content_type, result.encryption, image)


def _makes_opaque_etags(run: Run, headers: HeaderPlan) -> bool:
    """Whether the ETags of what is stored are known to prove nothing, before anything is sent."""
    return headers.makes_opaque_etags or run.opaque_etags or run.settling_policy.opaque_etags


def _image(run: Run, key: str) -> tuple[int, int] | None:
    """Return the size of a large image; ``None`` if the file is gone or is no image."""
    try:
        head = run.files.head(key, _HEAD)
    except OSError:
        return None
    return run.image(key, head)


@asynccontextmanager
async def _content_of(run: Run, upload: Upload, known_md5: str, *, by_parts: bool) -> AsyncIterator[_Content]:
    """Open the file, and hash its parts; the whole as well, where the parts are not to prove the object.

    Where gzip applies, it is compressed into a temporary file without a name.
    """
    key, files = upload.source.key, run.files
    encoding = run.policy.encoding(key)
    if encoding:
        copy = await to_thread.run_sync(temporary_file)
        try:
            digest, stored_md5, size = await run_in_thread(
                lambda stop: files.compress(key, copy, stop, by_mtime=run.by_mtime)
            )
            yield _Content(digest, OpenFile(key, copy.fileno()), size, stored_md5, encoding)
        finally:
            drop(copy)
        return
    file = await to_thread.run_sync(files.open, key)
    try:
        now = file.stat()
        limits = PartLimits.known(run.options.max_parts, run.profile)
        # Raises before the hashing if no object can hold it.
        part_size = limits.part_size(now.size, run.options.part_size)
        sha256 = run.receipt is not None
        if known_md5 and now == upload.source:
            # It was hashed after the run began: to judge from the run's beginning is the safe side.
            digest = FileDigest(now, known_md5, is_settled(now, run.started_ns, by_mtime=run.by_mtime))
        else:
            whole = not (by_parts and is_inferable(now.size, part_size))
            async with run.hashing:
                digest = await run_in_thread(
                    lambda stop: files.digest(
                        key,
                        stop,
                        part_sizes=[part_size],
                        by_mtime=run.by_mtime,
                        sha256=sha256,
                        whole=whole,
                    )
                )
        yield _Content(digest, file, digest.entry.size, digest.md5, "")
    finally:
        file.close()


async def _send_parts(run: Run, content: _Content, options: PutOptions) -> _Sent:
    """Send the content in parts; again in other parts if the endpoint accepts only fewer or smaller ones."""
    limits = PartLimits.known(run.options.max_parts, run.profile)
    upload = await _upload(run, content, limits, options)
    try:
        return await upload.send()
    except StoreError as error:
        if upload.resumed and error.operation == "CompleteMultipartUpload" and not error.retryable:
            return await _send_parts(run, content, options)  # the parts were not those that were listed
        limit = upload.refusal(error).limit(limits)
        if limit is None:
            raise with_hint(error, limits) from None
    limits = limits.below(limit)
    upload = await _upload(run, content, limits, options)
    try:
        sent = await upload.send()
    except StoreError as error:
        raise with_hint(error, limits) from None
    if limit.certain:
        run.profile.record(limit.fact, limit.value)
    return sent


async def _upload(run: Run, content: _Content, limits: PartLimits, options: PutOptions) -> _MultipartUpload:
    """Return an upload within limits; where no reader can infer its part size, it has the MD5 of the whole.

    Raises:
        ChangedError: the file has changed.
        OSError: it cannot be read.
    """
    if not (content.stored_md5 or is_inferable(content.size, _part_size(run, content, limits))):
        md5 = await _md5_of_file(run, content.digest.entry)
        content = replace(content, stored_md5=md5)
        options = replace(options, metadata={**options.metadata, META_MD5: rclone_md5(md5)})
    return _MultipartUpload(run, content, limits, options)


def _part_size(run: Run, content: _Content, limits: PartLimits) -> int:
    return limits.part_size(content.size, run.options.part_size)


async def _md5_of_file(run: Run, entry: SourceEntry) -> str:
    """Return the hex MD5 of a file that has not changed since ``entry``."""
    async with run.hashing:
        digest = await run_in_thread(lambda stop: run.files.digest(entry.key, stop))
    if digest.entry != entry:
        raise ChangedError(entry.key)
    return digest.md5


class _MultipartUpload:
    """One multipart upload.

    Attributes:
        part_size: bytes of each part but the last.
        resumed: whether a killed run has begun it.
    """

    def __init__(self, run: Run, content: _Content, limits: PartLimits, options: PutOptions) -> None:
        self.part_size = _part_size(run, content, limits)
        self._run = run
        self._content = content
        self._digests = content.digest.parts.get(self.part_size, ())
        self._options = options
        self._key = run.full_key(content.digest.entry.key)
        self._stored: list[SentPart] = []
        self._refusals: list[tuple[int, StoreError]] = []
        self._turn = run.next_turn()
        self.resumed = False

    async def send(self) -> _Sent:
        """Send all parts and join them; a failure aborts the upload, so that no parts are left.

        Raises:
            _UnprovedError: the ETags prove nothing, and the MD5 of the content is not known.
            IntegrityError: the object is not what was sent.
            StoreError: a request failed.
            ChangedError: the file changed.
        """
        run, key = self._run, self._content.digest.entry.key
        store = await run.resources.open_store()
        begun = await self._begin(store)
        upload_id = begun.upload_id
        try:
            await self._send_all(store, upload_id)
            _check_unchanged(self._content)
            check_part_etags(run, self._key, self._stored)
            listed = sorted(part.listed for part in self._stored)
            result = await store.complete_multipart(self._key, upload_id, listed, self._options)
        except BaseException as error:  # noqa: BLE001 - cancellation too must leave no parts
            run.events(events.BytesSent(key, -sum(part.part.length for part in self._stored)))
            await abort_after_error(store, begun, run.unfinished, run.builder.warn)
            raise first_error(error) from None
        await run.unfinished.ended(begun)
        if not result.etag:
            result = await _with_etag(store, self._key, result)
        return await self._proved(store, result)

    async def _proved(self, store: ObjectStore, result: PutResult) -> _Sent:
        """Return the joined object, with the MD5 of the content where its ETag does not prove the parts.

        Raises:
            IntegrityError: the object is not what was sent.
            ChangedError: the file has changed since, so that its MD5 cannot be found.
        """
        run, content, md5 = self._run, self._content, self._content.stored_md5
        if not md5:
            parts = sorted(self._stored, key=lambda sent: sent.part.number)
            if same_etag(result.etag, multipart_etag([sent.md5 for sent in parts])):
                return _Sent(result, self.part_size, "")
            md5 = await _md5_of_file(run, content.digest.entry)
        await verify_joined(run, store, self._key, self._stored, md5, self._options, result)
        if not content.stored_md5 and run.profile.etags == "opaque":
            result = await write_md5(store, self._key, content.size, md5, self._options, result)
        return _Sent(result, self.part_size, md5)

    async def _begin(self, store: ObjectStore) -> UnfinishedUpload:
        """Continue the upload of this very content that a killed run has begun; else begin one."""
        unfinished, content = self._run.unfinished, self._content
        # Not the content: parts that are there are compared with it one by one.
        version = version_of([content.size, self.part_size], self._options)
        earlier = await unfinished.take(self._key)
        if earlier is not None:
            if version and earlier.version == version and await self._resume(store, earlier):
                self.resumed = True
                return earlier
            await abort_upload(store, earlier, unfinished, self._run.builder.warn)
        upload_id = await store.create_multipart(self._key, self._options)
        begun = UnfinishedUpload(self._key, upload_id, version)
        await unfinished.began(begun)
        return begun

    async def _resume(self, store: ObjectStore, earlier: UnfinishedUpload) -> bool:
        """Take over the stored parts that equal those of the file; return False if the upload is gone."""
        try:
            listed = {part.number: part for part in await store.list_parts(self._key, earlier.upload_id)}
        except StoreError as error:
            if error.retryable:
                raise
            return False  # it has ended, or its parts may not be listed
        for part in plan_parts(self._content.size, self.part_size):
            there = listed.get(part.number)
            if there is None or there.size != part.length:
                continue
            md5 = await self._md5_of(part)
            if self._is_md5(there.etag, md5):
                self._stored.append(SentPart(part, md5, PutResult(there.etag, checksum=there.checksum)))
        sent = sum(part.part.length for part in self._stored)
        self._run.events(events.BytesSent(self._content.digest.entry.key, sent))
        return True

    def _is_md5(self, etag: str, md5: bytes) -> bool:
        """Whether an ETag proves that a part holds the bytes with this digest."""
        opaque = self._run.profile.etags == "opaque"
        return proof(etag, opaque=opaque) is Proof.MD5 and same_etag(etag, md5.hex())

    async def _md5_of(self, part: Part) -> bytes:
        """Return the digest of a part of the current content."""
        if part.number <= len(self._digests):
            return self._digests[part.number - 1]
        run, cost = self._run, part.length + part.length // _OVERHEAD_SHARE
        await run.resources.memory.acquire(cost)
        buffer = run.buffers.acquire(part.length)
        try:
            with memoryview(buffer)[: part.length] as body:
                await to_thread.run_sync(self._content.file.read_into, part.offset, body)
                return await to_thread.run_sync(md5_of, body)
        finally:
            run.buffers.release(buffer)
            run.resources.memory.release(cost)

    async def _send_all(self, store: ObjectStore, upload_id: str) -> None:
        """Send the parts; after the refusal of a part number only the parts in flight are finished.

        The parts that are stored by then show how many the endpoint accepts.
        """
        there = {sent.part.number for sent in self._stored}
        parts = iter(
            [part for part in plan_parts(self._content.size, self.part_size) if part.number not in there]
        )

        async def worker() -> None:
            for part in parts:
                try:
                    sent = await self._send_part(store, upload_id, part)
                except StoreError as error:
                    if part.number == 1 or not refuses_number(error):
                        raise
                    self._refusals.append((part.number, error))
                else:
                    self._stored.append(sent)
                if self._refusals:
                    return

        async with anyio.create_task_group() as tasks:
            for _ in range(PARTS_AT_ONCE):
                tasks.start_soon(worker)
        if self._refusals:
            raise self._refusals[0][1]

    async def _send_part(self, store: ObjectStore, upload_id: str, part: Part) -> SentPart:
        """Send one part. The window is acquired before memory, as for small files: no deadlock."""
        run, cost = self._run, part.length + part.length // _OVERHEAD_SHARE
        await run.resources.window.acquire(part.length, self._turn)
        try:
            await run.resources.memory.acquire(cost)
            buffer = run.buffers.acquire(part.length)
            try:
                with memoryview(buffer)[: part.length] as body:
                    return await self._send_body(store, upload_id, part, body)
            finally:
                run.buffers.release(buffer)
                run.resources.memory.release(cost)
        finally:
            run.resources.window.release(part.length)

    async def _send_body(self, store: ObjectStore, upload_id: str, part: Part, body: memoryview) -> SentPart:
        key = self._content.digest.entry.key
        await to_thread.run_sync(self._content.file.read_into, part.offset, body)
        # Sent also where ETags prove nothing: the endpoint checks it, and Object Lock requires it.
        known = part.number <= len(self._digests)
        md5 = self._digests[part.number - 1] if known else await to_thread.run_sync(md5_of, body)
        try:
            with BodyProgress(self._run, key, part.length, part.length).watching():
                result = await store.put_part(self._key, upload_id, part.number, body, self._options, md5=md5)
        except IntegrityError:
            if known and await to_thread.run_sync(md5_of, body) != md5:
                raise ChangedError(key) from None  # since it was hashed, whatever its stat says
            raise
        if not (self._content.stored_md5 or same_etag(result.etag, md5.hex())):
            self._run.note_response(result.encryption)
            raise _UnprovedError
        return SentPart(part, md5, result)

    def refusal(self, error: StoreError) -> PartRefusal:
        """Return the facts about a refusal."""
        stored = max((part.part.number for part in self._stored), default=0)
        refused = min((number for number, _ in self._refusals), default=0)
        return PartRefusal(error, self._content.size, self.part_size, stored, refused)


async def _with_etag(store: ObjectStore, key: str, result: PutResult) -> PutResult:
    """Request the ETag that Ceph leaves empty; if that fails, the next listing will show it."""
    try:
        return result._replace(etag=(await store.head(key)).etag)
    except StoreError:
        return result


def _check_unchanged(content: _Content) -> None:
    """Raise ChangedError if the file has changed since it was hashed; called before its parts are joined."""
    if content.encoding:
        return  # the copy cannot change, and the file was compared when the copy was made
    entry = content.digest.entry
    if content.file.stat() != entry:
        raise ChangedError(entry.key)
