"""Pending: decides when changes are due: once they are stable, at the latest after a while. Pure.

A file is due when nothing has happened to it for a while, so that one that is being written is not sent
half; one that never comes to rest, such as a log, is due after ``patience`` all the same. What cannot be
told file by file is settled by a run over all of the source: what was removed or renamed, directories, lost
events, and runs that failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aios3sync._namedtuple import NamedTuple

__all__ = ("Batch", "Pending", "WatchTimes")

_PATIENCE: Final = 30
"""How many times the stable time a file is waited for that does not come to rest."""
_SHARE: Final = 10
"""Runs over all of the source take at most one part in so many of the time."""
_MOST_BACKOFF_S: Final = 60.0


class WatchTimes(NamedTuple):
    """Times in seconds.

    Attributes:
        stable: nothing has happened to a file for so long before it is sent.
        every: all of the source is compared at least so often.
    """

    stable: float = 1.0
    every: float = 600.0


class Batch(NamedTuple):
    """What is due: all of the source, or the files ``paths``."""

    everything: bool
    paths: tuple[str, ...] = ()


class Pending:
    """The changes that were seen and not synced yet.

    Args:
        times: how long to wait.
        now: the time, of a clock that never goes back.
        most: more changed files than this are settled by a run over all of the source.
    """

    def __init__(self, times: WatchTimes, now: float, most: int = 5000) -> None:
        self._times = times
        self._most = most
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._rescan_since: float | None = now
        self._rescan_last = float("-inf")
        self._not_before = float("-inf")
        self._failures = 0
        self._full_ended = float("-inf")
        self._full_took = 0.0

    def __len__(self) -> int:
        """Return how many changed files wait."""
        return len(self._first)

    @property
    def rescans(self) -> bool:
        """Whether a run over all of the source is wanted."""
        return self._rescan_since is not None

    def note(self, paths: Iterable[str], now: float) -> None:
        """Take files that were added or changed."""
        for path in paths:
            self._first.setdefault(path, now)
            self._last[path] = now
        if len(self._first) > self._most:
            self.note_rescan(now)

    def note_rescan(self, now: float) -> None:
        """Take a change that only a run over all of the source can settle."""
        if self._rescan_since is None:
            self._rescan_since = now
        self._rescan_last = now

    def due(self, now: float) -> Batch | None:
        """Take out what is due now; ``None`` where nothing is."""
        if now < self._not_before:
            return None
        if self._rescan_is_due(now):
            self._first.clear()
            self._last.clear()
            self._rescan_since = None
            return Batch(everything=True)
        paths = tuple(path for path in self._first if self._is_due(path, now))
        for path in paths:
            del self._first[path], self._last[path]
        return Batch(everything=False, paths=paths) if paths else None

    def _is_due(self, path: str, now: float) -> bool:
        stable = self._times.stable
        return now - self._last[path] >= stable or now - self._first[path] >= stable * _PATIENCE

    def _rescan_is_due(self, now: float) -> bool:
        if now - self._full_ended >= self._times.every:
            return True
        since = self._rescan_since
        if since is None or now - self._full_ended < self._full_took * _SHARE:
            return False
        stable = self._times.stable
        return now - self._rescan_last >= stable or now - since >= stable * _PATIENCE

    def done(self, batch: Batch, began: float, now: float) -> None:
        """Take the end of a run that did what it could."""
        self._failures = 0
        if batch.everything:
            self._full_ended, self._full_took = now, now - began

    def failed(self, now: float) -> float:
        """Take the end of a run that failed: all is compared again. Return the seconds until then."""
        backoff = min(2.0**self._failures, _MOST_BACKOFF_S)
        self._failures += 1
        self._not_before = now + backoff
        self.note_rescan(now)
        self._full_took = 0.0
        return backoff
