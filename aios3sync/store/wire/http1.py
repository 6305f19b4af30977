"""One HTTP/1.1 connection: one request at a time, with limits for the size and time of its response.

It knows nothing about S3, retries or other connections. Time is counted in ticks of the pool that owns it: no
request has a timer of its own.

Invariants
----------
* One request at a time: ``_answer`` is its future from the moment before its first byte is written until
  :meth:`Connection.exchange` ends, and ``None`` otherwise. It ends once: by ``_finish``, by ``fail`` or
  cancelled with its task; later calls see ``done()`` and do not change it.
* ``reusable`` never becomes true again. It stays true only if the whole request was sent, the whole response
  was read, both sides keep the connection alive, and no byte was received that belongs to no request. So the
  pool can never hand out a connection with the rest of another response in it.
* However an exchange fails, cancellation included, the connection is aborted before the exception leaves.
* Memory is bounded before it is used: a head by MAX_HEAD, a body by ``max_body``, and the framing of a body
  by its length; a body that is too long is not kept.
* ``_left <= _written``: bytes that left this machine, and bytes that were handed to the transport. Only
  progress sets ``quiet`` to 0: an increase of ``_left``, a byte from the endpoint, or a transport that
  accepts bytes again.
* While a body is sent that may not fit into one write, ``_spare`` is a duplicate descriptor of the socket:
  however the connection ends, what the endpoint sent before is read first, and a complete response wins. It
  is closed when the exchange ends.
* ``lost`` is called exactly once, and ``_transport`` is ``None`` from then on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from aios3sync.store.body_progress import BodyWatch, body_watch
from aios3sync.store.protocol import Body
from aios3sync.store.socket_state import is_readable, unacknowledged
from aios3sync.store.wire.body_receiver import BodyReceiver
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.tls_layer import TlsLayer

__all__ = ("MAX_HEAD", "Connection", "ExchangeError")

MAX_HEAD: Final = 64 * 1024
"""Bytes of the longest head of a response, including those of ``100 Continue`` before it."""

# Up to this size head and body leave in one piece: one copy is cheaper than one more system call.
_JOINED: Final = 64 * 1024
# Larger bodies leave in slices, so that one which is answered early need not be sent whole.
_SLICE: Final = 256 * 1024
# What chunked framing may cost on top of the body: 8 bytes for a chunk of one.
_FRAMING: Final = 8
# What a socket takes at once, so that no later write can fail before the answer was read.
_ONE_WRITE: Final = 16 * 1024
_PARTIAL: Final = 206


class ExchangeError(Exception):
    """A request without a usable response.

    Attributes:
        code: ``NoConnection`` (never sent), ``ConnectionLost``, ``Timeout``, ``InvalidAnswer`` or
            ``Certificate``.
        text: what happened; contains nothing of the request.
        unanswered: whether the connection was lost before the first byte of a response.
    """

    def __init__(self, code: str, text: str, *, unanswered: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.unanswered = unanswered


class Connection(asyncio.Protocol):
    """One connection; ``made`` and ``lost`` are called with it at its beginning and end.

    Attributes:
        requests: number of requests sent.
        quiet: ticks without progress; counted by the pool, set to 0 here.
        ticks: ticks since the request, or the last byte of its body, was sent.
        ahead: bytes of all requests without a response at the last progress here; set by the pool.
        busy: a request is under way.
        reusable: whether the last response was complete, and another request may follow it.
    """

    def __init__(self, made: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._made = made
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[HttpResponse] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._headers: dict[bytes, bytes] = {}
        self._fields: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._into: memoryview | None = None
        self._is_placing = False
        self._size = self._received = self._max_body = self._status = 0
        self._is_head = self._sending = self._is_closed = False
        self._watch: BodyWatch | None = None
        self._socket = self._spare = -1
        self._written = self._left = 0
        self.requests = self.quiet = self.ticks = self.ahead = 0
        self.reusable = True

    @property
    def busy(self) -> bool:
        """Whether a request is in flight."""
        return self._answer is not None

    @property
    def usable(self) -> bool:
        """Whether the connection seems open, and a request may be sent."""
        transport = self._transport
        return self.reusable and transport is not None and not transport.is_closing()

    async def exchange(
        self, head: bytes, body: Body, *, is_head: bool, max_body: int, into: memoryview | None = None
    ) -> HttpResponse:
        """Send one request and wait for its response; after any failure the connection is closed.

        A range that fills ``into`` is read into it, see :class:`HttpResponse`; nothing is written to it after
        this has ended.

        Raises:
            ExchangeError: there is no response, or none that can be used.
        """
        transport = self._transport
        if transport is None:
            raise ExchangeError("ConnectionLost", "the connection is closed", unanswered=True)
        answer: asyncio.Future[HttpResponse] = self._loop.create_future()
        self._answer = answer
        self._size = self._received = self._status = self._left = self.quiet = self.ticks = 0
        self._max_body = max_body
        self._is_head = is_head
        self._into, self._is_placing = into, False
        self.requests += 1
        if len(body) > _ONE_WRITE:
            self._spare = _duplicate(self._socket)
        try:
            if len(body) <= _JOINED:
                transport.write(head + body if body else head)
                self._written = len(body)
            else:
                await self._send(transport, head, body, answer)
            return await answer
        except BaseException:
            self.abort()
            if answer.done() and not answer.cancelled():
                answer.exception()  # retrieved: it is raised, or a cancellation is
            raise
        finally:
            self._answer = self._watch = self._into = None
            if self._spare >= 0:
                os.close(self._spare)
                self._spare = -1

    async def _send(
        self, transport: asyncio.Transport, head: bytes, body: Body, answer: asyncio.Future[HttpResponse]
    ) -> None:
        self._sending, self._written = True, 0
        self._watch = body_watch()
        if self._watch is not None:
            self._watch.begin()
        transport.write(head)
        view = memoryview(body)
        for start in range(0, len(body), _SLICE):
            if self._writable is not None:
                await self._writable
            elif start and is_readable(self._socket):
                await asyncio.sleep(0)  # an answer came, perhaps before a reset: it is read first
            if answer.done():  # answered early, or lost: the rest of the body is of no use
                return
            part = view[start : start + _SLICE]
            transport.write(part)
            if transport.is_closing():
                self._read_last_words()
                return
            self._written += len(part)
            self.look()
        self._sending = False

    def look(self) -> None:
        """Check how much of the body was sent; while that grows each time, neither time limit applies.

        Bytes that the transport has accepted may still wait in this process, or in the kernel, which on a
        slow line holds megabytes for minutes.
        """
        transport = self._transport
        if transport is None or self._left == self._written:
            return
        left = self._written - transport.get_write_buffer_size() - unacknowledged(self._socket)
        if left > self._left:
            if self._watch is not None:
                self._watch.sent(left - self._left)
            self._left = left
            self.quiet = self.ticks = 0

    def _read_last_words(self) -> None:
        """Read what was received before the connection broke: an endpoint may refuse a body and close.

        A loop closes its socket at the first write that fails, with the response unread in it. The duplicate
        descriptor keeps it open, and the kernel keeps what it received before a reset.
        """
        transport, answer = self._transport, self._answer
        receive = transport.data_received if isinstance(transport, TlsLayer) else self.data_received
        while self._spare >= 0 and answer is not None and not answer.done():
            try:
                data = os.read(self._spare, MAX_HEAD)
            except OSError:
                return
            if not data:
                return
            receive(data)

    def abort(self) -> None:
        """Close at once, whatever is in flight."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: ExchangeError) -> None:
        """End the request in flight with ``error``, and the connection with it."""
        answer = self._answer
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self._resume()
        self.abort()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of the established connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no such class
        socket = transport.get_extra_info("socket")
        self._socket = -1 if socket is None else socket.fileno()
        self._made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is lost; that may be the end of a body without a length."""
        self.reusable = False
        if exc is not None:
            self._read_last_words()
        self._is_closed = True
        answer = self._answer
        if answer is not None and not answer.done():
            # A body without length and without chunks ends with the connection, if that was closed in order.
            if exc is None and self._ends_with_connection():
                self._finish()
            else:
                reason = type(exc).__name__ if exc else "closed by the endpoint"
                text = f"the connection broke ({reason})"
                self.fail(ExchangeError("ConnectionLost", text, unanswered=not self._received))
        self._resume()
        self._transport, self._socket = None, -1
        self._lost(self)

    def pause_writing(self) -> None:
        """Note that the endpoint accepts bytes more slowly than they are written."""
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that more bytes can be written."""
        self.quiet = 0
        self._resume()

    def _resume(self) -> None:
        waiting, self._writable = self._writable, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parse bytes of a response; without a request in flight the connection is closed."""
        self.quiet = 0
        answer = self._answer
        if answer is None or answer.done():
            self.abort()
            return
        try:
            if not self._status and self._received + len(data) > MAX_HEAD:
                self._feed_head(data)
            else:
                self._received += len(data)
                self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._refuse("the answer is not HTTP")
        # The framing of a body is measured as well: a trailer or a chunk extension may be endless, too.
        if self._received > MAX_HEAD + _FRAMING * self._size or self._size > self._max_body:
            self._refuse("the answer is too long")
        elif self._is_placing and not answer.done():
            self._place_rest()

    def _feed_head(self, data: bytes) -> None:
        """Feed no more than the limit of a head: the parser itself would accept fifty megabytes."""
        left = MAX_HEAD - self._received
        self._received += len(data)
        self._parser.feed_data(data[:left])
        if self._status:
            self._parser.feed_data(data[left:])

    def _refuse(self, text: str) -> None:
        answer = self._answer
        if answer is not None and answer.done():
            self.abort()  # what follows a whole answer belongs to no request
        else:
            self.fail(ExchangeError("InvalidAnswer", text))

    def _place_rest(self) -> None:
        """Read the rest of the body directly into the buffer."""
        transport, into = self._transport, self._into
        if transport is not None and into is not None and not transport.is_closing():
            self._pass_reading_to(transport, BodyReceiver(self, into[self._size :], self._placed))

    def _placed(self, size: int, missing: int) -> None:
        """Note bytes of the body that were read into the buffer; the last ones end the response."""
        self.quiet = 0
        self._size += size
        transport = self._transport
        if not missing and transport is not None:
            self._pass_reading_to(transport, self)
            self._parser = HttpResponseParser(self)  # the other one waits for the body for ever
            self._finish()

    def _pass_reading_to(self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        transport.pause_reading()  # uvloop asks only at the start of reading which kind of protocol it has
        transport.set_protocol(protocol)
        transport.resume_reading()

    def _ends_with_connection(self) -> bool:
        framed = b"content-length" in self._fields or b"transfer-encoding" in self._fields
        return bool(self._status) and not framed and not self._is_head

    def _finish(self) -> None:
        answer = self._answer
        if answer is None or answer.done() or self._size > self._max_body:
            return
        chunks, self._body = self._body, []
        if self._sending:
            # Answered before the whole body was sent: the rest does not follow, so no other request can.
            self.reusable = False
            self._resume()
        placed = self._size if self._is_placing else 0
        answer.set_result(HttpResponse(self._status, self._fields, b"".join(chunks), placed))

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a head; a second one after a complete response makes the connection useless."""
        if self._answer is None or self._answer.done():
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header; trailers are dropped."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """End a head, which may be one that only announces another."""
        fields, self._headers = self._headers, {}
        status = self._parser.get_status_code()
        if status < 200 or self._answer is None or self._answer.done():
            return
        self._status = status
        self._fields = fields
        self._is_placing = self._fills_buffer()
        if self._is_head or self._is_placing:
            persistent = self._parser.get_http_version() == "1.1"
            if not persistent or fields.get(b"connection", b"").lower() == b"close":
                self.reusable = False
        if self._is_head:
            # The parser waits for the body that the head describes and that never comes: it is replaced.
            self._parser = HttpResponseParser(self)
            self._finish()

    def _fills_buffer(self) -> bool:
        """Whether the body is a range of the size of the buffer, and is framed only by its length."""
        fields, into = self._fields, self._into
        if not into or self._status != _PARTIAL or b"transfer-encoding" in fields:
            return False
        return fields.get(b"content-length") == b"%d" % len(into)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        if self._answer is None or self._answer.done():
            self.reusable = False
        before = self._size
        self._size += len(body)
        if self._is_placing and self._into is not None:
            self._into[before : self._size] = body
        elif self._size <= self._max_body:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """End the response, unless it was ``100 Continue``."""
        if self._status and not self._is_head:
            if not self._parser.should_keep_alive():
                self.reusable = False
            self._finish()


def _duplicate(socket: int) -> int:
    """Return a duplicate descriptor of a socket, -1 if there is none."""
    try:
        return os.dup(socket)
    except OSError:
        return -1
