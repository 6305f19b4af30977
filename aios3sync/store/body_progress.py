"""How a sender of large bodies learns how much of them has left, and how many may be on their way. No I/O.

The caller of ``put`` or ``put_part`` names a watch for the bodies that its task sends; the transport reports
to it. Wrappers between the two know nothing of it. A transport that reports nothing does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

__all__ = ("LARGE_BODY", "BodyWatch", "SendWindow", "Unlimited", "body_watch", "watched")

LARGE_BODY: Final = 1024 * 1024
"""Bytes from which a body is watched and takes its part of the send window; smaller ones leave at once."""


class BodyWatch(Protocol):
    """Is told how one body leaves; its methods are called on the event loop and must be quick."""

    def begin(self) -> None:
        """An attempt begins: what an earlier one sent is sent again."""
        ...

    def sent(self, size: int) -> None:
        """``size`` more bytes have left this machine."""
        ...


class SendWindow(Protocol):
    """Bounds the bytes of large bodies that are on their way at once, by what the line carries."""

    async def enter(self, size: int, turn: int = 0) -> None:
        """Wait until a body of ``size`` bytes may go; of those that wait the lowest ``turn`` goes first."""
        ...

    def leave(self, size: int) -> None:
        """The body arrived, or was given up; exactly once for each :meth:`enter`, with the same size."""
        ...

    def moved(self, size: int) -> None:
        """``size`` more bytes have left, by which the window learns what the line carries."""
        ...


class Unlimited:
    """A window that lets everything go."""

    async def enter(self, size: int, turn: int = 0) -> None:
        """Return at once."""

    def leave(self, size: int) -> None:
        """Nothing is counted."""

    def moved(self, size: int) -> None:
        """Nothing is learnt."""


_WATCH: ContextVar[BodyWatch | None] = ContextVar("aios3sync_body_watch", default=None)


@contextmanager
def watched(watch: BodyWatch) -> Iterator[None]:
    """Have ``watch`` told of the bodies that this task sends within the block."""
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def body_watch() -> BodyWatch | None:
    """Who wants to know how the body leaves that this task is about to send."""
    return _WATCH.get()
