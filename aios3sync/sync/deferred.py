"""Keeps on disk what must wait until both walks have ended: deletes, conflicts, rows to forget, source names.

Their number is unbounded: a target may hold millions of keys that the source does not have.
"""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.local.scratch import ScratchDatabase

__all__ = ("DeferredAction", "DeferredDeletes")

_SCHEMA: Final = """
CREATE TABLE deferred (number INTEGER PRIMARY KEY, kind TEXT, actions BLOB);
CREATE TABLE noted (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_ADD: Final = "INSERT INTO deferred (kind, actions) VALUES (?, ?)"
_NUMBERS: Final = "SELECT number FROM deferred WHERE kind = ? ORDER BY number"
_ONE: Final = "SELECT actions FROM deferred WHERE number = ?"
_REPLACE: Final = "UPDATE deferred SET actions = ? WHERE number = ?"
_NOTED_AMONG: Final = "SELECT name FROM noted WHERE name IN ({})"
_NOTE: Final = "INSERT OR IGNORE INTO noted VALUES (?)"
_NOTED: Final = "SELECT name FROM noted ORDER BY name LIMIT ?"
PAGE: Final = 1000
"""Actions of a page: the keys of one DeleteObjects."""


class DeferredAction(NamedTuple):
    """A decision about a key that the source does not have; carried out when both walks have ended.

    Attributes:
        key: relative to the prefix.
        kind: ``delete``, ``forget`` or ``conflict``.
        etag, size, tracked, reason: of a delete, see :class:`~aios3sync.core.actions.Delete`; ``tracked`` of
            a conflict means that its row is dropped.
        stat: mtime, ctime and inode that a file must still have to be deleted; empty for an object.
    """

    key: str
    kind: str
    etag: str = ""
    size: int = 0
    tracked: bool = False
    reason: str = ""
    stat: tuple[int, ...] = ()


_action: Final[Callable[[Any], DeferredAction]] = partial(tuple.__new__, DeferredAction)
"""Takes a third of the time of ``_make``, which is written in Python."""


class DeferredDeletes:
    """The deferred actions of one run, and the names that its deletes are checked against.

    Every method may raise TemporarySpaceError: the disk is full.
    """

    def __init__(self) -> None:
        self._database = ScratchDatabase(_SCHEMA)
        self._has_names = False

    async def add(self, actions: Sequence[DeferredAction]) -> None:
        """Keep actions whose keys ascend, and come after all keys that were added before."""
        kinds = sorted({action.kind for action in actions})
        rows = [(kind, _packed([action for action in actions if action.kind == kind])) for kind in kinds]
        await self._database.transact(lambda connection: connection.executemany(_ADD, rows))

    async def pages(self, kind: str) -> AsyncIterator[list[DeferredAction]]:
        """Yield the actions of one kind in key order, in full pages but for the last."""
        rest: list[DeferredAction] = []
        for number in await self._numbers(kind):
            rest += await self._database.transact(partial(_actions, number=number))
            whole = len(rest) - len(rest) % PAGE
            for start in range(0, whole, PAGE):
                yield rest[start : start + PAGE]
            rest = rest[whole:]
        if rest:
            yield rest

    async def filter_out(
        self, kind: str, dropped: Callable[[list[DeferredAction]], set[str]]
    ) -> tuple[int, int]:
        """Drop some actions of one kind.

        Args:
            kind: of the actions to look at.
            dropped: returns which keys of some actions to drop; called in a thread.

        Returns:
            How many actions are left, and how many were dropped.
        """
        kept = gone = 0
        for number in await self._numbers(kind):
            before, after = await self._database.transact(
                partial(_filter_out, number=number, dropped=dropped)
            )
            kept, gone = kept + after, gone + before - after
        return kept, gone

    async def note_names(self, names: Sequence[str]) -> None:
        """Remember names for :meth:`noted`."""
        rows = [(name,) for name in names]
        await self._database.transact(lambda connection: connection.executemany(_NOTE, rows))
        self._has_names = True

    def noted(self, names: Sequence[str]) -> set[str]:
        """Return which of the names were noted. Blocks; ``dropped`` of :meth:`filter_out` may call it."""
        if not self._has_names:
            return set()
        return {name for (name,) in self._database.select_named(_NOTED_AMONG, names)}

    async def names(self, limit: int) -> list[str]:
        """Return up to ``limit`` of the names that were noted, ascending."""
        return [name for (name,) in await self._database.fetch(_NOTED, (limit,))]

    async def clear(self) -> None:
        """Drop all actions and names: the comparison begins again."""
        await self._database.clear("deferred", "noted")
        self._has_names = False

    async def close(self) -> None:
        """Drop everything, and the file."""
        await self._database.close()

    async def _numbers(self, kind: str) -> list[int]:
        return [number for (number,) in await self._database.fetch(_NUMBERS, (kind,))]


def _packed(actions: Sequence[DeferredAction]) -> bytes:
    return marshal.dumps([*zip(*actions, strict=True)])


def _actions(connection: sqlite3.Connection, number: int) -> list[DeferredAction]:
    (packed,) = connection.execute(_ONE, (number,)).fetchone()
    columns = marshal.loads(packed)  # noqa: S302 - written by this very process
    return list(map(_action, zip(*columns, strict=True)))


def _filter_out(
    connection: sqlite3.Connection, number: int, dropped: Callable[[list[DeferredAction]], set[str]]
) -> tuple[int, int]:
    """Return how many actions a row held before, and how many it holds now."""
    actions = _actions(connection, number)
    keys = dropped(actions)
    if not keys:
        return len(actions), len(actions)
    left = [action for action in actions if action.key not in keys]
    connection.execute(_REPLACE, (_packed(left), number))
    return len(actions), len(left)
