"""Fetches one large object into its file; a later run continues an interrupted download."""

from __future__ import annotations

import time
from functools import partial

from anyio import to_thread

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.core.actions import Download
from aios3sync.core.mtimes import file_mtime
from aios3sync.events import Adopted, Downloaded
from aios3sync.local.part_file import PartFile
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.fetched import DifferentFileError, adopted, downloaded
from aios3sync.sync.transfers.object_version import ChangedObjectError, ObjectVersion
from aios3sync.sync.transfers.range_buffers import RangeBuffers
from aios3sync.sync.transfers.range_plan import plan_ranges
from aios3sync.sync.transfers.ranged_download import ATTEMPTS, RangedDownload, Verified, open_part_file
from aios3sync.sync.transfers.received import Original, WrongBytesError, decompressed, original_of

__all__ = ("fetch_large",)


async def fetch_large(run: Run, download: Download, buffers: RangeBuffers) -> Downloaded | Adopted:
    """Fetch one object; begin again if it changes meanwhile, or if its bytes are wrong.

    Raises:
        ChangedObjectError: it changed at every attempt.
        WrongBytesError: its bytes were wrong at every attempt.
        DifferentFileError: the file has another content, and may not be replaced.
        ChangedHereError: the file was changed since it was compared.
        StoreError: it cannot be read.
        OSError: it cannot be written.
    """
    version = ObjectVersion(
        await run.resources.open_store(), run.full_key(download.source.key), download.source
    )
    for attempt in range(ATTEMPTS):
        last = attempt + 1 == ATTEMPTS
        try:
            return await _LargeDownload(run, version, download, buffers).fetch()
        except ChangedObjectError:
            if last:
                raise
            version = version._replace(entry=await version.now())
            download = replace(download, source=version.entry)
        except WrongBytesError:
            if last:
                raise
    raise AssertionError("the last attempt returns or raises")


class _LargeDownload:
    """One attempt at one object."""

    def __init__(self, run: Run, version: ObjectVersion, download: Download, buffers: RangeBuffers) -> None:
        self._run = run
        self._version = version
        self._download = download
        self._buffers = buffers
        self._started = time.time_ns()

    async def fetch(self) -> Downloaded | Adopted:
        """Fetch, verify and commit it."""
        run, download, source = self._run, self._download, self._download.source
        plan = plan_ranges(source.size, source.etag, run.options.part_size)

        def on_bytes(size: int) -> None:
            run.events(events.BytesReceived(source.key, size))

        async with open_part_file(run.writer, source.key, source, plan.range_size) as part:
            run.events(events.DownloadBegan(source.key, source.size))
            opaque = run.settling_policy.opaque_etags
            ranges = RangedDownload(
                self._version, part, plan, self._buffers, opaque=opaque, on_bytes=on_bytes
            )
            fetched = ranges.fetched(
                needs_md5=bool(download.md5),
                needs_sha256=run.receipt is not None,
                decodes=run.options.decode,
            )
            async with fetched as verified:
                return await self._finish(part, ranges, verified)

    async def _finish(
        self, part: PartFile, ranges: RangedDownload, verified: Verified
    ) -> Downloaded | Adopted:
        run, download = self._run, self._download
        head, md5, part_size = verified.head, verified.md5, verified.part_size
        original = original_of(head) if run.options.decode else None
        content_md5, encoding = (md5, "") if original is None else (original.md5, "gzip")
        if download.md5:
            if original is not None:
                await to_thread.run_sync(_check_original, ranges, original)
            if content_md5 == download.md5:
                source = download.source._replace(etag=head.etag)
                outcome = adopted(run, download, source, content_md5, encoding=encoding, part_size=part_size)
                await to_thread.run_sync(part.discard)
                return outcome
            if not download.overwrite:
                await to_thread.run_sync(part.discard)
                raise DifferentFileError
        mtime_ns = file_mtime(head.metadata, head.last_modified)
        if original is None:
            commit = partial(part.commit, mtime_ns, download.replaces)
        else:
            content = decompressed(map(bytes, ranges.chunks()), original)
            commit = partial(part.commit_other, content, mtime_ns, download.replaces)
        written = await to_thread.run_sync(commit)
        run.stored(head.encryption)
        return downloaded(
            run,
            download,
            written,
            head.etag,
            content_md5,
            download.source.size - ranges.resumed,
            self._started,
            encoding=encoding,
            part_size=0 if encoding else part_size,
            sha256="" if encoding else verified.sha256,
        )


def _check_original(ranges: RangedDownload, original: Original) -> None:
    for _ in decompressed(map(bytes, ranges.chunks()), original):
        pass
