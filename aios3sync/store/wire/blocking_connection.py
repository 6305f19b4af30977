"""BlockingConnection: one connection to the endpoint of a bucket, for a run without an event loop.

One request after another. It neither repeats requests nor follows redirects: anything unusual is an error.
"""

from __future__ import annotations

import socket

from aios3sync._typing import Final
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.plain_answer import PlainAnswer
from aios3sync.store.wire.requests import HttpRequest

__all__ = ("AT_ONCE", "BlockingConnection")

_PATIENCE_S: Final = 1.0
"""Seconds to wait for bytes of a response; a run would show that it waits."""
AT_ONCE: Final = 256 * 1024
"""Bytes that are received with one call."""


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
        answer = PlainAnswer()
        while not answer.ended:
            answer.feed(self._socket.recv(AT_ONCE))
        self._ended = not answer.keeps_alive
        return answer.response()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _connected(self) -> socket.socket:
        return self._endpoint.encrypted(self._endpoint.connected(), shake=True)
