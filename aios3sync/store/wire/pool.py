"""The connections to one endpoint: kept alive, bounded in number and in time, used last in first out.

One timer is shared by all connections. There are no background tasks: the request that needs a connection
opens it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from functools import partial
from ipaddress import ip_address
from socket import SOCK_STREAM
from typing import Final

import anyio

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.text import printable
from aios3sync.store.answer_rate import AnswerRate
from aios3sync.store.protocol import Body
from aios3sync.store.wire.http1 import Connection, ExchangeError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.tls_layer import TlsLayer

__all__ = ("Limits", "Origin", "Pool")

_NAMES_LAST: Final = 30.0
_MOST_ADDRESSES: Final = 4
_CLOSING: Final = 5.0
_COUNTED: Final = 64 * 1024
"""Bytes from which a body counts in the rate of responses; to count smaller ones is not worth the time."""
_ACCEPTED: Final = 300


class Origin(NamedTuple):
    """The endpoint of connections; ``tls`` is ``None`` for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Limits(NamedTuple):
    """Limits of a pool; all except the first in seconds.

    Attributes:
        connections: most that are open at once.
        connect: until a connection is established, including TLS.
        read: without a byte in either direction while a response is due; longer where
            :class:`~aios3sync.store.answer_rate.AnswerRate` allows it.
        total: for one response, after the request was sent.
        idle: after which an unused connection is closed, before the endpoint does it (S3 waits longer).
    """

    connections: int
    connect: float = 10.0
    read: float = 60.0
    total: float = 3600.0
    idle: float = 12.0


