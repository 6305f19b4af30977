"""Prints for machines: one JSON document at the end, or one JSON object per line during the run."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from signal import Signals
from typing import Any, Final

from aios3sync._dataclass import asdict
from aios3sync.cli.errors import failure_document, print_error, print_stopping
from aios3sync.cli.output.lines import Lines, json_bytes
from aios3sync.events import (
    DownloadBegan,
    EndpointKnown,
    Event,
    Failed,
    Finished,
    ObjectAdopted,
    ObjectCopied,
    ObjectDeleted,
    ObjectDownloaded,
    ObjectTouched,
    ObjectUpdated,
    ObjectUploaded,
    PhaseBegan,
    RequestRetried,
    RequestsRepeated,
    Skipped,
    UploadBegan,
    Warned,
)
from aios3sync.progress import Progress

__all__ = ("EventLines", "JsonDocument", "event_document")

_COUNTED: Final = (ObjectUploaded, ObjectDownloaded, ObjectCopied, ObjectUpdated, ObjectDeleted, Failed)
"""Events that come with the running totals."""
_PROGRESS_S: Final = 0.5
"""Seconds between two progress objects."""


def event_document(event: Event) -> dict[str, Any] | None:
    """Return the JSON object of an event; ``None`` for events that are only counted."""
    match event:
        case ObjectUploaded(key, size, etag, reason):
            return {"event": "uploaded", "key": key, "size": size, "etag": etag, "reason": reason}
        case ObjectDownloaded(key, size, etag, reason):
            return {"event": "downloaded", "key": key, "size": size, "etag": etag, "reason": reason}
        case ObjectCopied(key, size, etag, reason):
            return {"event": "copied", "key": key, "size": size, "etag": etag, "reason": reason}
        case ObjectUpdated(key, size, etag):
            return {"event": "updated", "key": key, "size": size, "etag": etag}
        case ObjectDeleted(key, size):
            return {"event": "deleted", "key": key, "size": size}
        case Failed(failure, None):
            return {"event": "failed", **asdict(failure)}
        case _:
            return _rare_document(event)


def _rare_document(event: Event) -> dict[str, Any] | None:
    match event:
        case ObjectAdopted(key, size, etag):
            return {"event": "adopted", "key": key, "size": size, "etag": etag}
        case ObjectTouched(key, size):
            return {"event": "touched", "key": key, "size": size}
        case Skipped(key, reason):
            return {"event": "skipped", "key": key, "reason": reason}
        case UploadBegan(key, size) | DownloadBegan(key, size):
            return {"event": "began", "key": key, "size": size}
        case RequestRetried(operation, key, code, status, attempt, delay):
            request = {"event": "retry", "operation": operation, "key": key}
            return {**request, "code": code, "status": status, "attempt": attempt, "delay_s": delay}
        case RequestsRepeated(retries, throttled, codes):
            return {"event": "repeated", "retries": retries, "throttled": throttled, "codes": dict(codes)}
        case Warned(message):
            return {"event": "warning", "message": message}
        case EndpointKnown(endpoint, facts):
            return {"event": "endpoint", "endpoint": endpoint, "facts": list(facts)}
        case PhaseBegan(phase):
            return {"event": "phase", "phase": phase}
        case _:
            return None


class JsonDocument:
    """See :class:`~aios3sync.cli.output.view.View`: only the report, as one document."""

    single_events = -1

    def __init__(self, command: str, out: Lines, *, verbose: bool = False) -> None:
        self._command = command
        self._out = out
        self._verbose = verbose

    def __call__(self, event: Event, /) -> None:
        """Print nothing: the report contains everything."""

    def tick(self) -> None:
        """Print nothing before the end."""

    def stopping(self, signal: int) -> None:
        """Print the message on standard error, for a person."""
        print_stopping(signal)

    def close(self) -> None:
        """Do nothing: the document is flushed when it is printed."""

    def report(self, report: Any) -> None:
        """Print the report."""
        self._print(report.as_dict())

    def fail(self, error: BaseException) -> None:
        """Print the error as the document, and for people on standard error."""
        self._print({"command": self._command, **failure_document(error)})
        print_error(error, verbose=self._verbose)

    def _print(self, document: dict[str, Any]) -> None:
        self._out.raw(json_bytes(document, indent=True))
        self._out.flush()


class EventLines:
    """See :class:`~aios3sync.cli.output.view.View`: one object per line, with time and running totals.

    The last line is ``finished`` with the report, or ``error``.

    Args:
        out: standard output.
        dry_run: whether it is one, which every object says.
        quiet: print errors only here, not also on standard error.
        runs: whether there are several runs; the end of each is an object.
    """

    def __init__(
        self,
        out: Lines,
        *,
        dry_run: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        runs: bool = False,
    ) -> None:
        self._out = out
        self._runs = runs
        self._marks: dict[str, Any] = {"dry_run": True} if dry_run else {}
        self._quiet = quiet
        self._verbose = verbose
        self._progress = Progress()
        self._last_totals: dict[str, Any] = {}
        self._progress_at = time.monotonic()
        self._pending = False

    def __call__(self, event: Event, /) -> None:
        """Print the event's object."""
        self._progress.take(event)
        if self._runs and isinstance(event, Finished):
            self._line({"event": "run", "report": event.report.as_dict()})
        document = event_document(event)
        if document is None:
            return
        counted = isinstance(event, _COUNTED)
        totals = self._progress.totals() if counted else {}
        self._line(document | totals | self._marks)

    def tick(self) -> None:
        """Flush the lines so far; print the progress, if it changed."""
        now = time.monotonic()
        if now - self._progress_at >= _PROGRESS_S:
            progress = self._progress
            progress.sample(now)
            totals = {"scanned": progress.scanned, "kept": progress.kept, **progress.totals()}
            if totals != self._last_totals:
                self._last_totals = totals
                self._line({"event": "progress", **totals, **_speeds(progress), **self._marks})
            self._progress_at = now
        if self._pending:
            self._pending = False
            self._out.flush()

    def stopping(self, signal: int) -> None:
        """Print the message as an object, and for people on standard error."""
        self._line({"event": "stopping", "signal": Signals(signal).name, **self._marks})
        self._out.flush()
        if not self._quiet:
            print_stopping(signal)

    def close(self) -> None:
        """Flush the lines."""
        self._out.flush()

    def report(self, report: Any) -> None:
        """Print the report as the last line."""
        self._line({"event": "finished", "report": report.as_dict()})
        self._out.flush()

    def fail(self, error: BaseException) -> None:
        """Print the error as the last line."""
        facts = failure_document(error)
        field = getattr(error, "field", None)
        named = {} if field is None else {"field": field}
        self._line({"event": "error", **named, **facts})
        self._out.flush()
        if not self._quiet:
            print_error(error, verbose=self._verbose)

    def _line(self, document: dict[str, Any]) -> None:
        document["time"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._out.raw(json_bytes(document))
        self._pending = True


def _speeds(progress: Progress) -> dict[str, Any]:
    rates = progress.rates()
    eta = None if rates.eta is None else round(rates.eta)
    return {"files_per_s": round(rates.files, 1), "bytes_per_s": round(rates.bytes), "eta_s": eta}
