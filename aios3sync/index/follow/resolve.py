"""Events of objects as changes of rows; asks the bucket where an event does not tell what is there now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio

from aios3sync.errors import AccessDeniedError, BucketNotFoundError, ObjectNotFoundError
from aios3sync.index.follow.notifications import EventKind, ObjectEvent
from aios3sync.index.follow.report import FollowReport
from aios3sync.index.rows import Change, ObjectRow, Removal, Upsert
from aios3sync.store.protocol import HeadResult

__all__ = ("Look", "Resolver")

Look = Callable[[str, str], Awaitable[HeadResult]]
"""Asks for the facts of one object, by bucket and key; raises what a store raises."""

_LOOKERS: Final = 16


class Resolver:
    """Turns events into changes.

    Args:
        look: asks the bucket.
        report: counts.
        warn: told in one line of what a person should know.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        look: Look,
        report: FollowReport,
        warn: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        self._look = look
        self._report = report
        self._warn = warn
        self._clock = clock

    async def changes(self, events: Sequence[ObjectEvent]) -> list[Change | None]:
        """The change that each event is; ``None`` where the bucket may not be asked.

        Raises:
            StoreError: a bucket cannot be asked at the moment.
        """
        changes = [None if _is_unclear(event) else _change(event) for event in events]
        limiter = anyio.CapacityLimiter(_LOOKERS)

        async def look(number: int) -> None:
            async with limiter:
                changes[number] = await self._looked(events[number])

        async with anyio.create_task_group() as lookers:
            for number, event in enumerate(events):
                if _is_unclear(event):
                    lookers.start_soon(look, number)
        return changes

    async def _looked(self, event: ObjectEvent) -> Change | None:
        """What the bucket says; later events of the key win over it as they do over the event itself."""
        before = self._clock()
        self._report.looked += 1
        try:
            head = await self._look(event.bucket, event.key)
        except ObjectNotFoundError:
            return Removal(event.key, before, event.sequencer)
        except (AccessDeniedError, BucketNotFoundError) as error:
            self._report.unresolved += 1
            if self._report.unresolved == 1:
                self._warn(f"{error}; 'aios3sync index reconcile' finds out what became of such objects")
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


def _is_unclear(event: ObjectEvent) -> bool:
    """Whether it does not tell what is there now: a version is gone, or an object came without its size."""
    return event.kind is EventKind.VERSION_REMOVED or (event.kind is EventKind.CREATED and event.size is None)


def _change(event: ObjectEvent) -> Change:
    if event.kind is EventKind.REMOVED:
        return Removal(event.key, event.time, event.sequencer)
    row = ObjectRow(event.key, event.size or 0, event.etag, last_modified=event.time)
    return Upsert(row, event.time, event.sequencer)
