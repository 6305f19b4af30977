"""Holds what could grow without bound during one run: listings out of order, deletes that wait, errors.

It keeps them in one private SQLite file that lives in memory until it is large and vanishes with the run.
It knows nothing of S3 and of the source. All methods block only threads.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from anyio import to_thread

from aios3sync.core.entries import TargetEntry

__all__ = ("HeldAction", "Spool")

_SCHEMA: Final = """
CREATE TABLE listing (key TEXT PRIMARY KEY, size INTEGER, etag TEXT, last_modified REAL, storage_class TEXT)
    WITHOUT ROWID;
CREATE TABLE held (key TEXT, kind TEXT, etag TEXT, size INTEGER, tracked INTEGER, reason TEXT,
    PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""
_LISTING_PAGE: Final = "SELECT * FROM listing WHERE key > ? ORDER BY key LIMIT ?"
_HELD_PAGE: Final = "SELECT * FROM held WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"
PAGE: Final = 1000

T = TypeVar("T")


class HeldAction(NamedTuple):
    """A decision about a key that is absent in the source; carried out when both walks have ended.

    ``kind`` is ``delete``, ``forget`` or ``conflict``.
    """

    key: str
    kind: str
    etag: str = ""
    size: int = 0
    tracked: bool = False
    reason: str = ""


class Spool:
    """Use it as a context manager; the file is gone at the end."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    async def add_listing(self, entries: Sequence[TargetEntry]) -> None:
        """Keep entries; the same key twice keeps the later one (a page may be sent again)."""
        sql = "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?)"
        await self._run(lambda connection: connection.executemany(sql, entries))

    async def listing(self) -> AsyncIterator[list[TargetEntry]]:
        """Everything that :meth:`add_listing` kept, in key order."""
        after = ""
        while True:
            page = await self._page(_LISTING_PAGE, (after, PAGE))
            if not page:
                return
            entries = list(map(TargetEntry._make, page))
            yield entries
            after = entries[-1].key

    async def hold(self, actions: Sequence[HeldAction]) -> None:
        """Keep actions."""
        sql = "INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?)"
        await self._run(lambda connection: connection.executemany(sql, actions))

    async def held(self, kind: str) -> AsyncIterator[list[HeldAction]]:
        """The held actions of one kind, in key order."""
        after = ""
        while True:
            page = await self._page(_HELD_PAGE, (kind, after, PAGE))
            if not page:
                return
            actions = [HeldAction(*row) for row in page]
            yield actions
            after = actions[-1].key

    async def forget_held(self) -> None:
        """Drop all held actions: the comparison begins anew."""
        if self._connection is not None:
            await self._run(lambda connection: connection.execute("DELETE FROM held"))

    async def close(self) -> None:
        """Drop everything."""
        if self._connection is not None:
            await to_thread.run_sync(self._connection.close)
            self._connection = None

    async def _page(self, sql: str, arguments: tuple[object, ...]) -> list[Any]:
        if self._connection is None:
            return []
        return await self._run(lambda connection: connection.execute(sql, arguments).fetchall())

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await to_thread.run_sync(partial(self._locked, work))

    def _locked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            if self._connection is None:
                # An empty name is a private database that SQLite moves to a temporary file when it grows.
                self._connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
                self._connection.executescript(_SCHEMA)
            with self._connection:
                self._connection.execute("BEGIN")
                return work(self._connection)
