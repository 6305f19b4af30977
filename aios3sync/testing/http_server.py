"""canned_server: an HTTP server that sends the responses of a script, also malformed ones; for tests only.

::

    async with canned_server() as server:
        server.will(503, error_body("SlowDown"), {"Retry-After": "7"})
        server.will(200, b"half of it", {"Content-Length": "100"}, close=True)
        server.will(hang=True)
        server.will(drop=True)
"""

from __future__ import annotations

import http.client
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import md5
from ssl import SSLContext
from typing import Final

from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
    Event,
    IncompleteRead,
    create_task_group,
    create_tcp_listener,
)
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

from aios3sync._dataclass import dataclass, field, replace

__all__ = ("CannedRequest", "CannedServer", "canned_server", "error_body")

_LONGEST_HEAD: Final = 65536


def error_body(code: str, message: str = "", **more: str) -> bytes:
    """Return an S3 error document."""
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{elements}</Error>".encode()


@dataclass(frozen=True, slots=True)
class CannedRequest:
    """One request as it was received; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    body: bytes
    headers: Mapping[str, str]
    close: bool
    hang: bool
    drop: bool


@dataclass(slots=True)
class CannedServer:
    """The script and the received requests; after its end every response is a 200 with the ETag of the body.

    Attributes:
        url: where it listens.
        judge: returns status and body of the response to a request for which the script has none, or ``None``
            for the default.
        requests: all received requests, in order.
        connections: how many clients have connected.
        hanging: set when a request waits for a response that never comes.
        hung_up: set when the client of such a request closed the connection.
    """

    url: str
    requests: list[CannedRequest] = field(default_factory=list)
    connections: int = 0
    hanging: Event = field(default_factory=Event)
    hung_up: Event = field(default_factory=Event)
    judge: Callable[[CannedRequest], tuple[int, bytes] | None] | None = None
    _script: deque[_Response] = field(default_factory=deque)

    def will(
        self,
        status: int = 200,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        close: bool = False,
        hang: bool = False,
        drop: bool = False,
    ) -> None:
        """Add a response to the script; ``close`` ends the connection after it, ``hang`` never responds.

        ``drop`` ends the connection without a response.
        """
        self._script.append(_Response(status, body, headers or {}, close, hang, drop))

    async def serve(self, stream: ByteStream) -> None:
        """Respond to the requests of one connection; called by the listener."""
        self.connections += 1
        async with stream:
            try:
                while await self._respond(stream, BufferedByteReceiveStream(stream)):
                    pass
            except (BrokenResourceError, ClosedResourceError, EndOfStream, IncompleteRead):
                return

    async def _respond(self, stream: ByteStream, received: BufferedByteReceiveStream) -> bool:
        request = await _read_request(stream, received)
        self.requests.append(request)
        digest = md5(request.body, usedforsecurity=False).hexdigest()
        default = _Response(200, b"", {"ETag": f'"{digest}"'}, False, False, False)
        judged = self.judge(request) if self.judge and not self._script else None
        if judged is not None:
            default = replace(default, status=judged[0], body=judged[1])
        response = self._script.popleft() if self._script else default
        if response.drop:
            return False
        if response.hang:
            self.hanging.set()
            await _until_closed(stream)
            self.hung_up.set()
            return False
        headers = {"Content-Length": str(len(response.body)), **response.headers}
        lines = [f"HTTP/1.1 {response.status} {http.client.responses.get(response.status, 'Odd')}"]
        lines += [f"{name}: {value}" for name, value in headers.items() if value]
        body = b"" if request.method == "HEAD" else response.body
        await stream.send("\r\n".join([*lines, "", ""]).encode() + body)
        return not response.close


@asynccontextmanager
async def canned_server(tls: SSLContext | None = None) -> AsyncIterator[CannedServer]:
    """Listen on a free port of loopback until the block ends; over HTTPS with the certificate of ``tls``."""
    async with await create_tcp_listener(local_host="127.0.0.1") as plain, create_task_group() as group:
        port = plain.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
        server = CannedServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
        listener = TLSListener(plain, tls, standard_compatible=False) if tls else plain
        group.start_soon(listener.serve, server.serve)
        yield server
        group.cancel_scope.cancel()


async def _read_request(stream: ByteStream, received: BufferedByteReceiveStream) -> CannedRequest:
    head = (await received.receive_until(b"\r\n\r\n", _LONGEST_HEAD)).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect"):
        await stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = int(headers.get("content-length", "0"))
    body = await received.receive_exactly(length) if length else b""
    return CannedRequest(method, path, headers, body)


async def _until_closed(stream: ByteStream) -> None:
    try:
        while True:
            await stream.receive()
    except (BrokenResourceError, EndOfStream):
        return
