"""Turn events into changes of rows, with a HEAD request where an event does not describe the object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio

from aios3sync.errors import AccessDeniedError, BucketNotFoundError, ObjectNotFoundError
from aios3sync.index.follow.notifications import EventKind, ObjectEvent
from aios3sync.index.follow.report import FollowReport
from aios3sync.index.rows import Change, ObjectRow, Removal, Upsert
from aios3sync.store.protocol import HeadResult

__all__ = ("HeadObject", "Resolver")

HeadObject = Callable[[str, str], Awaitable[HeadResult]]
"""Requests the facts of one object, by bucket and key; raises the errors of a store."""

_REQUESTS: Final = 16


class Resolver:
    """Turns events into changes.

    Args:
        head_object: requests the facts of an object.
        report: counts requests and failures.
        warn: called with warnings of one line.
        clock: returns seconds since the epoch.
    """

    def __init__(
        self,
        head_object: HeadObject,
        report: FollowReport,
        warn: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        self._head_object = head_object
        self._report = report
        self._warn = warn
        self._clock = clock

    async def changes(self, events: Sequence[ObjectEvent]) -> list[Change | None]:
        """Return the change of each event; ``None`` where access is denied or the bucket is missing.

        Raises:
            StoreError: a request failed for another reason.
        """
        changes = [None if _is_incomplete(event) else _change(event) for event in events]
        limiter = anyio.CapacityLimiter(_REQUESTS)

        async def resolve(number: int) -> None:
            async with limiter:
                changes[number] = await self._resolved(events[number])

        async with anyio.create_task_group() as requests:
            for number, event in enumerate(events):
                if _is_incomplete(event):
                    requests.start_soon(resolve, number)
        return changes

    async def _resolved(self, event: ObjectEvent) -> Change | None:
        """Return the current state of the object; it has the sequencer of the event, so later events win."""
        before = self._clock()
        self._report.looked += 1
        try:
            head = await self._head_object(event.bucket, event.key)
        except ObjectNotFoundError:
            return Removal(event.key, before, event.sequencer)
        except (AccessDeniedError, BucketNotFoundError) as error:
            self._report.unresolved += 1
            if self._report.unresolved == 1:
                self._warn(f"{error}; 'aios3sync index reconcile' finds the changes of such objects")
            return None
        row = ObjectRow(
            event.key,
            head.size,
            head.etag,
            content_type=head.content_type,
            storage_class=head.storage_class,
            metadata=dict(head.metadata),
            last_modified=head.last_modified,
        )
        return Upsert(row, before, event.sequencer)


def _is_incomplete(event: ObjectEvent) -> bool:
    """Whether an event does not describe the current object: a version was deleted, or there is no size."""
    return event.kind is EventKind.VERSION_REMOVED or (event.kind is EventKind.CREATED and event.size is None)


def _change(event: ObjectEvent) -> Change:
    if event.kind is EventKind.REMOVED:
        return Removal(event.key, event.time, event.sequencer)
    row = ObjectRow(event.key, event.size or 0, event.etag, last_modified=event.time)
    return Upsert(row, event.time, event.sequencer)
