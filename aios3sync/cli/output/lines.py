"""Writes lines to terminals and pipes, in bytes, and notices when the reader closes them.

Control characters are escaped here, in text and in JSON: names of files and messages of an endpoint may
contain anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from aios3sync._typing import IO, Any, TextIO
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
    """Return one JSON document and a line end; harmless on a terminal, and equal to ``document`` when parsed.

    A number that does not fit into 64 bits becomes a string of its digits.
    """
    import orjson  # takes ten milliseconds, and only some command lines print JSON

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
"""The errors of writing standard output since :func:`open_missing_streams`; the first one counts."""


def lost_output() -> OSError | None:
    """Return why standard output could not be written; ``None`` if all of it was."""
    return _lost[0] if _lost else None


def flush_output() -> None:
    """Flush output that did not go through :class:`Lines`; an error is remembered, not raised."""
    try:
        sys.stdout.flush()
    except OSError as error:
        note_lost(error)


def note_lost(error: OSError) -> None:
    """Remember that standard output could not be written."""
    _lost.append(error)
    _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    # The buffer must be written somewhere, or the interpreter reports an error when it exits.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Lines:
    """Writes lines to a stream of the process, in bytes, so that any name can be written in any locale.

    After an error everything is dropped; :func:`lost_output` returns the error of standard output.

    Args:
        stream: standard output or standard error.
        on_lost: called once when the reader has closed the stream, as with ``| head``. If writing fails for
            another reason, such as a full disk, the work continues: its effects are still wanted.
    """

    def __init__(self, stream: TextIO, on_lost: Callable[[], None] | None = None) -> None:
        self._stream = stream
        self._buffer: IO[bytes] = stream.buffer
        self._encoding = stream.encoding or "utf-8"
        self._on_lost = on_lost
        self._lost = False

    def line(self, text: str) -> None:
        """Write one line of text; characters that are not printable are escaped."""
        self.styled(printable(text))

    def styled(self, text: str) -> None:
        """Write one line with colour codes; the names in it must be escaped already."""
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
        """Flush the lines so far."""
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
    """Replace every missing standard stream of the process by one that fails when it is used.

    Their file descriptors are occupied as well: otherwise the next opened file would become standard output.
    Then writes to standard output and reads from standard input fail; standard error is dropped.
    """
    _lost.clear()
    missing = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
    for number, (name, flags, mode) in enumerate(missing):
        if getattr(sys, name) is not None:
            continue
        descriptor = os.open(os.devnull, flags)
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open until the process ends


def standard_lines(on_lost: Callable[[], None] | None = None) -> tuple[Lines, Lines]:
    """Return lines to standard output and to standard error; ``on_lost`` is about standard output."""
    flush_output()
    return Lines(sys.stdout, on_lost), Lines(sys.stderr)
