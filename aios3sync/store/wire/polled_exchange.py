"""PolledExchange: many requests at once over several connections, for a run without an event loop.

One thread waits for all connections with poll(2), which needs no module that takes time to load. It neither
repeats requests nor follows redirects: anything unusual is an error, after which it is not known which of the
requests in flight had an effect.
"""

from __future__ import annotations

import math
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final, Generic, TypeVar
from aios3sync.store.wire.blocking_connection import AT_ONCE
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.plain_answer import PlainAnswer
from aios3sync.store.wire.requests import HttpRequest

__all__ = ("Exchanged", "PolledExchange")

T = TypeVar("T")

_FIRST_CONNECTIONS: Final = 4
"""So many are opened at once; twice as many whenever none of them is ready for :data:`_PAUSE_MS`."""
_PAUSE_MS: Final = 3
_FIRST_BYTES: Final = 2 * 2**20
"""Bytes of bodies in flight at first. Each body that is answered hardly later than the quickest one adds its
size, so that a slow line gets few bodies at a time, and a fast one is filled, however long it is."""
_MOST_BYTES: Final = 6 * 2**20
"""Each byte is in memory twice, with the head of its request and without; a run stays below 45 MB so."""
_HARDLY_S: Final = 0.15
_SILENCE_S: Final = 5.0
"""Seconds without a byte on any connection, after which no response is waited for any more. What is repeated
after that may be stored twice, so this is longer than an endpoint takes that is only slow."""


class Exchanged(NamedTuple, Generic[T]):
    """A request that has its response.

    Attributes:
        tag: of the caller.
        response: of the endpoint.
    """

    tag: T
    response: HttpResponse


