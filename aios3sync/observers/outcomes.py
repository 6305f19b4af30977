"""The outcome of a run in one word, and the counts of its report, the same for every observer. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from aios3sync.report import STATES

__all__ = ("LATENCY_BOUNDS", "error_name", "outcome_of", "transferred_bytes", "transferred_files")

LATENCY_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; the upper bounds of the buckets of request durations."""

_BYTES: Final = ("uploaded", "downloaded", "copied", "archived")
_OUTCOMES: Final = {0: "success", 3: "partial", 4: "refused", 6: "different"}
_SIGNALLED: Final = 128


def outcome_of(report: Any, error: BaseException | None) -> str:
    """Return ``success``, ``partial``, ``refused``, ``different``, ``interrupted`` or ``failed``."""
    if error is not None:
        return "interrupted" if isinstance(error, asyncio.CancelledError | KeyboardInterrupt) else "failed"
    code: int = report.exit_code
    return "interrupted" if code >= _SIGNALLED else _OUTCOMES.get(code, "failed")


def error_name(request_status: int, cause: str) -> str:
    """Return why a request failed: its status or its cause; empty for one that succeeded."""
    if cause:
        return cause
    return str(request_status) if request_status >= 400 else ""


def transferred_files(report: Any) -> Iterator[tuple[str, int]]:
    """Yield the final states of the planned items of a sync, with their counts; nothing for a dry run."""
    if not getattr(report, "dry_run", True):
        for state in STATES:
            if number := getattr(report, state):
                yield state, number


def transferred_bytes(report: Any) -> Iterator[tuple[str, int]]:
    """Yield the states that have bytes, with their bytes; nothing for a dry run."""
    if not getattr(report, "dry_run", True):
        for state in _BYTES:
            if number := getattr(report, f"{state}_bytes"):
                yield state, number
