"""TLS between the transport of a socket and an HTTP connection, on any event loop.

The event loops have such a layer of their own, but it ends with the first write that fails, and what the
endpoint sent before it closed stays encrypted in the socket. This layer can still decrypt those bytes.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final, cast

from aios3sync.store.wire.body_receiver import BodyReceiver

__all__ = ("TlsLayer",)

_READ: Final = 256 * 1024


class TlsLayer(asyncio.Transport, asyncio.Protocol):
    """The protocol of a socket's transport, and the transport of an HTTP connection.

    ``above`` is called as a transport calls its protocol, from the end of the handshake on. Only an end that
    the other side announced is passed on as a regular one: anyone on the line can cut a connection.

    Args:
        context: with the trusted authorities.
        host: the name that the certificate must have.
        above: the protocol that sends and receives plain bytes.
    """

    def __init__(self, context: ssl.SSLContext, host: str, above: asyncio.Protocol) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._above: asyncio.Protocol | BodyReceiver = above
        self._socket: asyncio.Transport | None = None
        self._handshake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unencrypted = bytearray()
        self._established = self._ended = False
        self._failure: Exception | None = None

    async def established(self) -> None:
        """Wait for the end of the handshake.

        Raises:
            ssl.SSLError: it failed, or the certificate is not trusted.
            OSError: the connection was lost.
        """
        await self._handshake

    # What the connection above calls

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Encrypt ``data`` and pass it to the socket's transport."""
        if self._unencrypted:
            self._unencrypted += data
        else:
            self._encrypt(memoryview(data))
        self._flush()

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that the socket has not accepted yet."""
        return len(self._unencrypted) + (self._socket.get_write_buffer_size() if self._socket else 0)

    def is_closing(self) -> bool:
        """Return whether nothing more can be sent."""
        return self._ended or self._socket is None or self._socket.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Pass decrypted bytes to another protocol from now on."""
        self._above = cast("asyncio.Protocol | BodyReceiver", protocol)

    def pause_reading(self) -> None:
        """Do nothing: decrypted bytes go to the protocol that is set at that moment."""

    def resume_reading(self) -> None:
        """Do nothing, see :meth:`pause_reading`."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the information of the socket's transport."""
        return self._socket.get_extra_info(name, default) if self._socket else default

    def abort(self) -> None:
        """Close at once, whatever is in flight."""
        self._ended = True
        self._handshake.cancel()
        if self._socket is not None:
            self._socket.abort()

    # What the socket's transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._socket = cast(asyncio.Transport, transport)  # uvloop's are of no such class
        self._receive()

    def data_received(self, data: bytes) -> None:
        """Decrypt ``data``; also called with the rest in a socket that its transport has given up."""
        self._incoming.write(data)
        self._receive()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed, or about to be."""
        if not self._handshake.done():
            self._handshake.set_exception(exc or ConnectionResetError("closed in the handshake"))
        if self._established:
            cut = None if self._ended else ssl.SSLEOFError("closed without notice")
            self._above.connection_lost(self._failure or exc or cut)
        self._socket = None

    def pause_writing(self) -> None:
        """Note that the socket accepts bytes more slowly than they are written."""
        if self._established:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """Note that more bytes can be written."""
        if self._established:
            self._above.resume_writing()

    def _receive(self) -> None:
        """Continue the handshake, then pass on all bytes that can be decrypted."""
        try:
            if not self._established:
                self._tls.do_handshake()
                self._begin()
            while not self._ended:
                if not self._decrypt(self._above):  # the other side announced the end
                    self._close()
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLError as error:
            self._fail(error)
        if self._unencrypted:
            waiting, self._unencrypted = self._unencrypted, bytearray()
            self._encrypt(memoryview(waiting))
        self._flush()

    def _decrypt(self, above: asyncio.Protocol | BodyReceiver) -> int:
        """Pass on what can be decrypted at once; return how many bytes."""
        if isinstance(above, BodyReceiver):
            buffer = above.get_buffer(_READ)
            size: int = cast(Any, self._tls.read)(len(buffer), buffer)  # typeshed has it return bytes
            if size:
                above.buffer_updated(size)
            return size
        if data := self._tls.read(_READ):
            above.data_received(data)
        return len(data)

    def _begin(self) -> None:
        self._established = True
        if not self._handshake.done():
            self._handshake.set_result(None)
        self._above.connection_made(self)

    def _encrypt(self, data: memoryview[Any]) -> None:
        """Encrypt ``data``; the rest waits while the other side must send something first."""
        try:
            while data:
                data = data[self._tls.write(data) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._unencrypted += data
        except ssl.SSLError as error:
            self._fail(error)

    def _flush(self) -> None:
        if self._outgoing.pending and self._socket is not None:
            self._socket.write(self._outgoing.read())

    def _close(self) -> None:
        self._ended = True
        if self._socket is not None:
            self._socket.close()

    def _fail(self, error: ssl.SSLError) -> None:
        """End after a protocol error; the other side gets an alert."""
        self._failure = error
        self._flush()
        if not self._handshake.done():
            self._handshake.set_exception(error)
        self.abort()
