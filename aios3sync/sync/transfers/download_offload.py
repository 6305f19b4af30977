"""Has download processes fetch and write small objects, and records them; returns the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync.core.actions import Download
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import Proof, proof
from aios3sync.processes.protocol import MAX_JOB_BYTES, Downloader, DownloadJob, DownloadResult, DownloadTree
from aios3sync.sync.archives import is_archived
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.fetched import downloaded, outcome_of_failure

__all__ = ("SmallObjectOffload",)

_LOG: Final = logging.getLogger(__name__)
_OBJECTS_BEFORE: Final = 512
"""Objects that this process fetches first: for fewer it is not worth starting a process."""


class SmallObjectOffload:
    """Decides which objects of one run are fetched by download processes, and passes them on."""

    def __init__(self, run: Run, end: Callable[[events.Outcome], None]) -> None:
        self._run = run
        self._end = end
        self._seen = 0
        self._open_downloader = run.resources.open_downloader
        self._downloader: Downloader | None = None
        self._opening = anyio.Lock()
        self._is_possible = self._open_downloader is not None

    @property
    def is_worth_it(self) -> bool:
        """Whether objects are passed to processes from now on."""
        return self._is_possible and self._seen > _OBJECTS_BEFORE

    def note(self, count: int) -> None:
        """Count objects that are to be fetched."""
        self._seen += count

    async def fetch(self, chunk: Sequence[Download]) -> list[Download]:
        """Fetch and record those objects that download processes can fetch; return the others.

        Each object ends once: one that was recorded is never fetched again, whatever the downloader returns
        or raises.
        """
        downloader = await self._open()
        if downloader is None or self._run.sends_no_more:
            return [*chunk]
        jobs, left, rest = self._jobs(chunk)

        def on_written(position: int, result: DownloadResult) -> None:
            if (download := left.pop(position, None)) is not None:
                self._record(download, result)

        reserved = sum(job.size for job in jobs)
        await self._run.resources.memory.acquire(reserved)
        try:
            await downloader.download(jobs, on_written)
        except OSError as error:
            self._end_failed(left, error)
        except Exception:  # noqa: BLE001 - this process fetches the rest, and reports what is wrong with it
            _LOG.debug("%d objects come back from a process of their own", len(left), exc_info=True)
        finally:
            self._run.resources.memory.release(reserved)
        returned = [*left.values()]
        left.clear()  # a late result is ignored from now on: this process fetches these objects
        return rest + (await self._unwritten(returned) if returned else [])

    def _end_failed(self, left: dict[int, Download], error: OSError) -> None:
        """Record the failure of an object whose file could not be written; a full disk ends all downloads."""
        for position, download in [*left.items()]:
            if download.source.key == error.filename:
                del left[position]
                self._end(outcome_of_failure(self._run, download.source, error))

    async def cancel_pending_at_stop(self) -> None:
        """Wait until a stop is requested, then have all jobs returned that have not begun."""
        await self._run.stop.wait()
        if self._downloader is not None:
            self._downloader.cancel_pending()

    async def aclose(self) -> None:
        """End the download processes."""
        self._open_downloader = None
        downloader, self._downloader = self._downloader, None
        if downloader is not None:
            with anyio.CancelScope(shield=True):
                await downloader.aclose()

    async def _open(self) -> Downloader | None:
        async with self._opening:  # what was queued before keeps this process busy meanwhile
            open_downloader, self._open_downloader = self._open_downloader, None
            if open_downloader is None:
                return self._downloader
            await self._run.resources.open_store()  # raises where the bucket cannot be reached
            try:
                writer = self._run.writer
                identity = await to_thread.run_sync(writer.identity)
                self._downloader = await open_downloader(DownloadTree(writer.root, *identity, writer.fsync))
            except Exception:  # noqa: BLE001 - all objects can be fetched without it
                _LOG.debug("objects are not fetched by processes of their own", exc_info=True)
            self._is_possible = self._downloader is not None
            return self._downloader

    def _jobs(
        self, chunk: Sequence[Download]
    ) -> tuple[list[DownloadJob], dict[int, Download], list[Download]]:
        """Return the jobs of a batch, their downloads by position, and the downloads that cannot be jobs."""
        jobs: list[DownloadJob] = []
        downloads: dict[int, Download] = {}
        rest: list[Download] = []
        opaque, full_key = self._run.settling_policy.opaque_etags, self._run.full_key
        for download in chunk:
            source, file = download.source, download.replaces
            is_plain = not (download.md5 or source.version_id) and source.size <= MAX_JOB_BYTES
            if not is_plain or is_archived(source) or proof(source.etag, opaque=opaque) is not Proof.MD5:
                rest.append(download)
                continue
            replaces = None if file is None else (file.size, file.mtime_ns, file.ctime_ns, file.inode)
            downloads[len(jobs)] = download
            jobs.append(DownloadJob(full_key(source.key), source.key, source.size, source.etag, replaces))
        return jobs, downloads, rest

    def _record(self, download: Download, result: DownloadResult) -> None:
        run, source = self._run, download.source
        run.stored(result.encryption)
        if run.events is not events.discard:
            run.events(events.BytesReceived(source.key, source.size))
        started, etag = result.started_ns, source.etag
        self._end(downloaded(run, download, result.written, etag, etag, source.size, started))

    async def _unwritten(self, returned: list[Download]) -> list[Download]:
        """Record the files that a process has written and could not report; return the other downloads.

        A process that was killed may have completed some files. Without this check they would look like files
        of others, which are in the way.
        """
        files = await to_thread.run_sync(self._written, returned)
        for download, file in zip(returned, files, strict=True):
            if file is not None:
                source = download.source
                self._end(downloaded(self._run, download, file, source.etag, source.etag, source.size, 0))
        return [download for download, file in zip(returned, files, strict=True) if file is None]

    def _written(self, returned: list[Download]) -> list[SourceEntry | None]:
        """Return the new file of each download whose bytes are right. Blocks."""
        found = []
        for download in returned:
            source = download.source
            file = self._run.writer.find(source.key, source.size, source.etag)
            found.append(None if file == download.replaces else file)
        return found
