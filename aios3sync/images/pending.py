"""The queue of thumbnails to make or remove: a table in a file, so that a later run can finish it.

Its size is bounded by the disk, not by memory. Blocking, for use in a thread; one thread at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from threading import Lock

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.numbers import from_sqlite, to_sqlite
from aios3sync.errors import AioS3SyncError

__all__ = ("PendingError", "PendingThumbnails", "Task", "Todo")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pending (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, todo INTEGER NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, stored INTEGER NOT NULL, etag TEXT NOT NULL
)
"""


class PendingError(AioS3SyncError):
    """Raised when the file of the queue cannot be opened, read or written."""


class Todo(IntEnum):
    """The work of a task: make a thumbnail, make it unless it exists, or remove it."""

    MAKE = 0
    MAKE_MISSING = 1
    REMOVE = 2


class Task(NamedTuple):
    """One thumbnail to make or remove.

    Attributes:
        key: of the image, relative to the target.
        todo: the work.
        size, mtime_ns: of the file as it was uploaded.
        stored: bytes of the object.
        etag: of the object.
        number: in the table; a later task for the key has a greater one.
    """

    key: str
    todo: Todo
    size: int = 0
    mtime_ns: int = 0
    stored: int = 0
    etag: str = ""
    number: int = 0


class PendingThumbnails:
    """The queue; a later task for a key replaces an earlier one.

    Args:
        path: of its file; empty for a queue in memory.

    Raises:
        PendingError: the file cannot be opened, or is not such a queue.
    """

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        self._path = path
        try:
            if path:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            self._base = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=10)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        with self._transaction() as base:
            base.execute(_SCHEMA)

    def add(self, tasks: Iterable[Task]) -> None:
        """Add tasks.

        Raises:
            PendingError: from every method: the file cannot be read or written.
        """
        rows = (
            (each.key, int(each.todo), *map(to_sqlite, (each.size, each.mtime_ns, each.stored)), each.etag)
            for each in tasks
        )
        with self._transaction() as base:
            base.executemany(
                "INSERT OR REPLACE INTO pending (key, todo, size, mtime_ns, stored, etag) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def after(self, number: int, limit: int) -> list[Task]:
        """Return the next tasks in the order of their numbers."""
        query = (
            "SELECT key, todo, size, mtime_ns, stored, etag, number FROM pending "
            "WHERE number > ? ORDER BY number LIMIT ?"
        )
        with self._transaction() as base:
            rows = base.execute(query, (number, limit)).fetchall()
        return [
            Task(key, Todo(todo), from_sqlite(size), from_sqlite(mtime_ns), from_sqlite(stored), *rest)
            for key, todo, size, mtime_ns, stored, *rest in rows
        ]

    def done(self, tasks: Sequence[Task]) -> None:
        """Delete tasks, unless a later one for the same key has replaced them."""
        with self._transaction() as base:
            base.executemany("DELETE FROM pending WHERE number = ?", [(each.number,) for each in tasks])

    def count(self) -> int:
        """Return the number of tasks."""
        with self._transaction() as base:
            return int(base.execute("SELECT count(*) FROM pending").fetchone()[0])

    def close(self) -> None:
        """Close the file; its tasks stay in it."""
        with self._lock:
            self._base.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, self._base:
                yield self._base
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> PendingError:
        return PendingError(f"the list of thumbnails {self._path!r} cannot be used: {error}")
