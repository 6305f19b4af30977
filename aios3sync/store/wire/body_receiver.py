"""BodyReceiver: the rest of a body whose length is known, read from the socket into the caller's buffer.

It replaces the connection as the protocol of the transport, from the end of the head to the end of the body:
no piece of the body becomes an object, is parsed or is copied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ("BodyReceiver",)


class BodyReceiver(asyncio.BufferedProtocol):
    """Fills a buffer.

    Invariant: the buffer for the transport is never larger than the rest of this body, so that bytes that
    belong to no request stay in the socket, where the connection finds them.

    Args:
        connection: the previous protocol of the transport; it is notified of whatever ends the transport.
        rest: takes the rest of the body; not empty.
        received: called whenever bytes were received, with their number and the number of missing bytes.
    """

    def __init__(
        self, connection: asyncio.Protocol, rest: memoryview, received: Callable[[int, int], None]
    ) -> None:
        self._connection = connection
        self._rest = rest
        self._received = received

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the free part of the buffer."""
        del sizehint
        return self._rest

    def buffer_updated(self, nbytes: int) -> None:
        """Note that bytes were received."""
        self._rest = self._rest[nbytes:]
        self._received(nbytes, len(self._rest))

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the connection."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Notify the connection."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Notify the connection."""
        self._connection.resume_writing()
