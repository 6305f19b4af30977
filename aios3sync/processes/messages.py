"""What a session and its couriers tell each other: plain tuples, as they cross a pipe. No I/O."""

from __future__ import annotations

import marshal
import os
from typing import Any, Final, NamedTuple

__all__ = (
    "KIND",
    "LENGTH",
    "OTHER_CHARSET",
    "PARCELS",
    "RECALL",
    "RECALLED",
    "ROUTE",
    "SLOW",
    "UNSENT",
    "HeaderTemplateMessage",
    "RouteMessage",
    "Told",
    "Undone",
    "framed",
    "length_of",
    "receive",
    "send",
    "unframed",
)

ROUTE: Final = "route"
"""``(ROUTE, *RouteMessage)``: how the bucket is reached from now on."""
KIND: Final = "kind"
"""``(KIND, *HeaderTemplateMessage)``: headers that many jobs share."""
PARCELS: Final = "jobs"
"""``(PARCELS, slots, skew, first, [UploadJob, ...])``: what to send, numbered from ``first`` on, and how
much at once from now on."""

RECALL: Final = "cancel_pending"
"""``(RECALL,)``: what was not begun comes back."""

UNSENT: Final = -1
"""The status of a job that no request was made for."""
RECALLED: Final = "recalled"
"""The reason that comes back with jobs that were asked back."""
OTHER_CHARSET: Final = "the body is not UTF-8"
"""The reason that comes back with jobs whose headers would be wrong."""
SLOW: Final = "the storage is slow"
"""The reason that comes back with jobs whose files more readers should bring."""


class RouteMessage(NamedTuple):
    """How a bucket is reached, and what requests are signed with.

    Attributes:
        access_key, secret_key, token, region, service: of signatures.
        authority, root, user_agent: of heads, see :class:`~aios3sync.store.wire.signing.HeadWriter`.
        host, port: where connections lead to.
        trust: ``None`` for plain HTTP, else the fields of :class:`~aios3sync.store.wire.tls.Trust`.
        connect, read: time-outs in seconds.
    """

    access_key: str
    secret_key: str
    token: str
    region: str
    service: str
    authority: str
    root: str
    user_agent: str
    host: str
    port: int
    trust: tuple[bool, str | None, str | None] | None
    connect: float
    read: float


class HeaderTemplateMessage(NamedTuple):
    """Headers that files share, and where their own values belong.

    Attributes:
        number: of the kind.
        constant: headers with their values.
        varying: names of the headers that vary, see :func:`~aios3sync.store.wire.requests.put_shape`.
        metadata: values of the metadata, whose headers are the last of these.
        mtime: place among them of the file's mtime.
        md5: place among them of the file's MD5 as rclone writes it, -1 where it is not written.
        utf8: the headers are true of bodies in UTF-8 alone.
    """

    number: int
    constant: dict[str, str]
    varying: tuple[str, ...]
    metadata: tuple[str, ...]
    mtime: int
    md5: int = -1
    utf8: bool = False


Told = tuple[int, bytes, int, str, str, str]
"""A job that was stored: number, MD5, start of the reading (ns), ETag, encryption, version id."""
Undone = tuple[int, int, str]
"""A job that has to go the usual way: number, HTTP status (0 without an answer, UNSENT), reason."""


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
