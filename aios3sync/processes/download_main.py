"""The program of a download process: fetches objects, verifies them by their ETags, and writes files.

Files are written in batches. An object is written only if the MD5 of its bytes is the ETag that was
requested; everything else is left to the session.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from typing import Any, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import SourceEntry
from aios3sync.local.write import MOST_AT_ONCE, NO_ROOM, NewFile, TreeWriter, Written
from aios3sync.processes.connection import WorkerConnection, refusal_code, status_of
from aios3sync.processes.download_response import parse_fetched
from aios3sync.processes.job_process import JobProcess, SentJob, serve
from aios3sync.processes.messages import CANCELLED, DISK_FULL, UNSENT
from aios3sync.processes.protocol import DownloadJob, DownloadTree
from aios3sync.store.wire.requests import MAX_OBJECT, HeaderTemplate, HttpRequest, object_path
from aios3sync.store.wire.sigv4 import EMPTY_SHA256, moment

__all__ = ("DownloadProcess", "main")

_BATCH: Final = 64
"""Number of files that are written without waiting for more."""
_LATENCY: Final = 0.01
"""Seconds that an object may wait for others, to be written with them."""
_HEADERS: Final = HeaderTemplate({}, ("if-match", "x-amz-content-sha256"))


class _Arrived(NamedTuple):
    """An object that was verified, and waits for its file to be written.

    Attributes:
        number, file: of its job.
        encryption: of the object.
        at: when it arrived, on the monotonic clock.
        seconds: duration of its request.
    """

    number: int
    file: NewFile
    encryption: str
    at: float
    seconds: float


class DownloadProcess(JobProcess):
    """Fetches the objects of jobs until its input is closed; see :class:`JobProcess`."""

    def __init__(self, input_pipe: int, output_pipe: int) -> None:
        super().__init__(input_pipe, output_pipe)
        self._writer: TreeWriter | None = None
        self._arrived: list[_Arrived] = []

    def _set_up(self, rest: list[Any]) -> None:
        """Open the directory; if another one has replaced it, every job is returned."""
        tree = DownloadTree(*rest)
        writer = TreeWriter(tree.root, fsync=tree.fsync)
        try:
            writer.open()
        except OSError:
            return
        if writer.identity() == (tree.device, tree.inode):
            self._writer = writer

    def _send(self, connection: WorkerConnection, number: int, job: Any) -> None:
        job = DownloadJob._make(job)
        try:
            head = self._head(job)
        except Exception:  # noqa: BLE001 - the session reports what is wrong with this object
            head = b""
        if not head or self._writer is None:
            self._idle.append(connection)
            self._results.append((number, UNSENT, "the request cannot be written", 0.0))
            return
        self._request(connection, SentJob(number, job), head)

    def _head(self, job: DownloadJob) -> bytes:
        """Return the signed request head of a job."""
        values, path = (job.etag, EMPTY_SHA256), object_path(job.full_key)
        request = HttpRequest(
            "GetObject", job.full_key, "GET", path, "", _HEADERS, values, EMPTY_SHA256, b"", True, MAX_OBJECT
        )
        return self._route.heads.head(request, moment(int(time.time() + self._skew)))

    def _read(self, connection: WorkerConnection) -> bytes:
        sent = connection.in_flight
        return connection.read_with_body(sent.job.size if isinstance(sent, SentJob) else 0)

    def _on_response(self, sent: SentJob, response: bytes, seconds: float) -> bool:
        job: DownloadJob = sent.job
        fetched = parse_fetched(response, job.size, job.etag)
        if fetched is None:
            self._results.append((sent.number, status_of(response), refusal_code(response), seconds))
            return False
        replaces = None if job.replaces is None else SourceEntry(job.key, *job.replaces)
        file = NewFile(job.key, fetched.body, fetched.mtime_ns, replaces)
        self._arrived.append(_Arrived(sent.number, file, fetched.encryption, time.monotonic(), seconds))
        return fetched.reusable

    def _written(self, writer: TreeWriter, files: list[NewFile]) -> Sequence[Written]:
        try:
            return writer.write_many(files)
        except Exception as error:  # noqa: BLE001 - the session reports what is wrong with which file
            return [error] * len(files)

    def _has_waiting(self) -> bool:
        return bool(self._arrived) or super()._has_waiting()

    def _flush_results(self) -> None:
        self._write_arrived()
        super()._flush_results()

    def _write_arrived(self) -> None:
        """Write files: many at once, or all there are if no more are in flight or some have waited."""
        while self._arrived:
            is_last = len(self._connections) == len(self._idle)
            is_late = time.monotonic() - self._arrived[0].at >= _LATENCY
            if not (len(self._arrived) >= _BATCH or is_last or is_late):
                break
            batch, self._arrived = self._arrived[:MOST_AT_ONCE], self._arrived[MOST_AT_ONCE:]
            if self._writer is None:  # the disk was full before these
                self._results.extend((each.number, 200, DISK_FULL, each.seconds) for each in batch)
            else:
                self._write(self._writer, batch)

    def _write(self, writer: TreeWriter, arrived: list[_Arrived]) -> None:
        started_ns = time.time_ns()
        began, waits = time.monotonic(), _waits()
        written = self._written(writer, [each.file for each in arrived])
        # On a busy machine time passes as well; only what the process waited for is the storage's.
        self._note_storage(time.monotonic() - began if _waits() > waits else 0.0, len(arrived))
        for each, now in zip(arrived, written, strict=True):
            if isinstance(now, OSError) and now.errno in NO_ROOM:
                self._results.append((each.number, 200, DISK_FULL, each.seconds))
                self._writer = None  # no more is asked for
                self._return_pending(CANCELLED)
            elif isinstance(now, Exception):
                self._results.append((each.number, 200, "the file cannot be written", each.seconds))
            else:
                self._results.append((each.number, each.encryption, started_ns, *now[2:], each.seconds))


def _waits() -> int:
    """Return how often this process has had to wait, such as for a disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def main() -> None:
    """Serve standard input until it is closed."""
    serve(DownloadProcess)
