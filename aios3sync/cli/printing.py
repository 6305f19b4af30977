"""Text for terminals and pipes: escapes what a terminal would obey, notices a reader that left."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO, TextIO

__all__ = (
    "Lines",
    "count",
    "duration",
    "open_missing_streams",
    "printable",
    "size_text",
    "standard_lines",
)


def printable(text: str) -> str:
    """The text with everything escaped that is not a visible character: file names may hold anything."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def size_text(size: float) -> str:
    """Bytes for people: ``3.4 MB``; powers of 1000, as disks and networks count."""
    if size < 999.5:
        return "1 byte" if size == 1 else f"{size:.0f} bytes"
    units = ("kB", "MB", "GB", "TB")
    power = next((n for n in range(1, 4) if size < 999.5 * 1000**n), 4)
    scaled = size / 1000**power
    return f"{scaled:.{0 if scaled >= 99.95 else 1}f} {units[power - 1]}"


def count(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: ``1 file``, ``12,000 files``."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}"


def duration(seconds: float) -> str:
    """A duration in its largest unit: ``0.4 s``, ``12 s``, ``3 min``, ``3 h``, ``2 days``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, length, unit in ((100, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


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
        """Write one line of text."""
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
