"""What a run has done so far, folded from its events; it prints nothing and asks no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aios3sync.events import (
    BytesSent,
    Decided,
    Event,
    Failed,
    ObjectDeleted,
    ObjectUpdated,
    ObjectUploaded,
    PhaseBegan,
    Planned,
    Scanned,
    Warned,
)
from aios3sync.report import Failure

__all__ = ("Progress", "Rates")

_WINDOW_S: Final = 8.0
"""Seconds over which speeds are measured: shorter jumps, longer lags."""
_SETTLED_S: Final = 3.0
"""Seconds of measuring before the rest is foretold: the first files say little about the others."""
_HORIZON_S: Final = 100 * 3600.0
"""Seconds beyond which a forecast is no news."""


class Rates(NamedTuple):
    """Speeds of the last seconds, and the seconds that the known rest will take (``None``: unknown)."""

    files: float
    bytes: float
    scanned: float
    eta: float | None


class _Sample(NamedTuple):
    at: float
    ended: int
    sent: int
    scanned: int


@dataclass(slots=True)
class Progress:
    """Counters of one run.

    Attributes:
        phase: see :class:`~aios3sync.events.PhaseBegan`.
        scanned, scanned_size: files and bytes seen in the source.
        kept: keys that need nothing.
        uploads, upload_size: planned uploads and their bytes, as far as they are known.
        uploaded, sent: what arrived of them.
        deletes, deleted: planned deletes, and those done.
        updates, updated: objects that are to get other headers, and those that have them.
        failed: keys that failed.
        failures: the last of them.
    """

    phase: str = ""
    scanned: int = 0
    scanned_size: int = 0
    kept: int = 0
    uploads: int = 0
    upload_size: int = 0
    uploaded: int = 0
    sent: int = 0
    deletes: int = 0
    deleted: int = 0
    updates: int = 0
    updated: int = 0
    failed: int = 0
    warned: int = 0
    failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=20))
    _samples: deque[_Sample] = field(default_factory=deque)

    def take(self, event: Event) -> None:
        """Count one event."""
        # Of the first three there may be millions, and a pattern takes three times as long.
        if type(event) is BytesSent:
            self.sent += event.size
        elif type(event) is ObjectUploaded:
            self.uploaded += 1
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
            case Planned(uploads, size, deletes, updates):
                self.uploads += uploads
                self.upload_size += size
                self.deletes += deletes
                self.updates += updates
            case ObjectUpdated():
                self.updated += 1
            case Failed(failure):
                self.failed += 1
                self.failures.append(failure)
            case PhaseBegan(phase):
                self.phase = phase
            case Warned():
                self.warned += 1
            case _:
                pass

    @property
    def ended(self) -> int:
        """Uploads, updates and deletes done."""
        return self.uploaded + self.updated + self.deleted

    @property
    def planned(self) -> int:
        """Uploads, updates and deletes known to be wanted."""
        return self.uploads + self.updates + self.deletes

    def totals(self) -> dict[str, Any]:
        """Running totals, as machines read them."""
        return {
            "done": self.ended,
            "total": self.planned,
            "bytes_done": self.sent,
            "bytes_total": self.upload_size,
            "failed": self.failed,
        }

    def sample(self, now: float) -> None:
        """Remember where the run is at ``now`` (seconds); call it a few times a second."""
        samples = self._samples
        samples.append(_Sample(now, self.ended, self.sent, self.scanned))
        while len(samples) > 2 and now - samples[0].at > _WINDOW_S:
            samples.popleft()

    def rates(self) -> Rates:
        """Speeds between the oldest and the newest sample that count."""
        if len(self._samples) < 2:
            return Rates(0.0, 0.0, 0.0, None)
        first, last = self._samples[0], self._samples[-1]
        seconds = max(last.at - first.at, 1e-6)
        files = (last.ended - first.ended) / seconds
        sent = (last.sent - first.sent) / seconds
        eta = self._eta(files, sent) if seconds >= _SETTLED_S else None
        return Rates(files, max(sent, 0.0), (last.scanned - first.scanned) / seconds, eta)

    def _eta(self, files: float, sent: float) -> float | None:
        """The slower of the two: many small files are bound by their number, few large ones by bytes."""
        left = max(self.uploads - self.uploaded - self.failed, 0) + max(self.deletes - self.deleted, 0)
        left_bytes = max(self.upload_size - self.sent, 0)
        if not left or (files <= 0 and sent <= 0):
            return None
        by_bytes = left_bytes / sent if sent > 0 else 0.0
        # While one large file is under way no file ends, which says nothing about the rest.
        by_files = left / files if files > 0 and not left_bytes else 0.0
        eta = max(by_bytes, by_files)
        return eta if 0 < eta < _HORIZON_S else None
