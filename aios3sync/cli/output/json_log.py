"""Writes JSON lines on standard error: the log of the package, the events of the run, errors.

One object per line, with ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, and ``fields`` where
there are any. Meanwhile everything that is printed on standard error becomes such an object too. No line
contains a credential.
"""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from aios3sync.cli.output.json_lines import event_document
from aios3sync.cli.output.lines import Lines, json_bytes
from aios3sync.cli.output.plain import event_line
from aios3sync.cli.output.summary import failure_line
from aios3sync.cli.output.view import View
from aios3sync.core.text import escape_undecodable
from aios3sync.events import Event, Failed, Finished, RequestRetried, RequestsRepeated, Skipped, Warned
from aios3sync.store.s3.redaction import redacted

__all__ = ("JsonLog", "LoggedView", "json_log")

_PACKAGE: Final = "aios3sync"
_EVENTS: Final = logging.getLogger("aios3sync.events")
_PRINTED: Final = logging.getLogger("aios3sync.cli")
_LEVELS: Final = {Failed: logging.ERROR, Warned: logging.WARNING, Skipped: logging.WARNING}
_PREFIXES: Final = (
    ("aios3sync: error: ", logging.ERROR),
    ("failed: ", logging.ERROR),
    ("refused: ", logging.ERROR),
    ("warning: ", logging.WARNING),
    ("aios3sync: ", logging.WARNING),
)
"""The prefixes of lines above the level of information, which are cut off, and their levels."""
_MOST_KEPT: Final = 10_000
"""Messages of events that are remembered, so that they are not written again when they are printed."""


class JsonLog(logging.Handler):
    """Writes each record as one JSON object; ``extra={"fields": {…}}`` adds fields to the message."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            document = _document(record)
            self._lines.raw(json_bytes(document))
            self._lines.flush()
        except Exception:  # noqa: BLE001 - a record must not end the run: logging reports it
            self.handleError(record)


def _document(record: logging.LogRecord) -> dict[str, Any]:
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    document: dict[str, Any] = {
        "time": at.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _text(record.getMessage()),
    }
    fields = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
    if fields:
        document["fields"] = _redacted(fields)
    return document


def _text(value: str) -> str:
    """Return a text that JSON can contain, without credentials: a name may not be UTF-8."""
    return redacted(escape_undecodable(value))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(str(name)): _redacted(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


class _Printed(io.TextIOBase):
    """Replaces standard error: each printed line becomes a record.

    Attributes:
        known: messages that are in the log already.
    """

    encoding = "utf-8"

    def __init__(self, standard_error: Any) -> None:
        self._standard_error = standard_error
        self._rest = ""
        self.known: set[str] = set()
        self.buffer = self

    def write(self, text: str | bytes) -> int:
        added = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
        *lines, self._rest = (self._rest + added).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def finish(self) -> None:
        """Log the last line, which has no line end."""
        rest, self._rest = self._rest, ""
        self._log(rest)

    def fileno(self) -> int:
        return int(self._standard_error.fileno())

    def isatty(self) -> bool:
        return False

    def _log(self, line: str) -> None:
        if not line or line in self.known:
            return
        level, message = logging.INFO, line
        for prefix, meant in _PREFIXES:
            if line.startswith(prefix):
                level, message = meant, line.removeprefix(prefix)
                break
        if message not in self.known:
            _PRINTED.log(level, "%s", message)


class LoggedView:
    """See :class:`~aios3sync.cli.output.view.View`: logs each event, and forwards to another view."""

    def __init__(self, inner: View) -> None:
        self._inner = inner
        if not _EVENTS.isEnabledFor(logging.INFO):
            self.single_events = getattr(inner, "single_events", -1)

    def __call__(self, event: Event, /) -> None:
        """Log the event."""
        level = _LEVELS.get(type(event), logging.INFO)
        if _EVENTS.isEnabledFor(level) and (document := _event_fields(event)) is not None:
            message = _message(event, document)
            if (
                level > logging.INFO
                and isinstance(sys.stderr, _Printed)
                and len(sys.stderr.known) < _MOST_KEPT
            ):
                sys.stderr.known.add(message)
            _EVENTS.log(level, "%s", message, extra={"fields": document})
        self._inner(event)

    def tick(self) -> None:
        """Pass the call on."""
        self._inner.tick()

    def stopping(self, signal: int) -> None:
        """Pass the call on; what it prints becomes a record."""
        self._inner.stopping(signal)

    def close(self) -> None:
        """Pass the call on."""
        self._inner.close()

    def report(self, report: Any) -> None:
        """Pass the call on."""
        self._inner.report(report)

    def fail(self, error: BaseException) -> None:
        """Pass the call on; what it prints becomes a record."""
        self._inner.fail(error)


def _event_fields(event: Event) -> dict[str, Any] | None:
    if isinstance(event, Finished):
        return {"event": "finished", "report": event.report.as_dict()}
    return event_document(event)


def _message(event: Event, document: dict[str, Any]) -> str:
    match event:
        case Failed(failure, None):
            return failure_line(failure)
        case Warned(message):
            return message
        case Skipped(key, reason):
            return f"skipped: {key} ({reason})"
        case RequestRetried(operation, key, code, _, _, delay):
            return f"retry: {operation} {key}".rstrip() + f" after {code}, in {delay:g} s"
        case RequestsRepeated(retries, _):
            return f"repeated: {retries} requests"
        case _:
            key = document.get("key") or document.get("phase") or document.get("endpoint") or ""
            return event_line(event) or f"{document['event']}: {key}".rstrip(": ")


@contextmanager
def json_log(level: int) -> Iterator[None]:
    """Write the log as JSON lines until the end of the block, from this level on."""
    standard_error = sys.stderr
    handler = JsonLog(Lines(standard_error))
    root, log = logging.getLogger(), logging.getLogger(_PACKAGE)
    before = (log.level, log.handlers[:])
    log.handlers.clear()  # the text of -vv
    root.addHandler(handler)
    log.setLevel(level)
    printed = _Printed(standard_error)
    sys.stderr = printed
    try:
        yield
    finally:
        printed.finish()
        sys.stderr = standard_error
        root.removeHandler(handler)
        log.setLevel(before[0])
        log.handlers[:] = before[1]
