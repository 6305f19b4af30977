"""Pending: decides when changes are due: once they are stable, at the latest after a while. Pure.

A file is due when nothing has happened to it for a while, so that a file is not sent while it is written; a
file that never comes to rest, such as a log, is due after ``patience`` nevertheless. Other changes need a run
over all of the source: removals and renames, directories, lost events, and failed runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aios3sync._namedtuple import NamedTuple

__all__ = ("Batch", "Pending", "WatchTimes")

_PATIENCE: Final = 30
"""How many times the stable time to wait for a file that does not come to rest."""
_SHARE: Final = 10
"""Runs over all of the source take at most this fraction (one part in ten) of the time."""
_MOST_BACKOFF_S: Final = 60.0


class WatchTimes(NamedTuple):
    """Times in seconds.

    Attributes:
        stable: time without a change of a file before it is sent.
        every: longest time between two comparisons of all of the source.
    """

    stable: float = 1.0
    every: float = 600.0


class Batch(NamedTuple):
    """The due work: all of the source, or the files ``paths``."""

    everything: bool
    paths: tuple[str, ...] = ()


class Pending:
    """The changes that were seen but not synced yet.

    Args:
        times: how long to wait.
        now: the time, of a clock that never goes back.
        most: with more changed files than this, all of the source is compared.
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
        """Return the number of waiting files."""
        return len(self._first)

    @property
    def rescans(self) -> bool:
        """Whether a run over all of the source is needed."""
        return self._rescan_since is not None

    def note(self, paths: Iterable[str], now: float) -> None:
        """Note files that were added or changed."""
        for path in paths:
            self._first.setdefault(path, now)
            self._last[path] = now
        if len(self._first) > self._most:
            self.note_rescan(now)

    def note_rescan(self, now: float) -> None:
        """Note a change that needs a run over all of the source."""
        if self._rescan_since is None:
            self._rescan_since = now
        self._rescan_last = now

    def due(self, now: float) -> Batch | None:
        """Return and remove the due work; ``None`` where there is none."""
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
        """Note the end of a successful run."""
        self._failures = 0
        if batch.everything:
            self._full_ended, self._full_took = now, now - began

    def failed(self, now: float) -> float:
        """Note a failed run, after which everything is compared again; return the seconds until then."""
        backoff = min(2.0**self._failures, _MOST_BACKOFF_S)
        self._failures += 1
        self._not_before = now + backoff
        self.note_rescan(now)
        self._full_took = 0.0
        return backoff
