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
from aios3sync.core.text import escape_json, printable

__all__ = (
    "Lines",
    "flush_output",
    "json_bytes",
    "lost_output",
    "note_lost",
    "open_missing_streams",
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


_lost: list[OSError] = []
"""Why standard output could not be written, since :func:`open_missing_streams`; the first one counts."""


def lost_output() -> OSError | None:
    """Why standard output could not be written, ``None`` if all of it was."""
    return _lost[0] if _lost else None


def flush_output() -> None:
    """Hand over what was printed by other means than :class:`Lines`; a loss is remembered, not raised."""
    try:
        sys.stdout.flush()
    except OSError as error:
        note_lost(error)


def note_lost(error: OSError) -> None:
    """Remember that standard output could not be written."""
    _lost.append(error)
    _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    # What is still buffered must go somewhere, or the interpreter complains about it at its end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Lines:
    """Writes lines to a stream of the process, in bytes, so that any name can be written in any locale.

    What is written after a loss is dropped; the loss of standard output is remembered by :func:`lost_output`.

    Args:
        stream: standard output or standard error.
        on_lost: called once when nobody reads the stream any more, as behind ``| head``. Where it cannot be
            written for another reason, such as a full disk, the work goes on: what it does is still wanted.
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
        if self._lost:
            return
        try:
            self._buffer.write(content)
        except OSError as error:
            self._lose(error)

    def flush(self) -> None:
        """Hand over what was written so far."""
        if self._lost:
            return
        try:
            self._buffer.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._lost = True
        if self._stream is sys.stdout:
            note_lost(error)
        else:
            _drop(self._stream)
        if self._on_lost is not None and isinstance(error, BrokenPipeError):
            self._on_lost()


def open_missing_streams() -> None:
    """Give every standard stream that the process was started without a place that says so when it is used.

    Their numbers are taken as well, or the next file that is opened would be standard output. What is written
    to standard output, or read from standard input, fails then; what is written to standard error is lost.
    """
    _lost.clear()
    ways = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
    for number, (name, flags, mode) in enumerate(ways):
        if getattr(sys, name) is not None:
            continue
        descriptor = os.open(os.devnull, flags)
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open until the process ends


def standard_lines(on_lost: Callable[[], None] | None = None) -> tuple[Lines, Lines]:
    """Lines to standard output and to standard error; a lost standard error stops nothing."""
    flush_output()
    return Lines(sys.stdout, on_lost), Lines(sys.stderr)
