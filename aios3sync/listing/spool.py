"""Holds what could grow without bound during one run: listings out of order, deletes that wait, errors.

It keeps them in one private SQLite file that lives in memory until it is large and vanishes with the run.
It knows nothing of S3 and of the source. All methods block only threads, and raise TemporarySpaceError where
that file cannot be written.
"""

from __future__ import annotations

import marshal
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from anyio import to_thread

from aios3sync.core.entries import TargetEntry
from aios3sync.local.temporary import no_space

__all__ = ("DeferredAction", "Spool")

_SCHEMA: Final = """
CREATE TABLE pages (number INTEGER PRIMARY KEY, first TEXT, last TEXT, entries BLOB);
CREATE TABLE listing (key TEXT PRIMARY KEY, size INTEGER, etag TEXT, last_modified REAL, storage_class TEXT)
    WITHOUT ROWID;
CREATE TABLE held (number INTEGER PRIMARY KEY, kind TEXT, actions BLOB);
CREATE TABLE noted (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_ADD_PAGE: Final = "INSERT INTO pages (first, last, entries) VALUES (?, ?, ?)"
_PAGES: Final = "SELECT first, last, number FROM pages ORDER BY first, number"
_ADD_ENTRY: Final = "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?)"
_LISTING_PAGE: Final = "SELECT * FROM listing WHERE key > ? ORDER BY key LIMIT ?"
_HELD: Final = "SELECT number FROM held WHERE kind = ? ORDER BY number"
_NOTE: Final = "INSERT OR IGNORE INTO noted VALUES (?)"
PAGE: Final = 1000
_ASKED_AT_ONCE: Final = 500
"""Names of one question: an old SQLite takes 999 parameters."""
_MERGED_IN_MEMORY: Final = 16
"""Pages that overlap and are merged in memory; more of them are sorted by SQLite."""
_GROUPS_A_HOP: Final = 4

T = TypeVar("T")
_entry: Final[Callable[[Any], TargetEntry]] = partial(tuple.__new__, TargetEntry)
"""A third of the time of ``_make``, which is a function of Python."""


class DeferredAction(NamedTuple):
    """A decision about a key that is absent in the source; carried out when both walks have ended.

    ``kind`` is ``delete``, ``forget`` or ``conflict``.
    """

    key: str
    kind: str
    etag: str = ""
    size: int = 0
    tracked: bool = False
    reason: str = ""


_action: Final[Callable[[Any], DeferredAction]] = partial(tuple.__new__, DeferredAction)


class Spool:
    """Use it as a context manager; the file is gone at the end."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()  # noted() is asked while filter_out() has it
        self._notes = False

    async def add_pages(self, pages: Sequence[Sequence[TargetEntry]], cut: int = 0) -> None:
        """Keep ascending pages of a listing, in any order; the same key twice keeps the later one.

        The first ``cut`` characters of the keys are left out, and so is a key that is no longer than that.

        A page is kept whole: where the endpoint lists in order, nothing is sorted at all.
        """
        whole = (page[len(page[0].key) <= cut :] for page in pages)  # only the first key can be that short
        rows = (_packed(page, cut) for page in whole if page)
        await self._run(lambda connection: connection.executemany(_ADD_PAGE, rows))

    async def listing(self) -> AsyncIterator[list[TargetEntry]]:
        """Everything that :meth:`add_pages` kept, in key order; it can be read once."""
        index = [] if self._connection is None else await self._run(lambda c: c.execute(_PAGES).fetchall())
        batch: list[list[int]] = []
        for group in [*_overlapping(index), []]:
            if batch and (len(batch) == _GROUPS_A_HOP or not 0 < len(group) <= _MERGED_IN_MEMORY):
                for entries in await self._run(partial(_merged, groups=batch)):
                    yield entries
                batch = []
            if len(group) <= _MERGED_IN_MEMORY:
                batch.append(group)
                continue
            async for entries in self._sorted(group):
                yield entries

    async def _sorted(self, group: list[int]) -> AsyncIterator[list[TargetEntry]]:
        """The entries of pages that overlap, sorted in a table."""
        for number in sorted(group):
            await self._run(lambda c, number=number: c.executemany(_ADD_ENTRY, _unpacked(c, number)))  # type: ignore[misc]
        after = ""
        while page := await self._page(_LISTING_PAGE, (after, PAGE)):
            yield list(map(_entry, page))
            after = page[-1][0]
        await self._run(lambda connection: connection.execute("DELETE FROM listing"))

    async def hold(self, actions: Sequence[DeferredAction]) -> None:
        """Keep actions, ascending in their keys as all that were held before."""
        kinds = sorted({action.kind for action in actions})
        rows = [(kind, _held([action for action in actions if action.kind == kind])) for kind in kinds]
        sql = "INSERT INTO held (kind, actions) VALUES (?, ?)"
        await self._run(lambda connection: connection.executemany(sql, rows))

    async def held(self, kind: str) -> AsyncIterator[list[DeferredAction]]:
        """The held actions of one kind, in key order, in full pages but for the last."""
        rest: list[DeferredAction] = []
        for number in await self._numbers(kind):
            rest += await self._run(partial(_actions, number=number))
            whole = len(rest) - len(rest) % PAGE
            for start in range(0, whole, PAGE):
                yield rest[start : start + PAGE]
            rest = rest[whole:]
        if rest:
            yield rest

    async def filter_out(
        self, kind: str, dropped: Callable[[list[DeferredAction]], set[str]]
    ) -> tuple[int, int]:
        """Drop held actions of one kind; how many stay held, and how many do not.

        Args:
            kind: which.
            dropped: tells of some actions the keys of those to drop; called in a thread.
        """
        kept = gone = 0
        for number in await self._numbers(kind):
            before, after = await self._run(partial(_filter_out, number=number, dropped=dropped))
            kept, gone = kept + after, gone + before - after
        return kept, gone

    async def note(self, names: Sequence[str]) -> None:
        """Keep names; which of some others are among them tells :meth:`noted`."""
        rows = [(name,) for name in names]
        await self._run(
            lambda connection: connection.executemany("INSERT OR IGNORE INTO noted VALUES (?)", rows)
        )
        self._notes = True

    def noted(self, names: Sequence[str]) -> set[str]:
        """Those of the names that were noted. Blocks; :meth:`filter_out` may ask it."""
        found: set[str] = set()
        if not self._notes or self._connection is None:
            return found
        with self._lock:
            for start in range(0, len(names), _ASKED_AT_ONCE):
                asked = names[start : start + _ASKED_AT_ONCE]
                places = ", ".join("?" * len(asked))
                sql = f"SELECT name FROM noted WHERE name IN ({places})"  # noqa: S608 - question marks alone
                found.update(name for (name,) in self._connection.execute(sql, asked))
        return found

    async def _numbers(self, kind: str) -> list[int]:
        if self._connection is None:
            return []
        rows = await self._run(lambda connection: connection.execute(_HELD, (kind,)).fetchall())
        return [number for (number,) in rows]

    async def forget_held(self) -> None:
        """Drop all held actions and noted names: the comparison begins anew."""
        if self._connection is not None:
            await self._run(lambda connection: connection.execute("DELETE FROM held"))
            await self._run(lambda connection: connection.execute("DELETE FROM noted"))
            self._notes = False

    async def close(self) -> None:
        """Drop everything."""
        if self._connection is not None:
            await to_thread.run_sync(self._close)

    def _close(self) -> None:
        with self._lock:  # a task that was cancelled may have left its thread at work
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    async def _page(self, sql: str, arguments: tuple[object, ...]) -> list[Any]:
        if self._connection is None:
            return []
        return await self._run(lambda connection: connection.execute(sql, arguments).fetchall())

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await to_thread.run_sync(partial(self._locked, work))

    def _locked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._lock, self._opened() as connection:
                connection.execute("BEGIN")
                return work(connection)
        except sqlite3.Error as error:
            raise no_space(error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            # An empty name is a private database that SQLite moves to a temporary file when it grows.
            self._connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._connection.executescript(_SCHEMA)
        return self._connection


def _held(actions: Sequence[DeferredAction]) -> bytes:
    return marshal.dumps([*zip(*actions, strict=True)])


def _actions(connection: sqlite3.Connection, number: int) -> list[DeferredAction]:
    (packed,) = connection.execute("SELECT actions FROM held WHERE number = ?", (number,)).fetchone()
    columns = marshal.loads(packed)  # noqa: S302 - of this very process
    return list(map(_action, zip(*columns, strict=True)))


def _filter_out(
    connection: sqlite3.Connection, number: int, dropped: Callable[[list[DeferredAction]], set[str]]
) -> tuple[int, int]:
    """How many actions a row held before, and holds now."""
    actions = _actions(connection, number)
    keys = dropped(actions)
    if not keys:
        return len(actions), len(actions)
    left = [action for action in actions if action.key not in keys]
    connection.execute("UPDATE held SET actions = ? WHERE number = ?", (_held(left), number))
    return len(actions), len(left)


def _packed(page: Sequence[TargetEntry], cut: int) -> tuple[str, str, bytes]:
    """An ascending page by columns: a third of the size and of the time of pickling its entries."""
    full, *columns = zip(*page, strict=True)
    keys = [key[cut:] for key in full]
    return keys[0], keys[-1], marshal.dumps((keys, *columns))


def _unpacked(connection: sqlite3.Connection, number: int) -> Iterator[TargetEntry]:
    (packed,) = connection.execute("SELECT entries FROM pages WHERE number = ?", (number,)).fetchone()
    columns = marshal.loads(packed)  # noqa: S302 - of this very process
    return map(_entry, zip(*columns, strict=True))


def _overlapping(index: Sequence[tuple[str, str, int]]) -> Iterator[list[int]]:
    """The numbers of pages, ascending; those whose keys overlap are together."""
    group: list[int] = []
    end = ""
    for first, last, number in index:
        if group and first > end:
            yield group
            group = []
        group.append(number)
        end = max(end, last)
    if group:
        yield group


def _merged(connection: sqlite3.Connection, groups: list[list[int]]) -> list[list[TargetEntry]]:
    """The entries of each group, ascending."""
    merged = []
    for group in groups:
        pages = [list(_unpacked(connection, number)) for number in sorted(group)]
        if len(pages) > 1:
            later = {entry.key: entry for page in pages for entry in page}
            pages = [sorted(later.values())]
        merged += pages
    return merged
