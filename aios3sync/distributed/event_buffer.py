"""Collects the events of the shards of a node between two reports: some singly, the rest as counts."""

from __future__ import annotations

from typing import Any, Final

from aios3sync.events import (
    EndpointKnown,
    Event,
    EventSink,
    Failed,
    ObjectAdopted,
    ObjectCopied,
    ObjectDeleted,
    ObjectDownloaded,
    ObjectTouched,
    ObjectUpdated,
    ObjectUploaded,
    RequestRetried,
    RequestsRepeated,
    Skipped,
    Warned,
)
from aios3sync.progress import Progress

__all__ = ("EventBuffer", "decoded")

_ROOM: Final = 1000
"""Events that are kept until the first message says how many a report may hold."""
_SINGLE: Final = frozenset(
    {
        *(ObjectUploaded, ObjectDownloaded, ObjectCopied, ObjectUpdated, ObjectDeleted),
        *(ObjectAdopted, ObjectTouched, Skipped, RequestRetried),
    }
)
_ALWAYS: Final = frozenset({Failed, Warned, EndpointKnown, RequestsRepeated})
_MOST_ALWAYS: Final = 1000


class EventBuffer:
    """The events of one node. An event is either sent as it is or counted, never both."""

    def __init__(self) -> None:
        self._shards: list[Progress] = []
        self._single: list[tuple[type, tuple[Any, ...]]] = []
        self._room = _ROOM
        self._sent: dict[str, int] = {}

    def of_shard(self) -> EventSink:
        """Return the sink of one more shard: a comparison that begins again concerns its shard alone."""
        progress = Progress()
        self._shards.append(progress)
        single, take = self._single, progress.take

        def add(event: Event, /) -> None:
            kind = type(event)
            if kind in _SINGLE:
                if len(single) < self._room:
                    single.append(_encoded(event))
                    return
            elif kind in _ALWAYS and len(single) < self._room + _MOST_ALWAYS:
                single.append(_encoded(event))
                return
            take(event)

        return add

    def take(self, room: int) -> tuple[dict[str, int], list[tuple[type, tuple[Any, ...]]]]:
        """Return the events since the last call.

        Args:
            room: single events that the next call may return.
        """
        events = self._single.copy()
        self._single.clear()
        self._room = room
        totals: dict[str, int] = {}
        for progress in self._shards:
            for name, number in progress.counts().items():
                totals[name] = totals.get(name, 0) + number
        counts = {
            name: number - self._sent.get(name, 0)
            for name, number in totals.items()
            if number != self._sent.get(name, 0)
        }
        self._sent = totals
        return counts, events


def _encoded(event: Event) -> tuple[type, tuple[Any, ...]]:
    """Return the class and the fields: pickling them takes a third of the time of pickling the event."""
    kind = type(event)
    return kind, tuple([getattr(event, name) for name in kind.__slots__])


def decoded(kind: type, fields: tuple[Any, ...]) -> Event:
    """Return the event."""
    event: Event = kind(*fields)
    return event
