"""Stores renamed files by copies of their objects on the server; files that cannot be copied are uploaded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from anyio.streams.memory import MemoryObjectReceiveStream

from aios3sync import events
from aios3sync.concurrency import for_each, run_in_thread
from aios3sync.core.actions import Upload
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.etag import part_count
from aios3sync.errors import StoreError
from aios3sync.events import Copied
from aios3sync.local.digest import FileDigest
from aios3sync.store.protocol import CopySource, ObjectStore
from aios3sync.sync.renames import Renames
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.stages import Stage, feeding

__all__ = ("renamed_stage",)

_AT_ONCE: Final = 64
_GROUP: Final = 256


async def renamed_stage(
    run: Run,
    headers: HeaderPlan,
    renames: Renames,
    uploads: Stage,
    jobs: MemoryObjectReceiveStream[list[Upload]],
) -> None:
    """Copy renamed files, and pass the others on to the stage ``uploads``; ``jobs`` is closed at the end."""
    async with jobs, feeding(uploads) as sent:
        async for batch in jobs:
            rest = [upload for upload in batch if not renames.may_be(upload)]
            if rest:
                await sent.send(rest)
            candidates = [upload for upload in batch if renames.may_be(upload)]
            for start in range(0, len(candidates), _GROUP):
                group = candidates[start : start + _GROUP]
                if rest := await _Copies(run, headers, renames).copy(group):
                    await sent.send(rest)


class _Copies:
    """The copies of one group of files."""

    def __init__(self, run: Run, headers: HeaderPlan, renames: Renames) -> None:
        self._run = run
        self._headers = headers
        self._renames = renames
        self._rest: list[Upload] = []

    async def copy(self, group: Sequence[Upload]) -> list[Upload]:
        """Copy the objects of files with the content of a missing file; return the others, to be uploaded."""
        if self._run.sends_no_more:
            return list(group)
        await self._run.recorder.begin()
        store = await self._run.resources.open_store()
        digests = await run_in_thread(lambda stop: [self._digest(upload, stop) for upload in group])

        async def work(item: tuple[Upload, FileDigest | None]) -> None:
            upload, digest = item
            if digest is None or not await self._copy(store, digest):
                self._rest.append(upload)

        await for_each(zip(group, digests, strict=True), work, _AT_ONCE)
        return self._rest

    def _digest(self, upload: Upload, stop: threading.Event) -> FileDigest | None:
        """Hash a file; one that cannot be read is left to the upload, which reports the error."""
        try:
            return self._run.files.digest(
                upload.source.key,
                stop,
                part_sizes=self._renames.part_sizes(upload.source.size),
                by_mtime=self._run.by_mtime,
            )
        except Exception:  # noqa: BLE001 - the upload of the file reads it again, and reports what it meets
            return None

    async def _copy(self, store: ObjectStore, digest: FileDigest) -> bool:
        """Copy the object of a file, if the file was renamed; return whether that was done."""
        run, entry = self._run, digest.entry
        row = self._renames.find(entry.size, digest.md5, *digest.part_etags.values())
        if row is None or run.sends_no_more or row.encoding != run.policy.encoding(entry.key):
            return False
        if row.encoding and run.writes_md5:
            return False  # the digest of the stored body, which its metadata needs, is not known
        source = CopySource(run.full_key(row.key), etag=row.etag)
        keeps = self._keeps_headers(row, digest)
        stored_md5 = digest.md5 if run.writes_md5 or self._headers.makes_opaque_etags else ""
        options = self._headers.for_upload(
            entry, encoding=row.encoding, original_md5=digest.md5, stored_md5=stored_md5
        )
        key = run.full_key(entry.key)
        try:
            result = await store.copy(source, key, options, keep_metadata=keeps)
            etag = result.etag or (await store.head(key)).etag
        except StoreError:
            return False  # gone, replaced, or no copies are offered: the upload needs none
        run.stored(result.encryption)
        new = run.row(
            entry,
            digest.md5,
            etag,
            settled=digest.settled,
            encoding=row.encoding,
            headers=self._headers.digest_of(entry.key),
            sha256=row.sha256,
        )
        if part_count(etag):
            new = new._replace(part_size=row.part_size)
        self._renames.note_copied(row)
        run.events(events.Planned(uploads=-1, size=-entry.size, copies=1))
        run.recorder.add(Copied(new, 0, f"renamed from {row.key}"))
        return True

    def _keeps_headers(self, row: RecordedEntry, digest: FileDigest) -> bool:
        """Whether the new object has the headers and metadata of the old one, so only its key differs."""
        headers, entry = self._headers, digest.entry
        same_type = headers.type_of(row.key) == headers.type_of(entry.key)
        same_asked = row.headers == headers.digest_of(row.key) == headers.digest_of(entry.key)
        return same_type and same_asked and row.mtime_ns == entry.mtime_ns
