"""The seam to a message queue: what those who follow a bucket may ask of it. Only types, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

__all__ = ("MAX_HIDDEN", "MAX_RECEIVED", "Queue", "QueuedMessage")

MAX_RECEIVED = 10
"""Messages that one request can receive, delete or hide."""
MAX_HIDDEN = 12 * 3600
"""Seconds that a message can stay hidden after it was received."""


class QueuedMessage(NamedTuple):
    """One message as it was received.

    Attributes:
        id: the same whenever it is received.
        receipt: names this one receipt of it; needed to delete or hide it.
        body: as it was sent.
        received: how often it was received so far, this time included; 0 where the queue does not tell.
    """

    id: str
    receipt: str
    body: str
    received: int = 0


class Queue(Protocol):
    """One queue. It delivers at least once, in any order.

    A message that was received is hidden from everybody for the queue's visibility timeout; whoever does not
    delete it meanwhile gets it again. All methods raise :class:`~aios3sync.errors.StoreError` subclasses and
    nothing else of the transport; nothing here retries.
    """

    @property
    def name(self) -> str:
        """How people call it; holds no secret."""
        ...

    async def receive(self, wait: float) -> list[QueuedMessage]:
        """Up to ten messages; waits up to ``wait`` seconds (20 at most) for the first of them.

        When it is cancelled, messages may have been received that nobody sees; they come again.
        """
        ...

    async def delete(self, receipts: Sequence[str]) -> int:
        """Delete up to ten messages; how many of them were not deleted and will come again."""
        ...

    async def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """Let up to ten messages stay hidden for so many seconds from now on; what cannot be is let be."""
        ...
