"""What becomes of messages that were received: deleted, or hidden for longer each time; it parses nothing."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio

from aios3sync.errors import StoreError
from aios3sync.index.follow.queue import MAX_HIDDEN, MAX_RECEIVED, Queue, QueuedMessage
from aios3sync.index.follow.report import FollowReport

__all__ = ("Receipts",)

_DELETERS: Final = 8
_TOLD: Final = 10_000
"""Poison messages that are remembered, so that each is told of once."""
_FIRST_HIDDEN: Final = 240
_HIDDEN_UNKNOWN: Final = 3600
"""Seconds where the queue does not tell how often a message came already."""
_LONGEST_HIDDEN: Final = MAX_HIDDEN - 1800
"""Half an hour less than the most, because the time counts from the receipt."""


class Receipts:
    """The messages of one queue, after they were read.

    Args:
        queue: where they came from.
        drop_poison: delete what is no notification.
        report: counts.
        warn: told in one line of what a person should know.
    """

    def __init__(
        self, queue: Queue, *, drop_poison: bool, report: FollowReport, warn: Callable[[str], object]
    ) -> None:
        self._queue = queue
        self._drop = drop_poison
        self._report = report
        self._warn = warn
        self._known: OrderedDict[str, None] = OrderedDict()

    def tell_of(self, message: QueuedMessage, reason: str) -> None:
        """Tell of a poison message once, however often it comes."""
        if message.id in self._known:
            return
        self._known[message.id] = None
        if len(self._known) > _TOLD:
            self._known.popitem(last=False)
        self._report.poison += 1
        fate = "it is deleted" if self._drop else "it stays in the queue"
        self._warn(f"message {message.id} cannot be used: {reason}; {fate}")

    async def settle(self, done: Iterable[QueuedMessage], poison: Sequence[QueuedMessage]) -> None:
        """Delete what was done, and deal with the poison.

        Raises:
            StoreError: nothing may be deleted.
        """
        dropped = poison if self._drop else ()
        await self._delete([message.receipt for message in (*done, *dropped)])
        if not self._drop:
            await self._hide(poison)

    async def _delete(self, receipts: Sequence[str]) -> None:
        limiter = anyio.CapacityLimiter(_DELETERS)

        async def delete(some: Sequence[str]) -> None:
            async with limiter:
                try:
                    self._report.redelivered += await self._queue.delete(some)
                except StoreError as error:
                    if not error.retryable:
                        raise
                    self._report.redelivered += len(some)

        async with anyio.create_task_group() as group:
            for start in range(0, len(receipts), MAX_RECEIVED):
                group.start_soon(delete, receipts[start : start + MAX_RECEIVED])

    async def _hide(self, poison: Iterable[QueuedMessage]) -> None:
        by_time: dict[int, list[str]] = defaultdict(list)
        for message in poison:
            by_time[_hidden_for(message.received)].append(message.receipt)
        for seconds, receipts in by_time.items():
            for start in range(0, len(receipts), MAX_RECEIVED):
                try:
                    await self._queue.hide(receipts[start : start + MAX_RECEIVED], seconds)
                except StoreError as error:
                    self._warn(f"{error}; messages that cannot be used come again soon")


def _hidden_for(received: int) -> int:
    """Seconds: four times as long after each receipt."""
    if not received:
        return _HIDDEN_UNKNOWN
    hidden = _FIRST_HIDDEN
    for _ in range(min(received - 1, 9)):
        hidden *= 4
    return min(hidden, _LONGEST_HIDDEN)
