"""Reads and writes standard input and output: pipes, terminals and files without a known name.

The calls block, in threads; each checks at short intervals whether a stop is set, so that a program can end
although the other side of its pipe does nothing.
"""

from __future__ import annotations

import io
import os
import select
import stat
import threading
from typing import IO, Final

__all__ = ("read_stream", "write_stream")

_MOMENT_S: Final = 0.2
_PIPE_BUF: Final = select.PIPE_BUF
"""Bytes that a pipe which is ready accepts without blocking (POSIX)."""


def read_stream(stream: IO[bytes], size: int, stop: threading.Event) -> bytes:
    """Read up to ``size`` bytes; fewer only at the end, or where ``stop`` is set.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = _descriptor(stream)
    if descriptor < 0:
        return stream.read(size)
    parts: list[bytes] = []
    while size > 0 and not stop.is_set():
        if not select.select([descriptor], [], [], _MOMENT_S)[0]:
            continue
        part = os.read(descriptor, size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def write_stream(stream: IO[bytes], body: bytes, stop: threading.Event) -> None:
    """Write all bytes, bypassing the buffer of the stream, which must be empty; end early if ``stop`` is set.

    Raises:
        OSError: the reader has closed the pipe, the disk is full, or another error.
    """
    descriptor = _descriptor(stream)
    if descriptor < 0:
        stream.write(body)
        return
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    rest = memoryview(body)
    while rest and not stop.is_set():
        if is_file:
            rest = rest[os.write(descriptor, rest) :]
        elif select.select([], [descriptor], [], _MOMENT_S)[1]:
            rest = rest[os.write(descriptor, rest[:_PIPE_BUF]) :]


def _descriptor(stream: IO[bytes]) -> int:
    """Return the descriptor of a stream; -1 where it has none, as in memory."""
    try:
        return stream.fileno()
    except (OSError, io.UnsupportedOperation):
        return -1
