"""Marks in the index that say where it may lack what syncs did, and where a listing has shown it everything.

The first are written before a sync begins, and gone after. One whose process is gone, or that says so itself,
is a prefix of which the index is behind. It stays until a reconcile or backfill of all of the prefix has
ended.

Those two leave the others. A sync leaves none, however complete: it tells the index what it did, and neither
what it left as it was, nor what others put below its target, which it does not even count.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import orjson

from aios3sync.core.keys import Location
from aios3sync.index.db.protocol import IndexBackend

__all__ = ("FeedMark", "Stale", "covered", "known_listed", "listed", "marks", "new_mark", "saved")

_ITEM: Final = "feeding:"
_LISTED: Final = "listed:"


@dataclass(frozen=True, slots=True)
class Stale:
    """A prefix of which the index may lack something.

    Attributes:
        target: ``s3://bucket/prefix``.
        since: seconds since the epoch, when the sync began.
        reason: one line.
    """

    target: str
    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class FeedMark:
    """One sync that feeds the index, or did; ``reason`` is empty as long as nothing went wrong."""

    number: str
    bucket: str
    prefix: str
    since: float
    host: str
    process: int
    reason: str = ""

    @property
    def item(self) -> str:
        """Its name in the state of the index."""
        return _ITEM + self.number

    def text(self) -> str:
        """Its value."""
        return orjson.dumps(asdict(self)).decode()

    @property
    def trouble(self) -> str:
        """Why the index is behind; empty while the sync is at work, as far as can be told from here."""
        if self.reason:
            return self.reason
        return "" if self.host != socket.gethostname() or _alive(self.process) else "the sync was killed"


def new_mark(location: Location, since: float) -> FeedMark:
    """The mark of a sync of this process."""
    number = uuid.uuid4().hex
    return FeedMark(number, location.bucket, location.prefix, since, socket.gethostname(), os.getpid())


def saved(mark: FeedMark, reason: str) -> dict[str, str | None]:
    """The state that says what became of a sync: nothing is left where all was told."""
    return {mark.item: replace(mark, reason=reason).text() if reason else None}


async def _all(backend: IndexBackend) -> list[FeedMark]:
    return [FeedMark(**orjson.loads(value)) for value in (await backend.state(_ITEM)).values()]


async def marks(backend: IndexBackend) -> list[Stale]:
    """Where the index is behind."""
    return [
        Stale(str(Location(mark.bucket, mark.prefix)), mark.since, mark.trouble)
        for mark in await _all(backend)
        if mark.trouble
    ]


async def covered(backend: IndexBackend, location: Location) -> Sequence[str]:
    """The items of marks that a complete listing of a location makes needless, as of before it began."""
    return [
        mark.item
        for mark in await _all(backend)
        if mark.trouble and mark.bucket == location.bucket and mark.prefix.startswith(location.prefix)
    ]


def listed(location: Location, since: float) -> dict[str, str | None]:
    """The state that says that a listing of a location, which began then, is in the index as a whole."""
    return {f"{_LISTED}{location}": repr(since)}


async def known_listed(backend: IndexBackend, location: Location) -> float | None:
    """When the last listing began that has shown all of a location; ``None`` where there was none."""
    found = await backend.state(f"{_LISTED}s3://{location.bucket}/")
    times = [
        float(since) for item, since in found.items() if str(location).startswith(item.removeprefix(_LISTED))
    ]
    return max(times, default=None)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
