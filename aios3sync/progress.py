"""The progress of a run, folded from its events; it prints nothing and reads no clock.

The live view and the event lines of the command line show it, and applications may::

    progress = aios3sync.Progress()
    run = asyncio.create_task(s3.sync("data", "s3://bucket/data", on_event=progress))
    while not run.done():
        await asyncio.sleep(0.5)
        progress.sample(time.monotonic())
        print(progress.totals(), progress.rates().bytes, progress.in_flight)
"""

from __future__ import annotations

from collections import Counter, deque

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Any, Final
from aios3sync.events import (
    BytesReceived,
    BytesSent,
    Decided,
    DownloadBegan,
    Event,
    Failed,
    Finished,
    NodesReported,
    ObjectAdopted,
    ObjectCopied,
    ObjectDeleted,
    ObjectDownloaded,
    ObjectTouched,
    ObjectUpdated,
    ObjectUploaded,
    PhaseBegan,
    Planned,
    RequestsRepeated,
    Scanned,
    Skipped,
    UploadBegan,
    Warned,
)
from aios3sync.report import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("InFlight", "Progress", "Rates")

_COUNTERS: Final = (
    *("scanned", "scanned_size", "kept", "uploads", "upload_size", "uploaded", "sent"),
    *("downloads", "download_size", "downloaded", "received", "copies", "copy_size", "copied", "copied_size"),
    *("deletes", "deleted", "updates", "updated", "adopted", "touched", "skipped", "failed"),
    *("retries", "throttled"),
)

_WINDOW_S: Final = 8.0
"""Seconds over which speeds are measured: shorter jumps, longer lags."""
_SETTLED_S: Final = 3.0
"""Seconds of measuring before there is an estimate: the first files say little about the others."""
_MANY: Final = 20
"""Files whose number, ended within the window, is a speed."""
_ALIKE: Final = 8.0
"""Files whose average sizes differ by more than this factor say nothing about each other."""
_HORIZON_S: Final = 100 * 3600.0
"""Seconds beyond which an estimate is useless."""


class Rates(NamedTuple):
    """Speeds per second over the last seconds, and the seconds that are left.

    Attributes:
        files: transfers, updates and deletes.
        bytes: bytes sent, or received.
        scanned: files or objects found in the source.
        eta: seconds until what is planned so far is done; ``None`` where that is unknown.
    """

    files: float
    bytes: float
    scanned: float
    eta: float | None


@dataclass(slots=True)
class InFlight:
    """A large file or object that is being transferred: its size, and the bytes that were."""

    size: int
    sent: int = 0


class _Sample(NamedTuple):
    at: float
    ended: int
    sent: int
    scanned: int


def _seconds_left(left: int, left_bytes: int, files: float, sent: float, *, many: bool) -> float:
    """Return the larger of two estimates, 0 for none: small files are bound by their number, large by bytes.

    Args:
        left: files that are not done.
        left_bytes: their bytes.
        files: that ended in a second.
        sent: bytes in a second.
        many: so many ended that their number says something; of large files only a few do.
    """
    if not left_bytes or not left:
        return left / files if files > 0 else 0.0
    if sent <= 0:
        return 0.0
    by_bytes = left_bytes / sent
    by_files = left / files if many else 0.0
    if many and by_bytes > _ALIKE * by_files:
        return 0.0  # small files were measured, and large ones are left
    if not many and left >= _MANY and left_bytes / left < sent / max(files, 1.0) / _ALIKE:
        return 0.0  # the other way round
    return max(by_bytes, by_files)


