"""QueueChanges: changes of a bucket from a queue of notifications, which keeps them until they are done."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

import anyio

from aios3sync.concurrency import for_each
from aios3sync.core.keys import Location
from aios3sync.errors import StoreError
from aios3sync.index.follow.notifications import NotificationError, parse_notification
from aios3sync.index.follow.queue import MAX_RECEIVED, Queue, QueuedMessage
from aios3sync.watch.changes import Changes

__all__ = ("QueueChanges",)

_LOG: Final = logging.getLogger(__name__)
_WAIT_S: Final = 1.0
"""Seconds that one request waits for messages: a stop is noticed after that."""
_PAUSE_S: Final = 2.0
_HIDDEN_S: Final = 600
"""Seconds that a message is hidden while it waits for its run; after half of them it is hidden again."""
_MOST_HELD: Final = 20_000
"""Messages that wait for one run: a queue may have 120,000 received ones at most
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html)."""
_AT_ONCE: Final = 8


class QueueChanges:
    """Yields whether objects below a prefix were changed, from a queue of S3 notifications.

    A message about the prefix is deleted after a run that began after it was received and did all of its work
    (:meth:`settle`); other messages are deleted at once. So a watch that ends in any way leaves the messages
    of unfinished work in the queue. Neither the order of messages nor repetitions matter: a run compares the
    bucket itself. A queue that cannot be read is tried again; meanwhile the regular runs find the changes.

    Args:
        queue: as ``index follow`` reads it.
        location: the bucket and the prefix.
        clock: seconds; never goes back.
    """

    def __init__(self, queue: Queue, location: Location, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._location = location
        self._clock = clock
        self._held: list[str] = []
        self._done: list[str] = []
        self._hidden_at = clock()
        self._was_read = False

    def settle(self) -> None:
        """Mark all yielded changes as done: their messages are deleted next."""
        self._done += self._held
        self._held.clear()

    async def changes(self) -> AsyncGenerator[Changes, None]:
        """Yield the received changes, once a second or more often, even if there are none.

        Raises:
            StoreError: the first read of the queue fails for a permanent reason.
        """
        while True:
            await self._delete_done()
            await self._hide_held()
            concerned: list[str] = []
            for message in await self._receive():
                held = concerned if self._concerns(message.body) else self._done
                held.append(message.receipt)
            self._held += concerned
            await self._in_parts(concerned, self._hide, "hidden")
            yield Changes(rescan=bool(concerned))

    async def _receive(self) -> list[QueuedMessage]:
        if len(self._held) + len(self._done) >= _MOST_HELD:
            await anyio.sleep(_PAUSE_S)
            return []
        try:
            messages = await self._queue.receive(_WAIT_S)
        except StoreError as error:
            if not (self._was_read or error.retryable):
                raise
            _LOG.warning("%s cannot be read: %s", self._queue.name, error)
            await anyio.sleep(_PAUSE_S)
            return []
        self._was_read = True
        return messages

    def _concerns(self, body: str) -> bool:
        try:
            events = parse_notification(body).events
        except NotificationError as error:
            _LOG.warning("a message of the queue was passed over: %s", error)
            return False
        location = self._location
        return any(
            event.bucket == location.bucket and event.key.startswith(location.prefix) for event in events
        )

    async def _delete_done(self) -> None:
        """Delete messages; failed deletes are tried again the next time."""
        done, self._done = self._done, []

        async def delete(receipts: Sequence[str]) -> None:
            try:
                await self._queue.delete(receipts)
            except StoreError:
                self._done += receipts
                raise

        await self._in_parts(done, delete, "deleted")

    async def _hide_held(self) -> None:
        if not self._held:
            self._hidden_at = self._clock()
        elif self._clock() - self._hidden_at > _HIDDEN_S / 2:
            self._hidden_at = self._clock()
            await self._in_parts(self._held, self._hide, "hidden")

    async def _hide(self, receipts: Sequence[str]) -> None:
        await self._queue.hide(receipts, _HIDDEN_S)

    async def _in_parts(
        self, receipts: Sequence[str], work: Callable[[Sequence[str]], Awaitable[None]], done: str
    ) -> None:
        """Call a function with messages, ten at a time. After a failed call they may be received again."""
        parts = [receipts[start : start + MAX_RECEIVED] for start in range(0, len(receipts), MAX_RECEIVED)]
        errors: list[StoreError] = []

        async def do(part: Sequence[str]) -> None:
            try:
                await work(part)
            except StoreError as error:
                errors.append(error)

        await for_each(parts, do, _AT_ONCE)
        if errors:
            _LOG.warning("messages of %s cannot be %s: %s", self._queue.name, done, errors[0])
