"""Standard output for the bytes of objects, and standard input as their source."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

import anyio

from aios3sync.cli.output.lines import note_lost
from aios3sync.concurrency import Stop, run_in_thread
from aios3sync.errors import DestinationError, SourceError
from aios3sync.local.streams import read_stream, write_stream

__all__ = ("read_standard_input", "write_standard_output")

_PIECE: Final = 1024 * 1024


async def read_standard_input() -> AsyncIterator[bytes]:
    """Yield the bytes of standard input in pieces of 1 MiB.

    Raises:
        SourceError: it cannot be read.
    """
    while True:
        try:
            piece = await run_in_thread(lambda ended: read_stream(sys.stdin.buffer, _PIECE, ended))
        except OSError as error:
            raise SourceError(f"standard input cannot be read: {error.strerror or error}") from None
        if not piece:
            return
        yield piece


async def write_standard_output(chunk: bytes, stop: Stop) -> None:
    """Write bytes; if the reader has closed the pipe, request a stop and wait for it: that is no error.

    Raises:
        DestinationError: they cannot be written.
    """
    try:
        await run_in_thread(lambda ended: write_stream(sys.stdout.buffer, chunk, ended))
    except BrokenPipeError as error:
        note_lost(error)
        stop.request(int(signal.SIGPIPE))
        await anyio.sleep_forever()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DestinationError(f"standard output cannot be written: {reason}") from None
