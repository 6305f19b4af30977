"""Plain lines, one for each thing that was done: for pipes, log files and dumb terminals."""

from __future__ import annotations

import time
from typing import Any, Final

from aios3sync.cli.failure import tell
from aios3sync.cli.printing import Lines, count, printable, size_text
from aios3sync.cli.progress import Progress
from aios3sync.cli.summary import Conclusion, failure_line
from aios3sync.cli.views import Conclude, Output
from aios3sync.events import BytesSent, Event, Failed, ObjectDeleted, ObjectUpdated, ObjectUploaded, Warned

__all__ = ("PlainView", "event_line", "print_conclusion")

_FLUSH_S: Final = 0.3
_PROGRESS_S: Final = 15.0
"""Seconds between two progress lines on standard error."""


def event_line(event: Event, *, dry_run: bool = False) -> str:
    """The line for an event, or an empty one where it has none."""
    if type(event) is BytesSent:
        return ""
    match event:
        case ObjectUploaded(key, _, _, reason):
            return f"{'(dry run) would upload' if dry_run else 'upload'}: {printable(key)} ({reason})"
        case ObjectUpdated(key):
            return f"{'(dry run) would update' if dry_run else 'update'}: {printable(key)} (headers)"
        case ObjectDeleted(key):
            return f"{'(dry run) would delete' if dry_run else 'delete'}: {printable(key)}"
        case Failed(failure):
            return failure_line(failure)
        case _:
            return ""


def print_conclusion(
    out: Lines, err: Lines, conclusion: Conclusion, *, told: int = 0, warned: set[str], limit: int = 0
) -> None:
    """Print the last words of a run.

    Args:
        out: standard output.
        err: standard error.
        conclusion: what to say.
        told: failures told already; where that is all of them, none is repeated.
        warned: warnings told already.
        limit: failures that are told at most, 0 for all.
    """
    for line in conclusion.tables:
        out.styled(line)
    for line in conclusion.differences:
        out.line(line)
    out.line(conclusion.summary)
    for line in conclusion.also:
        out.line(line)
    if conclusion.details:
        out.line(conclusion.details)
    failures = conclusion.failures if told < len(conclusion.failures) else ()
    for failure in failures[: limit or None]:
        out.line(failure_line(failure))
    if limit and len(failures) > limit:
        out.line(f"... and {count(len(failures) - limit, 'more failure')} (--json lists them)")
    out.flush()
    for warning in conclusion.warnings:
        if warning not in warned:
            err.line(f"warning: {printable(warning)}")
    if conclusion.more:
        err.line(conclusion.more)
    if conclusion.refused:
        err.line(f"refused: {printable(conclusion.refused)}")
    err.flush()
    if conclusion.note:
        out.line(conclusion.note)
    out.flush()


class PlainView:
    """See :class:`~aios3sync.cli.views.View`. With ``--quiet`` only errors are told, on standard error."""

    def __init__(
        self, out: Lines, err: Lines, conclude: Conclude, output: Output, *, dry_run: bool = False
    ) -> None:
        self._out = out
        self._err = err
        self._conclude = conclude
        self._output = output
        self._dry_run = dry_run
        self._progress = Progress()
        self._warned: set[str] = set()
        self._flushed = self._progressed = time.monotonic()

    def __call__(self, event: Event, /) -> None:
        """Print the event's line."""
        self._progress.take(event)
        if type(event) is Warned:
            self._warn(event.message)
        elif self._output.quiet:
            if isinstance(event, Failed):
                self._err.line(event_line(event))
        elif line := event_line(event, dry_run=self._dry_run):
            self._out.line(line)

    def _warn(self, message: str) -> None:
        self._warned.add(message)
        if not self._output.quiet:
            self._err.line(f"warning: {printable(message)}")

    def tick(self) -> None:
        """Hand over the lines so far, and now and then tell how far the run is."""
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_S:
            self._flushed = now
            self._out.flush()
            self._err.flush()
        self._progress.sample(now)
        if now - self._progressed >= _PROGRESS_S and self._output.progress and not self._output.quiet:
            self._progressed = now
            self._err.line(self._progress_line())

    def _progress_line(self) -> str:
        progress, rates = self._progress, self._progress.rates()
        return (
            f"scanned {progress.scanned:,}, uploaded {progress.uploaded:,}/{progress.uploads:,} "
            f"({size_text(progress.sent)} of {size_text(progress.upload_size)}), "
            f"deleted {progress.deleted:,}/{progress.deletes:,}, failed {progress.failed:,}; "
            f"{rates.files:,.0f} files/s, {size_text(rates.bytes)}/s"
        )

    def close(self) -> None:
        """Hand over what is left."""
        self._out.flush()
        self._err.flush()

    def report(self, report: Any) -> None:
        """Print the summary; with ``--quiet`` only what was refused or went wrong."""
        conclusion = self._conclude(report)
        if not self._output.quiet:
            print_conclusion(
                self._out, self._err, conclusion, told=self._progress.failed, warned=self._warned
            )
            return
        if self._progress.failed < len(conclusion.failures):
            for failure in conclusion.failures:
                self._err.line(failure_line(failure))
        if conclusion.refused:
            self._err.line(f"refused: {printable(conclusion.refused)}")
        if conclusion.unregistered:
            self._err.line(f"the catalog was not told: {printable(conclusion.unregistered)}")
        self._err.flush()

    def fail(self, error: BaseException) -> None:
        """Print the error."""
        self.close()
        tell(error, verbose=self._output.verbose > 1)
