"""The connections of a process: plain sockets that never block, one request at a time on each.

Only the response of a success is parsed; after any other one the session does the job itself.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.etag import bare_etag
from aios3sync.processes.download_response import body_size

__all__ = (
    "UNEXPECTED",
    "ConnectionLostError",
    "StoredResponse",
    "WorkerConnection",
    "connect",
    "parse_stored",
    "refusal_code",
    "status_of",
)

UNEXPECTED: Final = "UnexpectedAnswer"
"""The code of a success that only the session can check."""
_MAX_HEAD: Final = 16 * 1024
_WOULD_BLOCK: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_find_headers: Final = re.compile(
    rb"\r\n(etag|content-length|transfer-encoding|connection|x-amz-server-side-encryption|x-amz-version-id):"
    rb"[ \t]*([^\r\n]*)",
    re.IGNORECASE,
).findall
_find_code: Final = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,100})\s*</Code>").search


class ConnectionLostError(Exception):
    """The connection can no longer be used.

    Attributes:
        stale: whether it had served a request before and no byte of a response was received: then the
            endpoint had closed it while it was idle, and the request may be sent again.
    """

    def __init__(self, *, stale: bool) -> None:
        super().__init__("the connection is lost")
        self.stale = stale


class StoredResponse(NamedTuple):
    """The response of an endpoint that has stored an object; ``reusable``: the connection stays open."""

    etag: str
    encryption: str
    version_id: str
    reusable: bool


class WorkerConnection:
    """One connection to the endpoint.

    Attributes:
        descriptor: of its socket.
        in_flight: what the caller passed with the request in flight; ``None`` while it is idle.
        started: when that request began, on the monotonic clock.
        writing: whether a part of the request was not accepted by the socket yet.
    """

    __slots__ = ("_response", "_socket", "_unsent", "_used", "descriptor", "in_flight", "started", "writing")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._response = b""
        self._unsent = memoryview(b"")
        self._used = False
        self.descriptor = connected.fileno()
        self.in_flight: object = None
        self.started = 0.0
        self.writing = False

    @property
    def seconds(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self.started

    def request(self, in_flight: object, content: bytes) -> bool:
        """Begin to send a request; return whether the socket took all of it. Raises ConnectionLostError."""
        self.in_flight = in_flight
        self.started = time.monotonic()
        self._response = b""
        self._unsent = memoryview(content)
        return self.write()

    def write(self) -> bool:
        """Continue to send; return whether the socket took all of it. Raises ConnectionLostError."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except _WOULD_BLOCK:
            self.writing = True
        except OSError as error:
            raise ConnectionLostError(stale=self._used and not self._response) from error
        else:
            self.writing = False
        return not self.writing

    def read(self) -> bytes:
        """Return the head of the response once it is complete, until then ``None``.

        Raises:
            ConnectionLostError: the connection broke, or a response was received without a request, or before
                the request was sent.
        """
        if not self._receive(_MAX_HEAD):
            return b""
        if not self._response.endswith(b"\r\n\r\n"):
            if b"\r\n\r\n" in self._response or len(self._response) > _MAX_HEAD:
                return self._response  # it has a body, so that it does not say "stored"
            return b""
        return self._whole_response()

    def read_with_body(self, size: int) -> bytes:
        """Return head and body of the response once both are complete, until then ``None``.

        A response whose body does not have ``size`` bytes is returned without waiting for the rest.

        Raises:
            ConnectionLostError: the connection broke, or a response was received without a request, or before
                the request was sent.
        """
        while not self._has_body(size):
            if not self._receive(_MAX_HEAD + size):
                return b""
        return self._whole_response()

    def _receive(self, most: int) -> bool:
        """Receive at most ``most`` bytes of the response; return whether there were any."""
        try:
            piece = self._socket.recv(most)
        except _WOULD_BLOCK:
            return False
        except OSError as error:
            raise ConnectionLostError(stale=self._used and not self._response) from error
        if not piece or self.in_flight is None:
            raise ConnectionLostError(stale=self._used and not self._response)
        self._response += piece
        return True

    def _whole_response(self) -> bytes:
        if self.writing:  # what is left of it would be taken for the next one
            raise ConnectionLostError(stale=False)
        self._used = True
        return self._response

    def _has_body(self, size: int) -> bool:
        end = self._response.find(b"\r\n\r\n")
        if end < 0:
            return len(self._response) > _MAX_HEAD
        return body_size(self._response[: end + 2]) != size or len(self._response) >= end + 4 + size

    def close(self) -> None:
        """Close at once."""
        self._socket.close()


def parse_stored(head: bytes) -> StoredResponse | None:
    """Return the response of an endpoint that has stored the object; ``None`` for any other response."""
    if not head.startswith(b"HTTP/1.1 200") or not head.endswith(b"\r\n\r\n"):
        return None
    headers = {name.lower(): value for name, value in _find_headers(head)}
    etag = headers.get(b"etag", b"")
    if headers.get(b"content-length", b"").strip() != b"0" or b"transfer-encoding" in headers:
        return None
    if not etag.strip(b' "') or not head.isascii():
        return None
    return StoredResponse(
        bare_etag(etag.decode("ascii")),
        headers.get(b"x-amz-server-side-encryption", b"").decode("ascii").strip(),
        headers.get(b"x-amz-version-id", b"").decode("ascii").strip(),
        headers.get(b"connection", b"").strip().lower() != b"close",
    )


def status_of(head: bytes) -> int:
    """Return the status of a response; 0 where it cannot be parsed."""
    parts = head[:32].split(b" ", 2)
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def refusal_code(response: bytes) -> str:
    """Return the error code of a response that is no plain success, or its status where it has no code.

    It does not wait for the body of a refusal. A success that is not plain has a code of our own.
    """
    found = _find_code(response)
    if found is not None:
        return found[1].decode("ascii")
    status = status_of(response)
    return UNEXPECTED if status < 300 else str(status)


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
