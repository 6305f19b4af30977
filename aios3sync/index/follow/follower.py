"""Follow a queue of S3 notifications and keep an index current.

A message is deleted after the index has committed its changes, so a crash repeats work and loses none. The
index orders the changes of a key by their sequencers, so duplicate and late messages do no harm. A message
that is not a notification stays in the queue, hidden for longer each time, until its owner removes it or a
dead-letter queue takes it
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import Stop, full_jitter, raise_first_error
from aios3sync.core.tool_files import is_tool_file
from aios3sync.errors import StoreError
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.follow.acknowledge import Acknowledger
from aios3sync.index.follow.notifications import NotificationError, ObjectEvent, parse_notification
from aios3sync.index.follow.queue import Queue, QueuedMessage
from aios3sync.index.follow.report import FollowOptions, FollowReport
from aios3sync.index.follow.resolve import HeadObject, Resolver
from aios3sync.index.rows import Applied, Change, ObjectIndexError

__all__ = ("Follower",)

_BATCH: Final = 500
_MOST_FAILURES: Final = 10
_LONGEST_PAUSE: Final = 30.0
_GRACE: Final = 20.0
"""Seconds for deleting the messages of a batch after a stop."""
_FORGET_EVERY: Final = 3600.0


class _ParsedMessage(NamedTuple):
    """One message, its events, and the changes that result from them, each with its bucket."""

    message: QueuedMessage
    events: tuple[ObjectEvent, ...]
    changes: list[tuple[str, Change]]


class Follower:
    """Follows one queue.

    Args:
        backend: the index.
        queue: that holds the notifications.
        head_object: requests the facts of an object where a notification does not contain them.
        options: of following.
        warn: called with warnings of one line.
        progress: called after each batch.
        clock: returns seconds since the epoch.

    Attributes:
        report: counts so far.
    """

    def __init__(  # noqa: PLR0913 - its collaborators; all but three have defaults
        self,
        backend: IndexBackend,
        queue: Queue,
        head_object: HeadObject,
        options: FollowOptions | None = None,
        *,
        warn: Callable[[str], object] = lambda _: None,
        progress: Callable[[FollowReport], object] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        options = options or FollowOptions()
        self.report = FollowReport()
        self._backend = backend
        self._queue = queue
        self._options = options
        self._warn = warn
        self._progress = progress
        self._clock = clock
        self._forget_at = 0.0
        self._resolver = Resolver(head_object, self.report, warn, clock)
        self._acknowledger = Acknowledger(
            queue, drop_poison=options.drop_poison, report=self.report, warn=warn
        )

    async def run(self, stop: Stop | None = None) -> FollowReport:
        """Follow until the queue is empty (``drain``), ``stop`` is set, or a permanent error occurs.

        A received batch is finished in any case, also when the task is cancelled.

        Raises:
            StoreError: requests to the queue fail: permissions, its URL, or no response for minutes.
            ObjectIndexError: the database failed.
        """
        with raise_first_error():
            send, receive = anyio.create_memory_object_stream[list[QueuedMessage]](self._options.receivers)
            async with anyio.create_task_group() as group:
                group.start_soon(self._receive_until, stop, send)
                with receive:
                    await self._apply_all(receive)
                group.cancel_scope.cancel()
        return self.report

    # Receiving

    async def _receive_until(
        self, stop: Stop | None, send: MemoryObjectSendStream[list[QueuedMessage]]
    ) -> None:
        with send:
            async with anyio.create_task_group() as stopping:
                if stop is not None:
                    stopping.start_soon(_cancel_on, stop, stopping.cancel_scope)
                async with anyio.create_task_group() as receivers:
                    for _ in range(self._options.receivers):
                        receivers.start_soon(self._receive, send)
                stopping.cancel_scope.cancel()

    async def _receive(self, send: MemoryObjectSendStream[list[QueuedMessage]]) -> None:
        failures = 0
        while True:
            try:
                messages = await self._queue.receive(self._options.wait)
            except StoreError as error:
                failures += 1
                if not error.retryable or failures > _MOST_FAILURES:
                    raise
                await self._pause(error, failures)
                continue
            failures = 0
            if messages:
                await send.send(messages)
            elif self._options.drain:
                return

    async def _pause(self, error: StoreError, failures: int) -> None:
        self.report.retries += 1
        if failures == 1:
            self._warn(f"{error}; asking again")
        await anyio.sleep(full_jitter(failures, 1.0, _LONGEST_PAUSE))

    # Applying

    async def _apply_all(self, receive: MemoryObjectReceiveStream[list[QueuedMessage]]) -> None:
        async for messages in receive:
            batch = list(messages)
            while len(batch) < _BATCH:
                try:
                    batch += receive.receive_nowait()
                except (anyio.WouldBlock, anyio.EndOfStream):
                    break
            await self._apply(batch)
            self._progress(self.report)

    async def _apply(self, batch: Sequence[QueuedMessage]) -> None:
        """Commit the changes of one batch to the index, then delete its messages."""
        self.report.messages += len(batch)
        parsed, poison = self._parse(batch)
        changes = await self._resolver.changes([event for each in parsed for event in each.events])
        _assign(parsed, changes)
        # Shielded: a cancelled task still finishes its commit, and deletes the messages that it committed.
        with anyio.CancelScope(shield=True):
            refused = await self._commit(parsed)
            await self._forget_old_removals()
            with anyio.move_on_after(_GRACE):
                done = [each.message for each in parsed if each.message not in refused]
                await self._acknowledger.settle(done, poison + refused)

    def _parse(self, batch: Sequence[QueuedMessage]) -> tuple[list[_ParsedMessage], list[QueuedMessage]]:
        """Return the notifications of a batch, and its messages that are none."""
        parsed: list[_ParsedMessage] = []
        poison: list[QueuedMessage] = []
        for message in batch:
            try:
                events, other = parse_notification(message.body)
            except NotificationError as error:
                self._acknowledger.report_poison(message, str(error))
                poison.append(message)
            else:
                self.report.other.update(other)
                indexed = tuple(event for event in events if not is_tool_file(event.key))
                parsed.append(_ParsedMessage(message, indexed, []))
        return parsed, poison

    async def _commit(self, parsed: Sequence[_ParsedMessage]) -> list[QueuedMessage]:
        """Apply the changes; return the messages with keys that the database cannot hold.

        Raises:
            ObjectIndexError: the database failed.
        """
        try:
            await self._apply_changes(parsed)
        except ObjectIndexError:
            # One key that a database cannot hold must not block all others.
            if not any(_has_nul(each) for each in parsed):
                raise
            return await self._commit_singly(parsed)
        return []

    async def _commit_singly(self, parsed: Sequence[_ParsedMessage]) -> list[QueuedMessage]:
        """Apply the messages with NUL characters one by one; return those that the database refuses."""
        await self._apply_changes([each for each in parsed if not _has_nul(each)])
        refused: list[QueuedMessage] = []
        for each in parsed:
            if _has_nul(each):
                try:
                    await self._apply_changes([each])
                except ObjectIndexError as error:
                    self._acknowledger.report_poison(each.message, str(error))
                    refused.append(each.message)
        return refused

    async def _apply_changes(self, parsed: Iterable[_ParsedMessage]) -> None:
        """Apply bucket by bucket, each in the order of its messages; repeating it does no harm."""
        by_bucket: dict[str, list[Change]] = defaultdict(list)
        for each in parsed:
            for bucket, change in each.changes:
                by_bucket[bucket].append(change)
        for bucket, changes in by_bucket.items():
            self._count(await self._backend.apply(bucket, changes))

    def _count(self, applied: Applied) -> None:
        self.report.upserted += applied.inserted + applied.updated
        self.report.removed += applied.deleted
        self.report.ignored += applied.ignored + applied.unchanged

    async def _forget_old_removals(self) -> None:
        now = self._clock()
        if now >= self._forget_at:
            await self._backend.forget_removals(now - self._options.remember_removals)
            self._forget_at = now + _FORGET_EVERY


def _assign(parsed: Iterable[_ParsedMessage], changes: Sequence[Change | None]) -> None:
    """Add the changes, which are in the order of the events, to the messages of their events."""
    rest = iter(changes)
    for each in parsed:
        for event, change in zip(each.events, rest, strict=False):
            if change is not None:
                each.changes.append((event.bucket, change))


def _has_nul(parsed: _ParsedMessage) -> bool:
    """Whether a name has a NUL character, which PostgreSQL cannot hold."""
    return any("\0" in event.key or "\0" in event.bucket for event in parsed.events)


async def _cancel_on(stop: Stop, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()
