"""ScratchDatabase: a private SQLite file for data that may grow without bound during one run."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from anyio import to_thread

from aios3sync.local.temporary import no_space

__all__ = ("ScratchDatabase",)

T = TypeVar("T")
_NAMES_A_QUERY: Final = 500
"""An old SQLite takes 999 parameters in one query."""
_PRIVATE: Final = ""
"""SQLite keeps a database without a name in memory, and moves it to a temporary file when it grows."""


class ScratchDatabase:
    """A SQLite database, created at its first use, in memory while it is small, and deleted at the end.

    All work is done in threads, one transaction at a time.

    Args:
        schema: the statements that create its tables.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()  # select() may be called by the work that transact() does

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` in a thread, inside one transaction, and return its result.

        Raises:
            TemporarySpaceError: the file cannot be written.
        """
        return await to_thread.run_sync(partial(self._locked, work))

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Return the rows of a query; none while the database has not been made.

        Raises:
            TemporarySpaceError: the file cannot be written.
        """
        if self._connection is None:
            return []
        return await self.transact(lambda connection: connection.execute(sql, parameters).fetchall())

    def select(self, sql: str, parameters: Sequence[object]) -> list[Any]:
        """Return the rows of a query; none while the database has not been made. Blocks.

        This needs no transaction, so work inside :meth:`transact` may call it.
        """
        with self._lock:
            if self._connection is None:
                return []
            return self._connection.execute(sql, parameters).fetchall()

    def select_named(self, sql: str, names: Sequence[str]) -> Iterator[Any]:
        """Yield the rows of a query for some names, of any number. Blocks.

        Args:
            sql: has ``{}`` in place of the question marks for the names: ``… WHERE name IN ({})``.
            names: its parameters.
        """
        for start in range(0, len(names), _NAMES_A_QUERY):
            some = names[start : start + _NAMES_A_QUERY]
            yield from self.select(sql.format(", ".join("?" * len(some))), some)

    async def clear(self, *tables: str) -> None:
        """Delete all rows of some tables."""

        def work(connection: sqlite3.Connection) -> None:
            for table in tables:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a name in this program

        if self._connection is not None:
            await self.transact(work)

    async def close(self) -> None:
        """Drop the database, after waiting for work that a cancelled task may have left in its thread."""
        if self._connection is not None:
            await to_thread.run_sync(self._close)

    def _close(self) -> None:
        # asyncio's cancel() does not wait for the thread, and SQLite crashes if it is closed below one.
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _locked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._lock, self._opened() as connection:
                connection.execute("BEGIN")
                return work(connection)
        except sqlite3.Error as error:
            raise no_space(error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(_PRIVATE, check_same_thread=False, isolation_level=None)
            self._connection.executescript(self._schema)
        return self._connection
