"""The interface of a message queue, and its guarantees. Types only, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aios3sync._namedtuple import NamedTuple

__all__ = ("MAX_HIDDEN", "MAX_RECEIVED", "Queue", "QueuedMessage")

MAX_RECEIVED = 10
"""Messages that one request can receive, delete or hide."""
MAX_HIDDEN = 12 * 3600
"""Seconds that a message can stay hidden after it was received."""


class QueuedMessage(NamedTuple):
    """One message as it was received.

    Attributes:
        id: the same every time the message is received.
        receipt: the receipt handle of this delivery; needed to delete or hide the message.
        body: as it was sent.
        received: how often it was received so far, this time included; 0 where the queue does not say.
    """

    id: str
    receipt: str
    body: str
    received: int = 0


class Queue(Protocol):
    """One queue. It delivers at least once, in any order.

    A received message is hidden from all receivers for the visibility timeout of the queue; if it is not
    deleted meanwhile, it is delivered again. All methods raise :class:`~aios3sync.errors.StoreError` or a
    subclass for every failure of the transport. No method retries.
    """

    @property
    def name(self) -> str:
        """The name for messages; contains no secret."""
        ...

    async def receive(self, wait: float) -> list[QueuedMessage]:
        """Receive up to ten messages; waits up to ``wait`` seconds (20 at most) for the first of them.

        A cancelled call may have received messages that are lost with it; they are delivered again.
        """
        ...

    async def delete(self, receipts: Sequence[str]) -> int:
        """Delete up to ten messages; return how many were not deleted and will be delivered again."""
        ...

    async def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """Hide up to ten messages for so many seconds from now; skip those that cannot be hidden."""
        ...
