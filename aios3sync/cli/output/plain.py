"""Plain lines, one for each thing that was done: for pipes, log files and dumb terminals."""

from __future__ import annotations

import time
from typing import Any, Final

from aios3sync.cli.errors import tell, tell_stopping
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.summary import Conclusion, failure_line, repeated_text
from aios3sync.cli.output.view import Conclude, Output
from aios3sync.core.text import count, printable, size_text
from aios3sync.events import (
    BytesSent,
    EndpointKnown,
    Event,
    Failed,
    ObjectDeleted,
    ObjectUpdated,
    ObjectUploaded,
    Warned,
)
from aios3sync.progress import Progress
from aios3sync.report import MAX_REPORTED_ERRORS, Failure

__all__ = ("PlainView", "ToldFailures", "endpoint_line", "event_line", "print_conclusion")

_FLUSH_S: Final = 0.3
_PROGRESS_S: Final = 15.0
"""Seconds between two progress lines on standard error."""
_MOST_TOLD: Final = 10 * MAX_REPORTED_ERRORS


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
        case _:
            return ""


class ToldFailures:
    """The failures that were said already, so that none is said twice; a comparison may find one again."""

    def __init__(self) -> None:
        self._told: set[Failure] = set()

    def is_new(self, failure: Failure) -> bool:
        """Whether it has not been said; it counts as said from now on."""
        if failure in self._told:
            return False
        if len(self._told) < _MOST_TOLD:
            self._told.add(failure)
        return True


def endpoint_line(event: EndpointKnown) -> str:
    """What is known of the endpoint, on one line."""
    return f"endpoint {event.endpoint}: {'; '.join(event.facts)}"


def print_conclusion(
    out: Lines, err: Lines, conclusion: Conclusion, *, told: ToldFailures, warned: set[str], limit: int = 0
) -> None:
    """Print the last words of a run: on standard error what went wrong, then the summary.

    Args:
        out: standard output.
        err: standard error.
        conclusion: what to say.
        told: failures that were said already.
        warned: warnings that were said already.
        limit: failures that are said at most, 0 for all.
    """
    out.flush()
    failures = [failure for failure in conclusion.failures if told.is_new(failure)]
    for failure in failures[: limit or None]:
        err.line(failure_line(failure))
    if limit and len(failures) > limit:
        err.line(f"... and {count(len(failures) - limit, 'more failure')} (--json lists them)")
    for warning in conclusion.warnings:
        if warning not in warned:
            err.line(f"warning: {warning}")
    if conclusion.more:
        err.line(conclusion.more)
    if conclusion.refused:
        err.line(f"refused: {conclusion.refused}")
    err.flush()
    for line in conclusion.tables:
        out.styled(line)
    last = [
        *conclusion.differences,
        conclusion.summary,
        *conclusion.also,
        conclusion.details,
        conclusion.note,
    ]
    for line in last:
        if line:
            out.line(line)
    out.flush()


class PlainView:
    """See :class:`~aios3sync.cli.output.view.View`. What goes wrong is on standard error."""

    def __init__(
        self, out: Lines, err: Lines, conclude: Conclude, output: Output, *, dry_run: bool = False
    ) -> None:
        self._out = out
        self._err = err
        self._conclude = conclude
        self._output = output
        self._dry_run = dry_run
        self._progress = Progress()
        self._told = ToldFailures()
        self._warned: set[str] = set()
        self._flushed = self._progressed = time.monotonic()

    def __call__(self, event: Event, /) -> None:
        """Print the event's line."""
        self._progress.take(event)
        if type(event) is Warned:
            self._warn(event.message)
        elif type(event) is EndpointKnown:
            if self._output.verbose and not self._output.quiet:
                self._out.line(endpoint_line(event))
        elif isinstance(event, Failed):
            if event.error is None and self._told.is_new(event.failure):
                self._err.line(failure_line(event.failure))
        elif not self._output.quiet and (line := event_line(event, dry_run=self._dry_run)):
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
            + (f"; {repeated_text(progress.retries, progress.throttled)}" if progress.retries else "")
        )

    def stopping(self, signal: int) -> None:
        """Say it on standard error, below what was said so far."""
        self.close()
        if not self._output.quiet:
            tell_stopping(signal)

    def close(self) -> None:
        """Hand over what is left."""
        self._out.flush()
        self._err.flush()

    def report(self, report: Any) -> None:
        """Print the summary; with ``--quiet`` only what was refused or went wrong."""
        conclusion = self._conclude(report)
        if not self._output.quiet:
            print_conclusion(self._out, self._err, conclusion, told=self._told, warned=self._warned)
            return
        for failure in conclusion.failures:
            if self._told.is_new(failure):
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
