"""BodyReceiver: the rest of a body whose length is known, read from the socket into the caller's buffer.

It takes the place of the connection as the protocol of the transport, from the end of the head to the end of
the body: no piece of it becomes an object of its own, is parsed, or is copied again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ("BodyReceiver",)


class BodyReceiver(asyncio.BufferedProtocol):
    """Fills a buffer.

    Invariant: the transport is never given more room than is left of this body, so that what belongs to no
    request stays in the socket, and is met by the connection.

    Args:
        connection: the protocol that the transport had before; it is told whatever ends the transport.
        rest: where the rest of the body goes; not empty.
        received: called with the bytes that came and those that are missing, whenever some came.
    """

    def __init__(
        self, connection: asyncio.Protocol, rest: memoryview, received: Callable[[int, int], None]
    ) -> None:
        self._connection = connection
        self._rest = rest
        self._received = received

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the room that is left."""
        del sizehint
        return self._rest

    def buffer_updated(self, nbytes: int) -> None:
        """Note that bytes came."""
        self._rest = self._rest[nbytes:]
        self._received(nbytes, len(self._rest))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the connection."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection."""
        self._connection.resume_writing()
