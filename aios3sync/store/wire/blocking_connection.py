"""BlockingConnection: one connection to the endpoint of a bucket, for a run without an event loop.

One request after another. It neither repeats requests nor follows redirects: anything unusual is an error.
"""

from __future__ import annotations

import socket

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from aios3sync._typing import Final
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint, NotPlainError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.requests import MAX_XML, HttpRequest

__all__ = ("AT_ONCE", "OK", "Answer", "BlockingConnection")

_PATIENCE_S: Final = 1.0
"""Seconds to wait for bytes of a response; a run would show that it waits."""
AT_ONCE: Final = 256 * 1024
"""Bytes that are received with one call."""
OK: Final = 200


class BlockingConnection:
    """One connection. Every method blocks, in each of its steps for a second at most.

    Args:
        endpoint: the other end.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, endpoint: BlockingEndpoint) -> None:
        self._endpoint = endpoint
        self._socket = self._connected()
        self._ended = False

    def send(self, request: HttpRequest) -> None:
        """Send a request, on a new connection if the endpoint has closed the last one.

        Raises:
            OSError: it cannot be sent.
        """
        if self._ended:
            self._socket.close()
            self._socket = self._connected()
        self._socket.settimeout(_PATIENCE_S)
        self._socket.sendall(self._endpoint.message(request))

    def receive(self) -> HttpResponse:
        """Wait for the response to the request that was sent.

        Raises:
            NotPlainError: the response is not HTTP, or is incomplete.
            OSError: there is none.
        """
        answer = Answer()
        while not answer.ended:
            answer.feed(self._socket.recv(AT_ONCE))
        self._ended = not answer.keeps_alive
        return answer.response()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _connected(self) -> socket.socket:
        return self._endpoint.encrypted(self._endpoint.connected(), shake=True)


class Answer:
    """One HTTP response while it is received; the parser calls the methods ``on_…``.

    Attributes:
        status: of the response; the body of a refusal is not waited for.
        headers: names in lower case.
        body: its pieces.
        ended: whether it is complete.
        keeps_alive: whether another request may follow on its connection.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.ended = False
        self.keeps_alive = False
        self._received = 0
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take the next bytes; none where the connection has ended.

        Raises:
            NotPlainError: they are not those of a response.
        """
        if not data:
            raise NotPlainError("the connection ended before the answer")
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            raise NotPlainError("the answer is not HTTP, or there is another one after it") from None
        if self._received > MAX_XML:
            raise NotPlainError("the answer is too long")

    def response(self) -> HttpResponse:
        """Return the response."""
        return HttpResponse(self.status, self.headers, b"".join(self.body))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Check the status: a refusal is left to a store, which reports it."""
        if self.ended:
            raise NotPlainError("another answer after the one that was asked for")
        self.status = self._parser.get_status_code()
        self.ended = self.status != OK

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """The response is complete."""
        self.keeps_alive = self._parser.should_keep_alive()
        self.ended = True
