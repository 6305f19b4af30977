"""Progress of large bodies while they are sent, and the limit of how many are sent at once. No I/O.

The caller of ``put`` or ``put_part`` sets a watch for the bodies that its task sends; the transport reports
to it. Wrappers between the two do not see it. A transport that reports nothing does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

__all__ = ("LARGE_BODY", "BodyWatch", "SendWindow", "Unlimited", "body_watch", "watched")

LARGE_BODY: Final = 1024 * 1024
"""Bytes from which a body is watched and occupies the send window; smaller ones release it at once."""


class BodyWatch(Protocol):
    """Receives the progress of one body; its methods run on the event loop and must be quick."""

    def begin(self) -> None:
        """Note that an attempt begins: the bytes of an earlier one are sent again."""
        ...

    def sent(self, size: int) -> None:
        """Note that ``size`` more bytes have left this machine."""
        ...


class SendWindow(Protocol):
    """Bounds the bytes of large bodies in flight, by the throughput of the line."""

    async def acquire(self, size: int, turn: int = 0) -> None:
        """Wait until a body of ``size`` bytes may be sent; the lowest ``turn`` is the first."""
        ...

    def release(self, size: int) -> None:
        """Release the bytes of a body that ended; exactly once for each :meth:`acquire`, with its size."""
        ...

    def moved(self, size: int) -> None:
        """Note that ``size`` more bytes have left this machine."""
        ...

    def left(self, size: int) -> None:
        """Note that a whole body of ``size`` bytes has left; negative if it is sent again or has ended."""
        ...

    def arrived(self, size: int) -> None:
        """Note that a body of ``size`` bytes was accepted; so the window measures the line."""
        ...


class Unlimited:
    """A window without a bound."""

    async def acquire(self, size: int, turn: int = 0) -> None:
        """Return at once."""

    def release(self, size: int) -> None:
        """Do nothing."""

    def moved(self, size: int) -> None:
        """Do nothing."""

    def left(self, size: int) -> None:
        """Do nothing."""

    def arrived(self, size: int) -> None:
        """Do nothing."""


_WATCH: ContextVar[BodyWatch | None] = ContextVar("aios3sync_body_watch", default=None)


@contextmanager
def watched(watch: BodyWatch) -> Iterator[None]:
    """Report the bodies that this task sends within the block to ``watch``."""
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def body_watch() -> BodyWatch | None:
    """Return the watch of the body that this task is about to send, if any."""
    return _WATCH.get()
