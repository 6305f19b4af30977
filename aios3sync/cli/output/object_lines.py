"""Prints a listing as it arrives: lines like those of ``aws s3 ls``, or one JSON object per line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aios3sync.cli.errors import failure_document, print_error, print_stopping
from aios3sync.cli.output.lines import Lines, json_bytes
from aios3sync.core.entries import TargetEntry
from aios3sync.core.text import count, size_text
from aios3sync.events import Event

__all__ = ("JsonObjectLines", "ObjectLines")

_TIME_WIDTH: Final = len("2026-01-31 12:00:00")
_SIZE_WIDTH: Final = 10


class ObjectLines:
    """See :class:`~aios3sync.cli.output.view.View`: a line for each object and each folder.

    Args:
        out: standard output.
        cut: number of characters of each key that are not shown: those of the listed folder.
        human: show sizes with units.
        verbose: print errors with their tracebacks.
    """

    def __init__(self, out: Lines, *, cut: int = 0, human: bool = False, verbose: bool = False) -> None:
        self._out = out
        self._cut = cut
        self._human = human
        self._verbose = verbose

    def __call__(self, event: Event, /) -> None:
        """Print nothing: a listing sends no events."""

    def page(self, entries: Sequence[TargetEntry], folders: Sequence[str]) -> None:
        """Print one page: its folders first, as ``aws s3 ls`` does."""
        for folder in folders:
            self._out.line(f"{'PRE':>{_TIME_WIDTH + 1 + _SIZE_WIDTH}} {folder[self._cut :]}")
        for entry in entries:
            size = size_text(entry.size) if self._human else str(entry.size)
            when = _local_time(entry.last_modified)
            self._out.line(f"{when:<{_TIME_WIDTH}} {size:>{_SIZE_WIDTH}} {entry.key[self._cut :]}")

    def total(self, objects: int, size: int) -> None:
        """Print the sums of the listing."""
        self._out.line("")
        self._out.line(
            f"total: {count(objects, 'object')}, {size_text(size) if self._human else f'{size} bytes'}"
        )

    def tick(self) -> None:
        """Flush the lines so far."""
        self._out.flush()

    def stopping(self, signal: int) -> None:
        """Print the message on standard error."""
        print_stopping(signal)

    def close(self) -> None:
        """Flush the lines."""
        self._out.flush()

    def report(self, report: Any) -> None:
        """Print nothing: everything is printed already."""

    def fail(self, error: BaseException) -> None:
        """Print the error."""
        print_error(error, verbose=self._verbose)


class JsonObjectLines(ObjectLines):
    """The same as JSON objects; folders have a ``prefix``, objects a ``key``; an error is the last line."""

    def page(self, entries: Sequence[TargetEntry], folders: Sequence[str]) -> None:
        """Print one page."""
        for folder in folders:
            self._out.raw(json_bytes({"prefix": folder}))
        for entry in entries:
            document = {
                "key": entry.key,
                "size": entry.size,
                "etag": entry.etag,
                "last_modified": _utc_time(entry.last_modified),
                "storage_class": entry.storage_class,
            }
            self._out.raw(json_bytes(document))

    def total(self, objects: int, size: int) -> None:
        """Print the sums of the listing."""
        self._out.raw(json_bytes({"objects": objects, "bytes": size}))

    def fail(self, error: BaseException) -> None:
        """Print the error as the last line, and for people on standard error."""
        self._out.raw(json_bytes({"command": "ls", **failure_document(error)}))
        self._out.flush()
        super().fail(error)


def _local_time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "-"


def _utc_time(seconds: float) -> str | None:
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
