"""SentBody: sends a body with aiohttp, without a time-out while it moves, and reads an early response.

aiohttp by itself waits forever for a body that no longer moves, and its time-out for the response begins when
the kernel has accepted the last byte, which on a slow line is minutes before that byte is sent.

Limits, which are aiohttp's: it sends no body before ``100 Continue``, however long that takes; and under TLS
a response that arrives with a reset between the last check of the socket and a write is lost, and reported as
a lost connection, because its TLS layer accepts no more bytes.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from typing import Any, Final

from aiohttp import ClientError, Payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler

from aios3sync.store.answer_rate import AnswerRate
from aios3sync.store.body_progress import BodyWatch
from aios3sync.store.socket_state import is_readable, unacknowledged

__all__ = ("LEAST", "SentBody", "end_body")

LEAST: Final = 64 * 1024
"""Bytes from which a body is sent in this way; smaller ones are sent at once."""
_SLICE: Final = 64 * 1024
_ACCEPTED: Final = 300
_LAST_WORDS: Final = 64 * 1024
_SENDING: ContextVar[SentBody | None] = ContextVar("aios3sync_boto_body", default=None)


class SentBody(Payload):
    """One body in one request; ``finish`` is called when that has its response or has failed.

    Args:
        content: the bytes.
        quiet: seconds without progress after which the upload fails, unless ``rate`` allows more.
        watch: is notified of sent bytes.
        rate: of the responses to all bodies of the client.
    """

    _autoclose = True

    def __init__(self, content: bytes, quiet: float, watch: BodyWatch | None, rate: AnswerRate) -> None:
        super().__init__(content)
        self._size = len(content)
        self._content = content
        self._quiet = quiet
        self._tick = max(0.005, min(1.0, quiet / 4))
        self._watch = watch
        self._rate = rate
        self._pending = False
        self._ahead = 0
        self._granted = 0.0
        self._protocol: Any = None
        self._transport: asyncio.Transport | None = None
        self._socket = -1
        self._written = 0
        self._still = 0.0
        self._whole = False
        self._answered = False
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None
        self.left = 0
        _SENDING.set(self)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text; part of the interface."""
        return self._content.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body in slices."""
        self._begin(writer)
        transport, view = self._transport, memoryview(self._content)
        for start in range(0, len(view), _SLICE):
            if start and is_readable(self._socket):
                for _ in range(2):  # an answer came, perhaps before a reset: it is read first
                    await asyncio.sleep(0)
            part = view[start : start + _SLICE]
            self._written += len(part)
            try:
                await writer.write(part)
            except (OSError, ClientError):
                self._read_last_words()
                if not self._answered:
                    raise
                return
            if transport is not None and transport.is_closing():
                self._read_last_words()
                return
            if self.look():
                self._still = 0.0
        self._whole = True
        if self._protocol is not None:
            self._granted = self._protocol.read_timeout = self._patience()  # begins when this returns

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send the body, which has the announced length."""
        del content_length
        await self.write(writer)

    def finish(self, *, accepted: bool = False) -> None:
        """Report the rest of a body that was passed on completely, then stop reporting and timing."""
        if self._pending:
            self._pending = False
            self._rate.end(len(self._content), accepted=accepted)
        if self._watch is not None and self._whole and self.left < self._written:
            self._watch.sent(self._written - self.left)
        self._watch = None
        if self._timer is not None:
            self._timer.cancel()
        if self._protocol is not None:
            vars(self._protocol).pop("connection_lost", None)
        self._transport = self._protocol = self._timer = None

    def look(self) -> bool:
        """Check how much was sent; return whether it is more than before."""
        transport = self._transport
        if transport is None or self.left == self._written:
            return False
        left = self._written - transport.get_write_buffer_size() - unacknowledged(self._socket)
        if left <= self.left:
            return False
        if self._watch is not None:
            self._watch.sent(left - self.left)
        self.left = left
        return True

    def _begin(self, writer: AbstractStreamWriter) -> None:
        transport, protocol = getattr(writer, "transport", None), getattr(writer, "protocol", None)
        if transport is None or not isinstance(protocol, ResponseHandler):
            return
        self._transport, self._protocol = transport, protocol
        self._watch_for_loss(protocol)
        connected = transport.get_extra_info("socket")
        self._socket = -1 if connected is None else connected.fileno()
        if not self._pending:
            self._pending = True
            self._rate.begin(len(self._content))
        self._ahead = self._rate.pending
        self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick, self._see)

    def _patience(self) -> float:
        """Return for how many seconds no progress is allowed: earlier bodies get their responses first."""
        return self._quiet + self._rate.allowance(self._ahead, self._quiet)

    def _see(self) -> None:
        """End a body that does not move; restart aiohttp's time-out as long as its end moves.

        The wait for buffer space is never cancelled: aiohttp would find it cancelled at the next slice.
        """
        protocol, transport = self._protocol, self._transport
        if transport is None or self._lost:
            self.finish()  # cancelled or lost, of which there may be no event
            return
        if self.look():
            self._still, self._ahead = 0.0, self._rate.pending
            self._granted = 0.0
        else:
            self._still += self._tick
        patience = self._patience()
        if self._whole:
            if patience > max(self._granted, self._still):  # it moved, or answers come more slowly
                self._granted, protocol.read_timeout = patience, patience - self._still
                protocol.start_timeout()
        elif self._still >= patience:
            protocol.set_exception(TimeoutError("the body does not move"))
            return
        self._wait()

    def _watch_for_loss(self, protocol: ResponseHandler) -> None:
        """Read what was received before the connection broke between two steps: its socket is open till then.

        A loop that writes while the task waits (uvloop) reports a failed write only in this way.
        """

        def lost(error: BaseException | None) -> None:
            self._read_last_words()
            self._lost = True
            vars(protocol).pop("connection_lost", None)
            protocol.connection_lost(error)

        vars(protocol)["connection_lost"] = lost

    def _read_last_words(self) -> None:
        """Read what was received before a write failed: the loop closes the socket unread in its next turn.

        Not once the connection is lost: its descriptor may belong to another socket by then.
        """
        protocol, transport = self._protocol, self._transport
        if protocol is None or transport is None or self._lost:
            return
        if transport.get_extra_info("ssl_object") is not None:
            return
        while True:
            try:
                data = os.read(self._socket, _LAST_WORDS)
            except OSError:
                return
            if not data:
                return
            self._answered = True
            protocol.data_received(data)


def end_body(*, response_dict: dict[str, Any] | None = None, **_: Any) -> None:
    """End the body of a request that has its response or has failed; an event handler of botocore."""
    body = _SENDING.get()
    if body is not None:
        body.finish(accepted=response_dict is not None and response_dict["status_code"] < _ACCEPTED)
        _SENDING.set(None)
