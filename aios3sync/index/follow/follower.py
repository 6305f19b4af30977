"""Follows a queue of S3 notifications and keeps an index current; at least once, in any order, never looping.

A message is deleted after the index has committed what it told, so a crash repeats work and loses none. The
index orders the changes of a key by their sequencers, so duplicates and late ones do no harm. What is no
notification stays in the queue, hidden for longer each time, until its owner looks or a dead-letter queue
takes it (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync.concurrency import Stop, full_jitter, raise_first_error
from aios3sync.errors import StoreError
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.follow.acknowledge import Receipts
from aios3sync.index.follow.notifications import NotificationError, ObjectEvent, parse_notification
from aios3sync.index.follow.queue import Queue, QueuedMessage
from aios3sync.index.follow.report import FollowOptions, FollowReport
from aios3sync.index.follow.resolve import Look, Resolver
from aios3sync.index.rows import Applied, Change, ObjectIndexError

__all__ = ("Follower",)

_BATCH: Final = 500
_MOST_FAILURES: Final = 10
_LONGEST_PAUSE: Final = 30.0
_GRACE: Final = 20.0
"""Seconds that a batch gets to leave the queue after a stop."""
_FORGET_EVERY: Final = 3600.0


class _Reported(NamedTuple):
    """What one message told, and the changes that it means, each with its bucket."""

    message: QueuedMessage
    events: tuple[ObjectEvent, ...]
    changes: list[tuple[str, Change]]


class Follower:
    """Follows one queue.

    Args:
        backend: the index.
        queue: where the notifications are.
        look: asks the bucket where a notification does not tell what is there now.
        options: how.
        warn: told in one line of what a person should know.
        progress: called after each batch.
        clock: seconds since the epoch.

    Attributes:
        report: what was done so far.
    """

    def __init__(  # noqa: PLR0913 - who it works with; all but three have defaults
        self,
        backend: IndexBackend,
        queue: Queue,
        look: Look,
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
        self._resolver = Resolver(look, self.report, warn, clock)
        self._receipts = Receipts(queue, drop_poison=options.drop_poison, report=self.report, warn=warn)

    async def run(self, stop: Stop | None = None) -> FollowReport:
        """Follow until the queue is empty (``drain``), ``stop`` asks, or something fails for good.

        A batch that was received is finished in any case, also when the task is cancelled.

        Raises:
            StoreError: the queue cannot be asked: permissions, its URL, or no answer for minutes.
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
        """Bring one batch into the index, and only then out of the queue."""
        self.report.messages += len(batch)
        told, poison = self._parsed(batch)
        changes = await self._resolver.changes([event for each in told for event in each.events])
        _share_out(told, changes)
        # Whoever cancels, a commit is not left in the middle, and what was committed leaves the queue.
        with anyio.CancelScope(shield=True):
            spoilt = await self._commit(told)
            await self._forget_old_removals()
            with anyio.move_on_after(_GRACE):
                done = [each.message for each in told if each.message not in spoilt]
                await self._receipts.settle(done, poison + spoilt)

    def _parsed(self, batch: Sequence[QueuedMessage]) -> tuple[list[_Reported], list[QueuedMessage]]:
        told: list[_Reported] = []
        poison: list[QueuedMessage] = []
        for message in batch:
            try:
                events, other = parse_notification(message.body)
            except NotificationError as error:
                self._receipts.tell_of(message, str(error))
                poison.append(message)
            else:
                self.report.other.update(other)
                told.append(_Reported(message, events, []))
        return told, poison

    async def _commit(self, told: Sequence[_Reported]) -> list[QueuedMessage]:
        """Apply everything; returns the messages of keys that the database cannot hold.

        Raises:
            ObjectIndexError: the database failed.
        """
        try:
            await self._apply_changes(told)
        except ObjectIndexError:
            # One key that a database cannot hold must not keep all others out.
            if not any(_is_odd(each) for each in told):
                raise
            return await self._commit_singly(told)
        return []

    async def _commit_singly(self, told: Sequence[_Reported]) -> list[QueuedMessage]:
        await self._apply_changes([each for each in told if not _is_odd(each)])
        spoilt: list[QueuedMessage] = []
        for each in told:
            if _is_odd(each):
                try:
                    await self._apply_changes([each])
                except ObjectIndexError as error:
                    self._receipts.tell_of(each.message, str(error))
                    spoilt.append(each.message)
        return spoilt

    async def _apply_changes(self, told: Iterable[_Reported]) -> None:
        """Apply bucket by bucket, each in the order of its messages; repeating it does no harm."""
        by_bucket: dict[str, list[Change]] = defaultdict(list)
        for each in told:
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


def _share_out(told: Iterable[_Reported], changes: Sequence[Change | None]) -> None:
    """Give each message the changes of its events."""
    rest = iter(changes)
    for each in told:
        for event, change in zip(each.events, rest, strict=False):
            if change is not None:
                each.changes.append((event.bucket, change))


def _is_odd(told: _Reported) -> bool:
    """Whether it names something that a database may be unable to hold: PostgreSQL has no NUL in a text."""
    return any("\0" in event.key or "\0" in event.bucket for event in told.events)


async def _cancel_on(stop: Stop, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()
