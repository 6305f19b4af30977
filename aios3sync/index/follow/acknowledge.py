"""Acknowledge received messages: delete those that were applied, and hide the unusable ones for a while."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio

from aios3sync.errors import StoreError
from aios3sync.index.follow.queue import MAX_HIDDEN, MAX_RECEIVED, Queue, QueuedMessage
from aios3sync.index.follow.report import FollowReport

__all__ = ("Acknowledger",)

_DELETERS: Final = 8
_REMEMBERED: Final = 10_000
"""Poison messages that are remembered, so that each is reported once."""
_FIRST_HIDDEN: Final = 240
_HIDDEN_UNKNOWN: Final = 3600
"""Seconds where the queue does not say how often a message was received."""
_LONGEST_HIDDEN: Final = MAX_HIDDEN - 1800
"""Half an hour less than the maximum, which counts from when the message was received."""


class Acknowledger:
    """Deletes and hides the received messages of one queue.

    Args:
        queue: that the messages come from.
        drop_poison: delete messages that are no notifications.
        report: counts them.
        warn: called with warnings of one line.
    """

    def __init__(
        self, queue: Queue, *, drop_poison: bool, report: FollowReport, warn: Callable[[str], object]
    ) -> None:
        self._queue = queue
        self._drop = drop_poison
        self._report = report
        self._warn = warn
        self._reported: OrderedDict[str, None] = OrderedDict()

    def report_poison(self, message: QueuedMessage, reason: str) -> None:
        """Count a poison message and warn of it, once, however often it is received."""
        if message.id in self._reported:
            return
        self._reported[message.id] = None
        if len(self._reported) > _REMEMBERED:
            self._reported.popitem(last=False)
        self._report.poison += 1
        consequence = "it is deleted" if self._drop else "it stays in the queue"
        self._warn(f"message {message.id} cannot be used: {reason}; {consequence}")

    async def settle(self, done: Iterable[QueuedMessage], poison: Sequence[QueuedMessage]) -> None:
        """Delete the messages that were applied; delete or hide the poison.

        Raises:
            StoreError: deleting is refused for good, e.g. for lack of permission.
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
    """Return how many seconds to hide a message: four times as long each time it is received."""
    if not received:
        return _HIDDEN_UNKNOWN
    hidden = _FIRST_HIDDEN
    for _ in range(min(received - 1, 9)):
        hidden *= 4
    return min(hidden, _LONGEST_HIDDEN)