class Pool:
    """Exchanges requests and responses with one endpoint."""

    def __init__(self, origin: Origin, limits: Limits) -> None:
        self._origin = origin
        self._limits = limits
        self._rate = AnswerRate(lambda: asyncio.get_running_loop().time())
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tick = max(0.005, min(1.0, limits.read / 4, limits.idle / 4))
        self._timer: asyncio.TimerHandle | None = None
        self._names = _Names(origin)
        self._closed = False
        self._empty = anyio.Event()

    def __repr__(self) -> str:
        host, port, tls = self._origin
        return (
            f"Pool({host}:{port}{', TLS' if tls else ''}, {len(self._open)} open, {len(self._idle)} idle, "
            f"{len(self._waiting)} waiting)"
        )

    @property
    def protected(self) -> bool:
        """Whether bytes cannot be changed in transit: over TLS with a checked certificate."""
        tls = self._origin.tls
        return tls is not None and tls.verify_mode == ssl.CERT_REQUIRED

    async def exchange(
        self,
        head: bytes,
        body: Body,
        *,
        idempotent: bool,
        is_head: bool,
        max_body: int,
        into: memoryview | None = None,
    ) -> HttpResponse:
        """Send one request and wait for its response; see :meth:`Connection.exchange` for ``into``.

        An idle connection that the endpoint has closed is no failure: the request is sent again on a new one,
        but only once if it is not idempotent.

        Raises:
            ExchangeError: there is no response, or none that can be used.
        """
        connection = self._idle.pop() if self._idle else await self._connected()
        if not connection.usable:
            connection = await self._connected()
        send = Connection.exchange if len(body) < _COUNTED else self._send
        try:
            answer = await send(connection, head, body, is_head=is_head, max_body=max_body, into=into)
        except ExchangeError as error:
            if not (error.unanswered and idempotent and connection.requests > 1):
                raise
            connection = await self._connected(fresh=True)
            answer = await send(connection, head, body, is_head=is_head, max_body=max_body, into=into)
        if connection.usable:
            self._idle.append(connection)
            if self._waiting:
                self._wake()
        else:
            connection.abort()
        return answer

    async def _send(
        self,
        connection: Connection,
        head: bytes,
        body: Body,
        *,
        is_head: bool,
        max_body: int,
        into: memoryview | None,
    ) -> HttpResponse:
        """Send one request whose body counts in the rate of responses."""
        accepted, size = False, len(body)
        self._rate.begin(size)
        try:
            answer = await connection.exchange(head, body, is_head=is_head, max_body=max_body, into=into)
            accepted = answer.status < _ACCEPTED
        finally:
            self._rate.end(size, accepted=accepted)
        return answer

    async def aclose(self) -> None:
        """Close all connections; requests in flight fail."""
        self._closed = True
        for connection in [*self._open]:
            connection.fail(ExchangeError("ConnectionLost", "the session is closed"))
        while self._waiting:
            self._wake()
        if self._open:
            # The sockets are shut already; what is waited for is that the loop says so.
            with anyio.move_on_after(_CLOSING, shield=True):
                await self._empty.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _connected(self, *, fresh: bool = False) -> Connection:
        """Return a connection for one request: a new one below the limit, else the next free one."""
        while True:
            if self._closed:
                raise ExchangeError("NoConnection", "the session is closed")
            while self._idle and not fresh:
                connection = self._idle.pop()
                if connection.usable:
                    return connection
            if len(self._open) + self._opening < self._limits.connections:
                return await self._opened()
            if fresh and self._idle:
                # Its place is what is needed; it is as old as the one that turned out to be closed.
                self._idle.pop(0).abort()
            await self._turn()

    async def _turn(self) -> None:
        """Wait until a connection becomes free or is closed."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._wake()  # not needed any more: the next one's turn
            else:
                self._waiting.remove(turn)
            raise

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _opened(self) -> Connection:
        """Connect to one address after another; the connection counts from the beginning."""
        self._opening += 1
        failure: OSError | TimeoutError = TimeoutError()
        try:
            with anyio.fail_after(self._limits.connect):
                addresses = await self._names.addresses()
                for left in range(len(addresses), 0, -1):
                    try:
                        with anyio.fail_after(self._limits.connect / left if left > 1 else None):
                            return await self._connection(addresses[-left])
                    except ssl.SSLCertVerificationError:
                        raise
                    except (OSError, TimeoutError) as error:
                        failure = error
            raise failure
        except ssl.SSLCertVerificationError as error:
            text = "the certificate of the endpoint is not trusted (--ca-bundle)"
            raise ExchangeError("Certificate", text) from error
        except (OSError, TimeoutError) as error:
            host, port, _ = self._origin
            reason = f"cannot reach the endpoint ({host}:{port}: {_reason(error)})"
            raise ExchangeError("NoConnection", reason) from error
        finally:
            self._opening -= 1
            if self._waiting:
                self._wake()

    async def _connection(self, address: str) -> Connection:
        host, port, tls = self._origin
        connection = Connection(self._made, self._lost)
        layer = TlsLayer(tls, host, connection) if tls else None
        try:
            await asyncio.get_running_loop().create_connection(lambda: layer or connection, address, port)
            if layer is not None:
                await layer.established()
        except BaseException:
            (layer or connection).abort()
            raise
        return connection

    def _made(self, connection: Connection) -> None:
        self._open.add(connection)
        if self._closed:
            connection.abort()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._sweep)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting:
            self._wake()
        if not self._open and self._closed:
            self._empty.set()

    def _sweep(self) -> None:
        """Count a tick, and end exchanges that take too long."""
        for connection in [*self._open]:
            connection.quiet += 1
            connection.ticks += 1
            if connection.busy:
                connection.look()
            # The first tick comes at any time of its interval: it does not count as a whole one.
            quiet = (connection.quiet - 1) * self._tick
            if not connection.busy:
                if quiet >= self._limits.idle:
                    connection.abort()
                continue
            if connection.quiet <= 1:
                connection.ahead = self._rate.pending
            late = quiet >= self._limits.read and quiet >= self._patience(connection)
            if late or (connection.ticks - 1) * self._tick >= self._limits.total:
                connection.fail(ExchangeError("Timeout", "no answer in time"))
        again = partial(asyncio.get_running_loop().call_later, self._tick, self._sweep)
        self._timer = again() if self._open else None

    def _patience(self, connection: Connection) -> float:
        """Return for how many seconds no progress is allowed: earlier bodies get their responses first."""
        return self._limits.read + self._rate.allowance(connection.ahead, self._limits.read)


class _Names:
    """The addresses of one host, resolved at intervals and used in turn."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._asking = anyio.Lock()
        self._found: list[str] = []
        self._until = 0.0

    async def addresses(self) -> list[str]:
        """Return some addresses, each time with another one first."""
        host = self._origin.host
        if _is_address(host):
            return [host]
        async with self._asking:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._until:
                found = await loop.getaddrinfo(host, self._origin.port, type=SOCK_STREAM)
                self._found = list(dict.fromkeys(str(address[0]) for *_, address in found))
                self._until = loop.time() + _NAMES_LAST
            self._found.append(self._found.pop(0))
            return self._found[:_MOST_ADDRESSES]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _reason(error: OSError | TimeoutError) -> str:
    if isinstance(error, TimeoutError) and not error.args:
        return "no connection in time"
    return printable(error.strerror or type(error).__name__)
