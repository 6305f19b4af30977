"""Lines for terminals and pipes: written in bytes, and a reader that left is noticed.

What a terminal or a viewer would obey is escaped here, in text and in JSON: names of files and the words of
an endpoint may hold anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO, Any, TextIO

import orjson

from aios3sync.core.numbers import to_json
from aios3sync.core.wording import count, duration, escape_json, printable, size_text

__all__ = (
    "Lines",
    "count",
    "duration",
    "escape_json",
    "json_bytes",
    "open_missing_streams",
    "printable",
    "size_text",
    "standard_lines",
)


def json_bytes(document: Any, *, indent: bool = False) -> bytes:
    """One JSON document and a line end; equal to ``document`` when parsed, and harmless when looked at.

    A number that 64 bits do not hold becomes a string of its digits.
    """
    options = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return escape_json(orjson.dumps(document, option=options))
    except orjson.JSONEncodeError:
        return escape_json(orjson.dumps(_with_readable_numbers(document), option=options))


def _with_readable_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_readable_numbers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_readable_numbers(item) for item in value]
    return to_json(value) if type(value) is int else value


class Lines:
    """Writes lines to a stream of the process, in bytes, so that any name can be written in any locale.

    Args:
        stream: standard output or standard error.
        on_lost: called once when nobody reads the stream any more; what is written later is dropped.
    """

    def __init__(self, stream: TextIO, on_lost: Callable[[], None] | None = None) -> None:
        self._stream = stream
        self._buffer: IO[bytes] = stream.buffer
        self._encoding = stream.encoding or "utf-8"
        self._on_lost = on_lost
        self._lost = False

    def line(self, text: str) -> None:
        """Write one line of text; what is no visible character in it is escaped."""
        self.styled(printable(text))

    def styled(self, text: str) -> None:
        """Write one line with the colours that it has; the names in it were escaped before."""
        self.raw(text.encode(self._encoding, "backslashreplace") + b"\n")

    def raw(self, content: bytes) -> None:
        """Write bytes as they are."""
        try:
            self._buffer.write(content)
        except OSError:
            self._lose()

    def flush(self) -> None:
        """Hand over what was written so far."""
        try:
            self._buffer.flush()
        except OSError:
            self._lose()

    def _lose(self) -> None:
        if self._lost:
            return
        self._lost = True
        # What is still buffered must go somewhere, or the interpreter complains about it at its end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if self._on_lost is not None:
            self._on_lost()


def open_missing_streams() -> None:
    """Send to nowhere what a process that was started without a standard stream would write there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the process ends


def standard_lines(on_lost: Callable[[], None] | None = None) -> tuple[Lines, Lines]:
    """Lines to standard output and to standard error; a lost standard error stops nothing."""
    sys.stdout.flush()
    return Lines(sys.stdout, on_lost), Lines(sys.stderr)
