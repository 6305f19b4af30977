"""Silence: detects that a run waits without progress: a stalled network looks like a working one."""

from __future__ import annotations

from collections import Counter

from aios3sync._typing import Final
from aios3sync.progress import Progress

__all__ = ("Silence",)

_NOTICED_S: Final = 5.0
"""Seconds of silence that are said: a large request on a slow line may take this long."""


_UNANSWERED: Final = frozenset({"NoConnection", "ConnectionLost", "Timeout"})


class Silence:
    """Measures how long there was no progress.

    Args:
        now: seconds, of a clock that never goes back.
    """

    def __init__(self, now: float) -> None:
        self._since = now
        self._seen: tuple[int, ...] = ()
        self._codes: Counter[str] = Counter()

    def text(self, progress: Progress, now: float) -> str:
        """Return what the run waits for, and for how long; empty if it is not long."""
        # A request that is sent again moves nothing.
        seen: tuple[int, ...]
        seen = (progress.ended, progress.moved, progress.scanned, progress.kept, progress.failed)
        seen += (progress.planned, progress.adopted, progress.touched, progress.skipped)
        if seen != self._seen:
            self._seen, self._since, self._codes = seen, now, progress.retry_codes.copy()
        seconds = now - self._since
        working = progress.phase or progress.scanned
        if seconds < _NOTICED_S or not working or progress.report is not None:
            return ""
        return f"{_reason(progress, progress.retry_codes - self._codes)} for {int(seconds)} s"


def _reason(progress: Progress, codes: Counter[str]) -> str:
    """Return what the run waits for: responses, if requests must be in flight.

    Args:
        progress: the counters.
        codes: error codes of the requests that were sent again meanwhile.
    """
    errors = f" ({', '.join(sorted(codes))})" if codes else ""
    if codes and not codes.keys() <= _UNANSWERED:
        return f"nothing succeeds{errors}"
    waiting = codes or progress.planned > progress.ended + progress.failed
    return f"no answer{errors}" if waiting else "no progress"
