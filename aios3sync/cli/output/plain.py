"""Prints plain lines, one for each action: for pipes, log files and terminals without a cursor."""

from __future__ import annotations

import time
from typing import Any, Final

from aios3sync.cli.errors import print_error, print_stopping
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.summary import Conclusion, failure_line, retries_text, run_line
from aios3sync.cli.output.view import Conclude, Output
from aios3sync.core.text import count, printable, size_text
from aios3sync.events import (
    BytesReceived,
    BytesSent,
    EndpointKnown,
    Event,
    Failed,
    Finished,
    ObjectCopied,
    ObjectDeleted,
    ObjectDownloaded,
    ObjectUpdated,
    ObjectUploaded,
    Warned,
)
from aios3sync.progress import Progress
from aios3sync.report import MAX_REPORTED_ERRORS, Failure

__all__ = ("PlainView", "PrintedFailures", "endpoint_line", "event_line", "print_conclusion")

_FLUSH_S: Final = 0.3
_PROGRESS_S: Final = 15.0
"""Seconds between two progress lines on standard error."""
_MOST_REMEMBERED: Final = 10 * MAX_REPORTED_ERRORS


def event_line(event: Event, *, dry_run: bool = False) -> str:
    """Return the line for an event; empty where it has none."""
    if type(event) is BytesSent or type(event) is BytesReceived:
        return ""
    match event:
        case ObjectUploaded(key, _, _, reason):
            return f"{'(dry run) would upload' if dry_run else 'upload'}: {printable(key)} ({reason})"
        case ObjectDownloaded(key, _, _, reason):
            return f"{'(dry run) would download' if dry_run else 'download'}: {printable(key)} ({reason})"
        case ObjectCopied(key, _, _, reason):
            return f"{'(dry run) would copy' if dry_run else 'copy'}: {printable(key)} ({reason})"
        case ObjectUpdated(key):
            return f"{'(dry run) would update' if dry_run else 'update'}: {printable(key)} (headers)"
        case ObjectDeleted(key):
            return f"{'(dry run) would delete' if dry_run else 'delete'}: {printable(key)}"
        case _:
            return ""


def _done_word(progress: Progress) -> str:
    if progress.downloads:
        return "downloaded"
    return "copied" if progress.copies else "uploaded"


class PrintedFailures:
    """The failures that were printed: a second comparison may find one again, which is not repeated."""

    def __init__(self) -> None:
        self._printed: set[Failure] = set()

    def is_new(self, failure: Failure) -> bool:
        """Whether the failure was not printed before; from now on it counts as printed."""
        if failure in self._printed:
            return False
        if len(self._printed) < _MOST_REMEMBERED:
            self._printed.add(failure)
        return True


def endpoint_line(event: EndpointKnown) -> str:
    """Return what is known of the endpoint, on one line."""
    return f"endpoint {event.endpoint}: {'; '.join(event.facts)}"


def print_conclusion(
    out: Lines,
    err: Lines,
    conclusion: Conclusion,
    *,
    printed: PrintedFailures,
    warned: set[str],
    limit: int = 0,
) -> None:
    """Print the end of a run: what went wrong on standard error, then the summary on standard output.

    Args:
        out: standard output.
        err: standard error.
        conclusion: what to print.
        printed: failures that were printed before.
        warned: warnings that were printed before.
        limit: the most failures to print, 0 for all.
    """
    out.flush()
    failures = [failure for failure in conclusion.failures if printed.is_new(failure)]
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
    if conclusion.aborted:
        err.line(f"failed: {conclusion.aborted}")
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
    """See :class:`~aios3sync.cli.output.view.View`: plain lines, with failures on standard error."""

    def __init__(
        self, out: Lines, err: Lines, conclude: Conclude, output: Output, *, dry_run: bool = False
    ) -> None:
        self._out = out
        self._err = err
        self._conclude = conclude
        self._output = output
        self._dry_run = dry_run
        self._shows_actions = output.actions and not output.quiet
        self._progress = Progress()
        self._printed = PrintedFailures()
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
            if event.error is None and self._printed.is_new(event.failure):
                self._err.line(failure_line(event.failure))
        elif type(event) is Finished:
            if self._output.runs and not self._output.quiet and (line := run_line(event.report)):
                self._out.line(line)
        elif self._shows_actions and (line := event_line(event, dry_run=self._dry_run)):
            self._out.line(line)

    def _warn(self, message: str) -> None:
        self._warned.add(message)
        if not self._output.quiet:
            self._err.line(f"warning: {printable(message)}")

    def tick(self) -> None:
        """Flush the lines so far, and print the progress every 15 seconds."""
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
            f"scanned {progress.scanned:,}, {_done_word(progress)} "
            f"{progress.transferred:,}/{progress.transfers:,} "
            f"({size_text(progress.moved)} of {size_text(progress.transfer_size)}), "
            f"deleted {progress.deleted:,}/{progress.deletes:,}, failed {progress.failed:,}; "
            f"{rates.files:,.0f} files/s, {size_text(rates.bytes)}/s"
            + (f"; {retries_text(progress.retries, progress.throttled)}" if progress.retries else "")
        )

    def stopping(self, signal: int) -> None:
        """Print the message on standard error, below the lines so far."""
        self.close()
        if not self._output.quiet:
            print_stopping(signal)

    def close(self) -> None:
        """Flush the lines."""
        self._out.flush()
        self._err.flush()

    def report(self, report: Any) -> None:
        """Print the summary; with ``--quiet`` only failures, what was refused and why it ended early."""
        conclusion = self._conclude(report)
        if not self._output.quiet:
            if conclusion.plan is not None:
                from aios3sync.cli.output.plan_lines import show_plan

                show_plan(conclusion.plan, self._out)
            print_conclusion(self._out, self._err, conclusion, printed=self._printed, warned=self._warned)
            return
        for failure in conclusion.failures:
            if self._printed.is_new(failure):
                self._err.line(failure_line(failure))
        if conclusion.refused:
            self._err.line(f"refused: {printable(conclusion.refused)}")
        if conclusion.aborted:
            self._err.line(f"failed: {printable(conclusion.aborted)}")
        if conclusion.unregistered:
            self._err.line(f"not added to the catalog: {printable(conclusion.unregistered)}")
        self._err.flush()

    def fail(self, error: BaseException) -> None:
        """Print the error."""
        self.close()
        print_error(error, verbose=self._output.verbose > 1)