@dataclass(slots=True)
class Progress:
    """Counters of one run. It is an event sink; :meth:`take` does the same.

    Attributes:
        phase: see :class:`~aios3sync.events.PhaseBegan`.
        scanned, scanned_size: files or objects found in the source, and their bytes.
        kept: keys that need nothing.
        uploads, upload_size: planned uploads and their bytes, as far as they are known.
        uploaded, sent: files that arrived, and bytes that were sent, those of unfinished uploads included.
        downloads, download_size, downloaded, received: the same of a download.
        copies, copy_size, copied, copied_size: the same of a copy between buckets; the bytes are those of
            whole objects.
        deletes, deleted: planned deletes, and those done.
        updates, updated: planned changes of headers, and those done.
        adopted, touched, skipped: see the events of these names.
        failed: keys that failed.
        failures: the last 20 of them.
        warned: how many warnings there were.
        nodes: machines, or processes, that work on the run; 0 where this process does it all.
        retries, throttled: requests that were sent again, and those of them that the endpoint had throttled.
        retry_codes: how many of them came after each error code.
        in_flight: large files that are being transferred, by key, the earliest first.
        report: of the run, once it has ended without an error; ``None`` before.
        error: the exception that ended the run, or ``None``.
    """

    phase: str = ""
    scanned: int = 0
    scanned_size: int = 0
    kept: int = 0
    uploads: int = 0
    upload_size: int = 0
    uploaded: int = 0
    sent: int = 0
    downloads: int = 0
    download_size: int = 0
    downloaded: int = 0
    received: int = 0
    copies: int = 0
    copy_size: int = 0
    copied: int = 0
    copied_size: int = 0
    deletes: int = 0
    deleted: int = 0
    updates: int = 0
    updated: int = 0
    adopted: int = 0
    touched: int = 0
    skipped: int = 0
    failed: int = 0
    warned: int = 0
    nodes: int = 0
    retries: int = 0
    throttled: int = 0
    retry_codes: Counter[str] = field(default_factory=Counter)
    failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=20))
    in_flight: dict[str, InFlight] = field(default_factory=dict)
    report: Any = None
    error: BaseException | None = None
    _found_failed: int = 0
    _samples: deque[_Sample] = field(default_factory=deque)

    def __call__(self, event: Event, /) -> None:
        """Count one event."""
        self.take(event)

    def take(self, event: Event) -> None:
        """Count one event."""
        # There may be millions of these, and a match statement takes three times as long.
        if type(event) is BytesSent:
            self.sent += event.size
            if self.in_flight and (file := self.in_flight.get(event.key)):
                file.sent += event.size
        elif type(event) is ObjectUploaded:
            self.uploaded += 1
            if self.in_flight:
                self.in_flight.pop(event.key, None)
        elif type(event) is BytesReceived:
            self.received += event.size
            if self.in_flight and (file := self.in_flight.get(event.key)):
                file.sent += event.size
        elif type(event) is ObjectDownloaded:
            self.downloaded += 1
            if self.in_flight:
                self.in_flight.pop(event.key, None)
        elif type(event) is ObjectDeleted:
            self.deleted += 1
        else:
            self._take_rare(event)

    def _take_rare(self, event: Event) -> None:
        match event:
            case Scanned(files, size):
                self.scanned += files
                self.scanned_size += size
            case Decided(kept):
                self.kept += kept
            case Planned():
                self._plan(event)
            case ObjectUpdated():
                self.updated += 1
            case ObjectCopied(key, size):
                self.copied += 1
                self.copied_size += size
                self.in_flight.pop(key, None)
            case UploadBegan(key, size) | DownloadBegan(key, size):
                self.in_flight[key] = InFlight(size)
            case RequestsRepeated(retries, throttled, codes):
                self.retries += retries
                self.throttled += throttled
                self.retry_codes.update(codes)
            case PhaseBegan(phase):
                self._begin(phase)
            case NodesReported(nodes, counts):
                self.nodes = nodes
                self.add(counts)
            case Failed() | Finished():
                self._take_end(event)
            case _:
                self._take_finding(event)

    def counts(self) -> dict[str, int]:
        """Return the counters that machines add up, by their names."""
        return {name: getattr(self, name) for name in _COUNTERS}

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to some of these counters."""
        for name in _COUNTERS:
            if name in counts:
                setattr(self, name, getattr(self, name) + counts[name])

    def _plan(self, event: Planned) -> None:
        self.deletes += event.deletes
        self.updates += event.updates
        if event.downloads:
            self.downloads += event.downloads
            self.download_size += event.size
        elif event.copies:
            self.copies += event.copies
            self.copy_size += event.size
        else:
            self.uploads += event.uploads
            self.upload_size += event.size

    def _take_finding(self, event: Event) -> None:
        match event:
            case ObjectAdopted():
                self.adopted += 1
            case ObjectTouched():
                self.touched += 1
            case Skipped():
                self.skipped += 1
            case Warned():
                self.warned += 1
            case _:
                pass

    def _take_end(self, event: Failed | Finished) -> None:
        """Count a key that failed, or take the end of the run."""
        if isinstance(event, Finished):
            self.report = event.report
            self.in_flight.clear()
        elif event.error is not None:
            self.error = event.error
            self.in_flight.clear()
        else:
            self.failed += 1
            self._found_failed += event.failure.stage == "scan"
            self.failures.append(event.failure)
            self.in_flight.pop(event.failure.key, None)

    def _begin(self, phase: str) -> None:
        if phase == "compare":  # perhaps for the second time: the comparison counts from 0 again
            self.scanned = self.scanned_size = self.kept = self.skipped = 0
            self.failed -= self._found_failed
            self._found_failed = 0
        self.phase = phase

    @property
    def transfers(self) -> int:
        """Uploads, downloads and copies that are planned so far; one run has one of these."""
        return self.uploads + self.downloads + self.copies

    @property
    def transferred(self) -> int:
        """Those of them that are done."""
        return self.uploaded + self.downloaded + self.copied

    @property
    def transfer_size(self) -> int:
        """The bytes of all of them, as far as they are known."""
        return self.upload_size + self.download_size + self.copy_size

    @property
    def moved(self) -> int:
        """Bytes that were sent, received or copied by the server."""
        return self.sent + self.received + self.copied_size

    @property
    def ended(self) -> int:
        """Transfers, updates and deletes done."""
        return self.transferred + self.updated + self.deleted

    @property
    def planned(self) -> int:
        """Transfers, updates and deletes that are planned so far."""
        return self.transfers + self.updates + self.deletes

    def totals(self) -> dict[str, Any]:
        """Return running totals under the names of the event lines (``--events``)."""
        return {
            "done": self.ended,
            "total": self.planned,
            "bytes_done": self.moved,
            "bytes_total": self.transfer_size,
            "failed": self.failed,
        }

    def sample(self, now: float) -> None:
        """Record the counters at the time ``now`` (seconds); call it a few times a second."""
        samples = self._samples
        samples.append(_Sample(now, self.ended, self.moved, self.scanned))
        while len(samples) > 2 and now - samples[0].at > _WINDOW_S:
            samples.popleft()

    def rates(self) -> Rates:
        """Return the speeds between the oldest and the newest sample of the window."""
        if len(self._samples) < 2:
            return Rates(0.0, 0.0, 0.0, None)
        first, last = self._samples[0], self._samples[-1]
        seconds = max(last.at - first.at, 1e-6)
        files = (last.ended - first.ended) / seconds
        sent = (last.sent - first.sent) / seconds
        eta = self._eta(files, sent, seconds) if seconds >= _SETTLED_S else None
        return Rates(files, max(sent, 0.0), (last.scanned - first.scanned) / seconds, eta)

    def _eta(self, files: float, sent: float, seconds: float) -> float | None:
        """Return an estimate, as far as what is left is like what was measured."""
        left = max(self.transfers - self.transferred - self.failed, 0)
        left += max(self.deletes - self.deleted, 0) + max(self.updates - self.updated, 0)
        left_bytes = max(self.transfer_size - self.moved, 0)
        eta = _seconds_left(left, left_bytes, files, sent, many=files * seconds >= _MANY)
        return eta if 0 < eta < _HORIZON_S else None
