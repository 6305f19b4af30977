"""The connections of a courier: plain sockets that never block, one request at a time on each.

Only the answer that says "stored" is understood; about any other the usual way has to find out.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import Final, NamedTuple

from aios3sync.core.etag import bare_etag

__all__ = ("LostError", "StoredReply", "WorkerConnection", "connect", "status_of", "stored")

_MAX_HEAD: Final = 16 * 1024
_BLOCKED: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_FACTS: Final = re.compile(
    rb"\r\n(etag|content-length|transfer-encoding|connection|x-amz-server-side-encryption|x-amz-version-id):"
    rb"[ \t]*([^\r\n]*)",
    re.IGNORECASE,
).findall


class LostError(Exception):
    """The connection is of no use any more; ``stale`` if it was closed before it said anything."""

    def __init__(self, *, stale: bool) -> None:
        super().__init__("the connection is lost")
        self.stale = stale


class StoredReply(NamedTuple):
    """What an endpoint says of an object that it stored; ``reusable`` tells of the connection."""

    etag: str
    encryption: str
    version_id: str
    reusable: bool


class WorkerConnection:
    """One connection.

    Attributes:
        number: of its descriptor.
        load: what it is sending, ``None`` while it is idle.
        began: when that began, on the monotonic clock.
        writing: a part of the request still waits to be taken.
    """

    __slots__ = ("_answer", "_rest", "_socket", "_used", "began", "load", "number", "writing")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._answer = b""
        self._rest = memoryview(b"")
        self._used = False
        self.number = connected.fileno()
        self.load: object = None
        self.began = 0.0
        self.writing = False

    def request(self, load: object, content: bytes) -> bool:
        """Begin to send one request; tell whether it was taken as a whole. Raises LostError."""
        self.load = load
        self.began = time.monotonic()
        self._answer = b""
        self._rest = memoryview(content)
        return self.write()

    def write(self) -> bool:
        """Go on sending; tell whether all of it is taken now. Raises LostError."""
        try:
            while self._rest:
                self._rest = self._rest[self._socket.send(self._rest) :]
        except _BLOCKED:
            self.writing = True
        except OSError as error:
            raise LostError(stale=self._used and not self._answer) from error
        else:
            self.writing = False
        return not self.writing

    def read(self) -> bytes:
        """The head of the answer when it is whole, else nothing yet; raises LostError."""
        try:
            piece = self._socket.recv(_MAX_HEAD)
        except _BLOCKED:
            return b""
        except OSError as error:
            raise LostError(stale=self._used and not self._answer) from error
        if not piece or self.load is None:
            raise LostError(stale=self._used and not self._answer)
        self._answer += piece
        if not self._answer.endswith(b"\r\n\r\n"):
            if b"\r\n\r\n" in self._answer or len(self._answer) > _MAX_HEAD:
                return self._answer  # a body: not what "stored" looks like
            return b""
        if self.writing:
            raise LostError(stale=False)  # answered before it was asked
        self._used = True
        return self._answer

    def close(self) -> None:
        """Close at once."""
        self._socket.close()


def stored(head: bytes) -> StoredReply | None:
    """The answer of an endpoint that stored the object; ``None`` for every other one."""
    if not head.startswith(b"HTTP/1.1 200") or not head.endswith(b"\r\n\r\n"):
        return None
    facts = {name.lower(): value for name, value in _FACTS(head)}
    etag = facts.get(b"etag", b"")
    if facts.get(b"content-length", b"").strip() != b"0" or b"transfer-encoding" in facts:
        return None
    if not etag.strip(b' "') or not head.isascii():
        return None
    return StoredReply(
        bare_etag(etag.decode("ascii")),
        facts.get(b"x-amz-server-side-encryption", b"").decode("ascii").strip(),
        facts.get(b"x-amz-version-id", b"").decode("ascii").strip(),
        facts.get(b"connection", b"").strip().lower() != b"close",
    )


def status_of(head: bytes) -> int:
    """The status of an answer, 0 where that cannot be read."""
    parts = head[:32].split(b" ", 2)
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def connect(host: str, port: int, tls: ssl.SSLContext | None, timeout: float) -> WorkerConnection:
    """Open a connection. Blocks: call it in a thread. Raises OSError."""
    plain = socket.create_connection((host, port), timeout)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected = tls.wrap_socket(plain, server_hostname=host) if tls else plain
    except BaseException:
        plain.close()
        raise
    connected.setblocking(False)
    return WorkerConnection(connected)
