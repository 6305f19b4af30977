"""Prints plain lines, one for each action: for pipes, log files and terminals without a cursor."""

from __future__ import annotations

import time

from aios3sync._typing import Final
from aios3sync.cli.errors import print_error, print_stopping
from aios3sync.cli.output.conclusion import PlainReport
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.silence import Silence
from aios3sync.cli.output.status_line import StatusLine
from aios3sync.cli.output.summary import failure_line, retries_text, run_line
from aios3sync.cli.output.view import Conclude, Output
from aios3sync.core.text import printable, size_text
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

__all__ = ("PlainView", "endpoint_line", "event_line")

_FLUSH_S: Final = 0.3
_SILENT_S: Final = 1.0
"""Seconds without a line after which a message is printed."""
_PROGRESS_S: Final = 15.0
"""Seconds between two progress lines on standard error."""


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


def endpoint_line(event: EndpointKnown) -> str:
    """Return the known facts about the endpoint, on one line."""
    return f"endpoint {event.endpoint}: {'; '.join(event.facts)}"


class PlainView(PlainReport):
    """See :class:`~aios3sync.cli.output.view.View`: plain lines, with failures on standard error."""

    def __init__(
        self, out: Lines, err: Lines, conclude: Conclude, output: Output, *, dry_run: bool = False
    ) -> None:
        super().__init__(out, err, conclude, output)
        self._dry_run = dry_run
        self._shows_actions = output.actions and not output.quiet
        if not self._shows_actions:
            self.single_events = 0  # machines of a cluster need not send what has no line
        self._progress = Progress()
        self._flushed = self._progressed = time.monotonic()
        self._silence = Silence(self._flushed)
        self._began = self._flushed
        self._status = StatusLine(output)

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
        if self._output.work and now - self._began >= _SILENT_S:
            self._status.show(lambda: f"{self._output.work}: {now - self._began:.0f} s")
        self._progress.sample(now)
        waiting = self._silence.text(self._progress, now)
        if now - self._progressed >= _PROGRESS_S and self._output.progress and not self._output.quiet:
            self._progressed = now
            self._err.line(self._progress_line() + (f"; waiting: {waiting}" if waiting else ""))

    def _progress_line(self) -> str:
        """Return the progress so far, without kinds of work that this command does not have."""
        progress, rates = self._progress, self._progress.rates()
        parts = [f"scanned {progress.scanned:,}"]
        if progress.transfers:
            size = f"({size_text(progress.moved)} of {size_text(progress.transfer_size)})"
            parts.append(f"{_done_word(progress)} {progress.transferred:,}/{progress.transfers:,} {size}")
        if progress.deletes:
            parts.append(f"deleted {progress.deleted:,}/{progress.deletes:,}")
        parts.append(f"failed {progress.failed:,}")
        speed = f"{rates.files:,.0f} files/s, {size_text(rates.bytes)}/s"
        if not (progress.transfers or progress.deletes or progress.updates):
            speed = f"{rates.scanned:,.0f} files/s scanned"
        line = f"{', '.join(parts)}; {speed}"
        if progress.retries:
            line += f"; {retries_text(progress.retries, progress.throttled, progress.retry_codes)}"
        return line

    def stopping(self, signal: int) -> None:
        """Print the message on standard error, below the lines so far."""
        self.close()
        if not self._output.quiet:
            print_stopping(signal)

    def close(self) -> None:
        """Flush the lines."""
        self._status.clear()
        self._out.flush()
        self._err.flush()

    def fail(self, error: BaseException) -> None:
        """Print the error."""
        self.close()
        print_error(error, verbose=self._output.verbose > 1)
