"""Has upload processes send small files, and records those that are stored; returns the others."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from aios3sync import events
from aios3sync.core.actions import Upload
from aios3sync.core.entries import SourceEntry
from aios3sync.core.metadata import META_MD5, META_MTIME
from aios3sync.events import Uploaded
from aios3sync.local.digest import is_settled
from aios3sync.processes.protocol import MAX_JOB_BYTES, Offloader, UploadJob, UploadResult
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan

__all__ = ("SmallFileOffload",)

_LOG: Final = logging.getLogger(__name__)
_FILES_BEFORE: Final = 512
"""Files that this process sends first: they find the bucket, and fewer are not worth a process."""
_MD5_PLACEHOLDER: Final = "0" * 32
"""The digest in header templates; the upload process writes that of each file in its place."""


class SmallFileOffload:
    """Decides which files of one run are sent by upload processes, and passes them on."""

    def __init__(self, run: Run, headers: HeaderPlan) -> None:
        self._run = run
        self._headers = headers
        self._proving_etags = not headers.makes_opaque_etags
        self._seen = 0
        self._open_offloader = run.resources.open_offloader
        self._offloader: Offloader | None = None
        self._templates: dict[tuple[str, str, str], int | None] = {}

    async def send(self, chunk: list[Upload]) -> list[Upload]:
        """Send those files that upload processes can send; return the others."""
        offloader = await self._open(len(chunk))
        if offloader is None:
            return chunk
        offloaded: list[Upload] = []
        rest: list[Upload] = []
        jobs: list[UploadJob] = []
        for upload in chunk:
            entry = upload.source
            template = self._template_or_none(offloader, entry.key) if entry.size <= MAX_JOB_BYTES else None
            if template is None:
                rest.append(upload)
            else:
                place, key = self._run.files.place(entry.key), self._run.full_key(entry.key)
                offloaded.append(upload)
                jobs.append(UploadJob(place, key, template, *entry[1:]))
        rest += await self._offload(offloader, offloaded, jobs) if jobs else ()
        return rest

    async def cancel_pending_at_stop(self) -> None:
        """Wait until a stop is requested, then have all jobs returned that have not begun."""
        await self._run.stop.wait()
        if self._offloader is not None:
            self._offloader.cancel_pending()

    async def aclose(self) -> None:
        """End the upload processes."""
        self._open_offloader = None
        offloader, self._offloader = self._offloader, None
        if offloader is not None:
            with anyio.CancelScope(shield=True):
                await offloader.aclose()

    async def _open(self, count: int) -> Offloader | None:
        """Return the offloader once enough files have been seen; ``None`` where there is none."""
        self._seen += count
        if self._open_offloader is None or self._seen <= _FILES_BEFORE or not self._proving_etags:
            return self._offloader
        # Taken out first: while it opens, other readers send their files in this process.
        open_offloader, self._open_offloader = self._open_offloader, None
        await self._run.resources.open_store()  # raises where the bucket cannot be reached
        try:
            self._offloader = await open_offloader()
        except Exception:  # noqa: BLE001 - all files can be sent without it
            _LOG.debug("files are not sent by processes of their own", exc_info=True)
        return self._offloader

    def _template_or_none(self, offloader: Offloader, key: str) -> int | None:
        try:
            return self._template_of(offloader, key)
        except Exception:  # noqa: BLE001 - the upload in this process reports what is wrong with this file
            return None

    def _template_of(self, offloader: Offloader, key: str) -> int | None:
        """Return the number of the key's header template; ``None`` where this process must send the file."""
        headers = self._headers
        if self._run.policy.encoding(key) or key in headers.overrides:
            return None
        if self._run.resources.inspect is not None and self._run.resources.inspected(key):
            return None  # an upload process does not inspect images
        md5_name = META_MD5 if self._run.writes_md5 else ""
        same = (headers.type_of(key), headers.digest_of(key), md5_name)
        if same not in self._templates:
            options = headers.for_upload(
                SourceEntry(key, 0, 0, 0, 0), stored_md5=_MD5_PLACEHOLDER if md5_name else ""
            )
            utf8 = headers.detects_charset(key)
            self._templates[same] = offloader.header_template(
                options, META_MTIME, md5_name=md5_name, utf8=utf8
            )
        return self._templates[same]

    async def _offload(
        self, offloader: Offloader, uploads: list[Upload], jobs: list[UploadJob]
    ) -> list[Upload]:
        """Pass files on; return those that were not sent, also where the offloader itself fails.

        Each file ends once: a file that was recorded is never sent again, whatever the offloader returns or
        raises.
        """
        reserved = sum(job.size for job in jobs)
        left = dict(enumerate(uploads))

        def on_stored(position: int, result: UploadResult) -> None:
            if (upload := left.pop(position, None)) is not None:
                try:
                    self._record(upload, result)
                except Exception as error:  # noqa: BLE001 - Run.item, spelled out: this is once for every file
                    self._run.recorder.add(self._run.outcome_of_error(upload.source.key, "upload", error))

        await self._run.resources.memory.acquire(reserved)
        try:
            await offloader.upload(jobs, on_stored)
        except Exception:  # noqa: BLE001 - this process sends the rest, and reports what is wrong with a file
            _LOG.debug("%d files come back from a process of their own", len(left), exc_info=True)
        finally:
            self._run.resources.memory.release(reserved)
        rest = [*left.values()]
        left.clear()  # a late result is ignored from now on: this process sends these files
        return rest

    def _record(self, upload: Upload, stored: UploadResult) -> None:
        run, entry = self._run, upload.source
        result = stored.result
        run.stored(result.encryption)
        if run.events is not events.discard:
            run.events(events.BytesSent(entry.key, entry.size))
        settled = is_settled(entry, stored.started_ns, by_mtime=run.by_mtime)
        asked = self._headers.digest_of(entry.key)
        row = run.row(
            entry,
            stored.md5.hex(),
            result.etag,
            settled=settled,
            headers=asked,
            sha256=stored.sha256,
        )
        content_type = self._headers.type_of(entry.key)
        run.recorder.add(Uploaded(row, entry.size, upload.reason, content_type, result.encryption, None))
