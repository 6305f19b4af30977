"""Messages between a session and its couriers, as frames on pipes; both ends are this very package."""

from __future__ import annotations

import marshal
import os
from typing import Any, Final

__all__ = ("LENGTH", "framed", "length_of", "receive", "send", "unframed")

LENGTH: Final = 8
"""Bytes in front of each frame that tell its length, little end first."""
_MOST: Final = 256 * 1024 * 1024
"""Bytes of a frame. A longer one is none: its end would be waited for for ever."""


def framed(message: Any) -> bytes:
    """A message of plain values (tuples, lists, texts, bytes, numbers) as it is written."""
    frame = marshal.dumps(message)
    return len(frame).to_bytes(LENGTH, "little") + frame


def unframed(frame: bytes) -> Any:
    """The message of a frame, without its length."""
    return marshal.loads(frame)  # noqa: S302 - written by the other end, which is trusted like this one


def length_of(head: bytes) -> int:
    """The length that the bytes in front of a frame tell. Raises ValueError if no frame is that long."""
    length = int.from_bytes(head, "little")
    if length > _MOST:
        raise ValueError(f"no frame has {length} bytes")
    return length


def send(descriptor: int, message: Any) -> None:
    """Write a message; blocks until all of it is taken. Raises BrokenPipeError when nobody reads."""
    rest = memoryview(framed(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int) -> Any:
    """Read a message; blocks until it is whole. Raises EOFError when no more come."""
    return unframed(_exactly(descriptor, length_of(_exactly(descriptor, LENGTH))))


def _exactly(descriptor: int, size: int) -> bytes:
    pieces = []
    while size:
        piece = os.read(descriptor, size)
        if not piece:
            raise EOFError
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