class PolledExchange(Generic[T]):
    """Exchanges requests and responses with one endpoint. Every method blocks.

    Args:
        endpoint: the other end.
        most: connections that are open at once.

    Raises:
        OSError: the endpoint cannot be reached.
    """

    def __init__(self, endpoint: BlockingEndpoint, most: int) -> None:
        self._endpoint = endpoint
        self._most = most
        self._aimed = min(most, _FIRST_CONNECTIONS)
        self._poll = select.poll()
        first = endpoint.connected()
        self._family, self._peer = first.family, first.getpeername()
        self._idle: list[_Line[T]] = []
        self._busy: dict[int, _Line[T]] = {}
        self._bytes, self._allowed = 0, _FIRST_BYTES
        self._quickest = math.inf
        self._opened = 0
        self._add(first)

    def responses(self, requests: Iterator[tuple[T, HttpRequest]]) -> Iterator[Exchanged[T]]:
        """Send the requests, and yield each with its response, in the order of the responses.

        A request is taken when it can be sent.

        Raises:
            NotPlainError: a response is not HTTP, or is incomplete.
            OSError: there is none, or a request cannot be sent.
        """
        waiting = next(requests, None)
        while waiting is not None or self._busy:
            while waiting is not None and (line := self._free(len(waiting[1].body))) is not None:
                yield from self._begin(line, *waiting)
                waiting = next(requests, None)
            if self._busy:
                yield from self._wait(grows=waiting is not None)

    def close(self) -> None:
        """Close all connections, and give up what is in flight."""
        for line in (*self._idle, *self._busy.values()):
            line.socket.close()
        self._idle.clear()
        self._busy.clear()

    def _free(self, size: int) -> _Line[T] | None:
        """Return a connection for a body of so many bytes, or ``None`` while there is none."""
        if self._bytes and self._bytes + size > self._allowed:
            return None
        if not self._idle and self._opened < self._aimed:
            self._add(self._connecting())
        return self._idle.pop() if self._idle else None

    def _connecting(self) -> socket.socket:
        connection = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(BlockingIOError):
                connection.connect(self._peer)
        except BaseException:
            connection.close()
            raise
        return connection

    def _add(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._idle.append(_Line(self._endpoint, connection))
        self._opened += 1

    def _begin(self, line: _Line[T], tag: T, request: HttpRequest) -> Iterator[Exchanged[T]]:
        line.begin(tag, self._endpoint.message(request), len(request.body))
        self._bytes += line.size
        self._busy[line.number] = line
        self._poll.register(line.number, select.POLLOUT)
        line.awaited = select.POLLOUT
        if line.is_established:
            yield from self._advance(line)

    def _wait(self, *, grows: bool) -> Iterator[Exchanged[T]]:
        """Wait for any connection; without a sign of one, aim at more connections if there is work."""
        may_grow = grows and self._aimed < self._most
        ready = self._poll.poll(_PAUSE_MS if may_grow else _SILENCE_S * 1000)
        if not ready:
            if not may_grow:
                raise TimeoutError("the endpoint does not answer")
            self._aimed = min(self._most, 2 * self._aimed)
        for number, _ in ready:
            yield from self._advance(self._busy[number])

    def _advance(self, line: _Line[T]) -> Iterator[Exchanged[T]]:
        answer = line.answer
        awaited = line.advance()
        if awaited:
            if awaited != line.awaited:
                self._poll.modify(line.number, awaited)
                line.awaited = awaited
            return
        self._poll.unregister(line.number)
        del self._busy[line.number]
        self._bytes -= line.size
        took = time.monotonic() - line.began
        self._quickest = min(self._quickest, took)
        if took - self._quickest < _HARDLY_S:
            self._allowed = min(_MOST_BYTES, self._allowed + line.size)
        if answer.keeps_alive:
            self._idle.append(line)
        else:
            line.socket.close()
            self._opened -= 1
        yield Exchanged(line.tag, answer.response())


class _Line(Generic[T]):
    """One connection and the request on it.

    Attributes:
        socket: never blocks.
        number: of the file.
        tag, size, began, answer: of the request; bytes of its body, a time of the monotonic clock.
        awaited: what poll(2) waits for.
        is_established: whether a request can be sent at once.
    """

    tag: T
    size: int
    began: float

    def __init__(self, endpoint: BlockingEndpoint, connection: socket.socket) -> None:
        self.socket = connection
        self.number = connection.fileno()
        self.awaited = 0
        self.is_established = False
        self.answer = PlainAnswer()
        self._endpoint = endpoint
        self._is_encrypted = False
        self._out = memoryview(b"")

    def begin(self, tag: T, message: bytes, size: int) -> None:
        """Take the next request."""
        self.tag, self.size, self.began = tag, size, time.monotonic()
        self._out = memoryview(message)
        self.answer = PlainAnswer()

    def advance(self) -> int:
        """Do what is possible now; return what to wait for, 0 if the response is complete.

        Raises:
            NotPlainError, OSError: as :meth:`PolledExchange.responses`.
        """
        awaited = select.POLLOUT
        try:
            if not self.is_established:
                self._establish()
            while self._out:
                self._out = self._out[self.socket.send(self._out) :]
            awaited = select.POLLIN
            while not self.answer.ended:
                self.answer.feed(self.socket.recv(AT_ONCE))
        except BlockingIOError:
            return awaited
        except OSError as error:
            if self._is_encrypted and (asked := _asked_by_tls(error)):
                return asked
            raise
        return 0

    def _establish(self) -> None:
        """Complete the connection; poll(2) has said that it is established or refused."""
        if code := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        if self._endpoint.secure:
            if not self._is_encrypted:
                self.socket = self._endpoint.encrypted(self.socket, shake=False)
                self._is_encrypted = True
            self.socket.do_handshake()  # type: ignore[attr-defined]
        self.is_established = True


def _asked_by_tls(error: OSError) -> int:
    """Return what TLS waits for before it can go on; 0 for any other error."""
    import ssl

    if isinstance(error, ssl.SSLWantReadError):
        return select.POLLIN
    return select.POLLOUT if isinstance(error, ssl.SSLWantWriteError) else 0
