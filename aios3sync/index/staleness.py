"""Where the index may be stale, and which prefixes a listing has covered; both as state of the index.

A sync saves a :class:`FeedMark` before it begins and removes it after its end. A mark whose process is gone,
or which holds a reason, names a prefix that is stale: the index may lack changes there. It stays until a
reconcile or a backfill of the whole prefix has ended.

A reconcile or a backfill saves when its listing began. A sync saves no such time, however complete it was: it
reports what it changed, not what it left as it was, nor what others store below its target.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from typing import Final

import orjson

from aios3sync._dataclass import asdict, dataclass, replace
from aios3sync.core.keys import Location
from aios3sync.index.db.protocol import IndexBackend

__all__ = (
    "FeedMark",
    "Stale",
    "covered_marks",
    "final_state",
    "last_listed",
    "listed_state",
    "new_mark",
    "stale_prefixes",
)

_ITEM: Final = "feeding:"
_LISTED: Final = "listed:"


@dataclass(frozen=True, slots=True)
class Stale:
    """A prefix in which the index may lack changes.

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
    """A sync that feeds the index, or fed it; ``reason`` is empty as long as nothing went wrong."""

    number: str
    bucket: str
    prefix: str
    since: float
    host: str
    process: int
    reason: str = ""

    @property
    def item(self) -> str:
        """The name of the mark in the state of the index."""
        return _ITEM + self.number

    def text(self) -> str:
        """Return the value of the mark in the state of the index."""
        return orjson.dumps(asdict(self)).decode()

    @property
    def trouble(self) -> str:
        """Why the prefix is stale; empty while the sync is running, as far as this host can see."""
        if self.reason:
            return self.reason
        return "" if self.host != socket.gethostname() or _alive(self.process) else "the sync was killed"


def new_mark(location: Location, since: float) -> FeedMark:
    """Return the mark of a sync of this process."""
    number = uuid.uuid4().hex
    return FeedMark(number, location.bucket, location.prefix, since, socket.gethostname(), os.getpid())


def final_state(mark: FeedMark, reason: str) -> dict[str, str | None]:
    """Return the state after a sync: no mark where the index has all changes, else the mark with a reason."""
    return {mark.item: replace(mark, reason=reason).text() if reason else None}


async def _all(backend: IndexBackend) -> list[FeedMark]:
    return [FeedMark(**orjson.loads(value)) for value in (await backend.state(_ITEM)).values()]


async def stale_prefixes(backend: IndexBackend) -> list[Stale]:
    """List the prefixes in which the index may lack changes."""
    return [
        Stale(str(Location(mark.bucket, mark.prefix)), mark.since, mark.trouble)
        for mark in await _all(backend)
        if mark.trouble
    ]


async def covered_marks(backend: IndexBackend, location: Location) -> Sequence[str]:
    """List the marks that a complete listing of a location settles; call it before the listing begins."""
    return [
        mark.item
        for mark in await _all(backend)
        if mark.trouble and mark.bucket == location.bucket and mark.prefix.startswith(location.prefix)
    ]


def listed_state(location: Location, since: float) -> dict[str, str | None]:
    """Return the state that records a complete listing of a location, which began at ``since``."""
    return {f"{_LISTED}{location}": repr(since)}


async def last_listed(backend: IndexBackend, location: Location) -> float | None:
    """Return when the last complete listing of a location began; ``None`` where there was none."""
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
