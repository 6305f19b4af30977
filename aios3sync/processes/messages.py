"""The messages between a session and its processes: plain tuples, framed for a pipe."""

from __future__ import annotations

import marshal
import os
from typing import Any, Final

from aios3sync._namedtuple import NamedTuple

__all__ = (
    "CANCELLED",
    "CANCEL_PENDING",
    "DISK_FULL",
    "HEADER_TEMPLATE",
    "JOBS",
    "LENGTH",
    "NOT_UTF8",
    "RETURNED",
    "ROUTE",
    "SLOW_STORAGE",
    "TREE",
    "UNSENT",
    "HeaderTemplateMessage",
    "RouteMessage",
    "frame",
    "length_of",
    "receive",
    "send",
    "unframe",
)

# From the session to a process

ROUTE: Final = "route"
"""``(ROUTE, *RouteMessage)``: the route to the bucket from now on. This is the first message."""
HEADER_TEMPLATE: Final = "header template"
"""``(HEADER_TEMPLATE, *HeaderTemplateMessage)``: headers that many jobs share."""
TREE: Final = "tree"
"""``(TREE, *DownloadTree)``: the directory of a download process; sent before its first job."""
JOBS: Final = "jobs"
"""``(JOBS, slots, skew, first, [job, ...])``: files to send or objects to fetch, numbered from ``first`` on;
the number of requests that may be in flight at once from now on; and the clock skew in seconds."""
CANCEL_PENDING: Final = "cancel pending"
"""``(CANCEL_PENDING,)``: jobs that have not begun are returned."""

# From a process to the session: lists of results, each a tuple that begins with the number of its job
#
# - its object was stored: MD5 (bytes), start of reading (ns), SHA-256, ETag, encryption, version id, seconds
# - its object is a file now: encryption, start of writing (ns); mtime, ctime and inode; seconds
# - the session has to do it itself: HTTP status (0 without a response, or UNSENT); the reason, which is the
#   error code where there was a response; seconds
#
# The seconds are those of the request, 0.0 where none was made.

RETURNED: Final = 4
"""Length of the result of a job that the session has to do itself; no other result has it."""

UNSENT: Final = -1
"""The status of a job for which no request was made."""
CANCELLED: Final = "cancelled before it began"
"""The reason for jobs that are returned because of CANCEL_PENDING."""
DISK_FULL: Final = "the disk is full"
"""The reason for a job for whose file there is no space; then all others are returned as well."""
NOT_UTF8: Final = "the body is not UTF-8"
"""The reason for jobs whose headers would be wrong."""
SLOW_STORAGE: Final = "the storage is slow"
"""The reason for jobs whose files are read faster by many readers at once."""


class RouteMessage(NamedTuple):
    """The route to a bucket, and what requests are signed with.

    Attributes:
        access_key, secret_key, token, region, service: for signatures.
        authority, root, user_agent: for request heads, see :class:`~aios3sync.store.wire.signing.HeadWriter`.
        host, port: of the connections.
        authorities: ``None`` for plain HTTP, else the fields of
            :class:`~aios3sync.store.wire.tls.TrustedAuthorities`.
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
    authorities: tuple[bool, str | None, str | None] | None
    connect: float
    read: float


class HeaderTemplateMessage(NamedTuple):
    """Headers that files share, and the places of each file's own values.

    Attributes:
        number: of the template.
        constant: headers with their values.
        varying: names of the headers that vary, see :func:`~aios3sync.store.wire.requests.put_template`.
        metadata: values of the metadata, whose headers are the last ones of ``varying``.
        mtime: index in ``metadata`` of the file's mtime.
        md5: index in ``metadata`` of the file's MD5 as rclone writes it, -1 where it is not written.
        utf8: whether the headers are correct only for bodies in UTF-8.
    """

    number: int
    constant: dict[str, str]
    varying: tuple[str, ...]
    metadata: tuple[str, ...]
    mtime: int
    md5: int = -1
    utf8: bool = False


# Framing

LENGTH: Final = 8
"""Bytes in front of each frame that hold its length, little-endian."""
_MAX_FRAME: Final = 256 * 1024 * 1024
"""Largest frame in bytes. A longer one is garbage, whose end would never be received."""


def frame(message: Any) -> bytes:
    """Return a message of plain values (tuples, lists, texts, bytes, numbers) as bytes, with its length."""
    content = marshal.dumps(message)
    return len(content).to_bytes(LENGTH, "little") + content


def unframe(content: bytes) -> Any:
    """Return the message of a frame, which is given without its length."""
    return marshal.loads(content)  # noqa: S302 - written by the other end, which is trusted like this one


def length_of(head: bytes) -> int:
    """Return the length of the frame that follows these LENGTH bytes.

    Raises:
        ValueError: it is longer than any frame.
    """
    length = int.from_bytes(head, "little")
    if length > _MAX_FRAME:
        raise ValueError(f"no frame has {length} bytes")
    return length


def send(descriptor: int, message: Any) -> None:
    """Write a message; blocks until the pipe has accepted all of it.

    Raises:
        BrokenPipeError: the other end is closed.
    """
    rest = memoryview(frame(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int) -> Any:
    """Read a message; blocks until it is complete.

    Raises:
        EOFError: the other end is closed.
    """
    return unframe(_read_exactly(descriptor, length_of(_read_exactly(descriptor, LENGTH))))


def _read_exactly(descriptor: int, size: int) -> bytes:
    pieces = []
    while size:
        piece = os.read(descriptor, size)
        if not piece:
            raise EOFError
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
