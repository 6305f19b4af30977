"""The embedded database of the index: one SQLite file, used in threads, never on the event loop.

One connection writes, in one thread at a time; several others read meanwhile, each from its own snapshot. The
write-ahead log makes that possible, so the file has to be on a local filesystem
(https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from aios3sync.index.db.backend import StepsBackend
from aios3sync.index.db.schema import DEFERRED, SQLITE_STEPS, create_index, drop_index, refuse_newer
from aios3sync.index.db.steps import Copy, Dialect, Fetch, Many, Statement, Steps
from aios3sync.index.rows import IndexUnavailableError, ObjectIndexError
from aios3sync.local.temporary import temporary_space

__all__ = ("APPLICATION_ID", "SqliteIndex")

APPLICATION_ID: Final = 0x61336978  # "a3ix"
_MAGIC: Final = b"SQLite format 3\x00"
_READERS: Final = 4
_BUSY_TIMEOUT: Final = 30.0
"""Seconds that a writer waits for the writer of another process."""
_LIST: Final = re.compile(r"= ANY\(\$(\d+)\)")
_PARAMETER: Final = re.compile(r"\$(\d+)")
_MOST_ITEMS: Final = 4096
"""Items of a list in one statement; SQLite takes 32,766 parameters."""
_INSERTED_VALUES: Final = (5000, 1000)
"""Values of one INSERT, and of one for the rest. sqlite3 releases the interpreter lock at every step and then
waits for it, 5 ms where the event loop is busy: few large statements keep up with the engine."""
_DIALECT: Final = Dialect(
    lock="", contains="instr", month="strftime('%Y-%m', uploaded_at, 'unixepoch')", lateral=False
)

T = TypeVar("T")


class SqliteIndex(StepsBackend):
    """See :class:`~aios3sync.index.db.protocol.IndexBackend`."""

    def __init__(self, path: str, name: str, closing: ExitStack, writer: sqlite3.Connection) -> None:
        """Use :meth:`open` instead."""
        super().__init__(name, _DIALECT)
        self._path = path
        self._closing = closing
        self._writer = writer
        self._writer_threads = CapacityLimiter(1)
        self._writing = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._reader_threads = CapacityLimiter(_READERS)
        self._closed = False

    @classmethod
    def open(cls, path: str, name: str) -> SqliteIndex:
        """Open or create the file (mode 0600). Blocks. An empty path keeps it in a temporary one.

        Raises:
            ObjectIndexError: it cannot be created or read, is no index, or one of a newer version; then it is
                left as it was.
        """
        with ExitStack() as closing:
            if not path:
                with temporary_space():
                    directory = closing.enter_context(tempfile.TemporaryDirectory())
                path = str(Path(directory) / "index.db")
            try:
                _refuse_foreign(path)
                writer = closing.enter_context(contextlib.closing(_connect(path)))
                _migrate(writer, path)
                for index in DEFERRED:
                    writer.execute(create_index(index, with_id=False))
            except (sqlite3.Error, OSError) as error:
                raise IndexUnavailableError(
                    f"the index {path!r} cannot be opened: {_reason(error)}"
                ) from error
            return cls(path, name, closing.pop_all(), writer)

    @property
    def place(self) -> str:
        """The path."""
        return self._path

    async def begin_loading(self) -> None:
        """See the protocol."""

        def work() -> None:
            if not self._writer.execute("SELECT EXISTS (SELECT 1 FROM objects)").fetchone()[0]:
                for index in DEFERRED:
                    self._writer.execute(drop_index(index))

        await self._write_in_thread(work)

    async def end_loading(self) -> None:
        """See the protocol."""

        def work() -> None:
            for index in DEFERRED:
                self._writer.execute(create_index(index, with_id=False))
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await self._write_in_thread(work)

    async def _write(self, steps: Steps[T]) -> T:
        return await self._write_in_thread(partial(_transaction, self._writer, "BEGIN IMMEDIATE", steps))

    async def _write_in_thread(self, work: Callable[[], T]) -> T:
        """Run work that writes, one at a time.

        The limiter alone is not enough: a cancelled task releases it while its thread still runs.
        """

        def exclusively() -> T:
            with self._writing:
                return work()

        return await self._in_thread(exclusively, self._writer_threads)

    async def _read(self, steps: Steps[T]) -> T:
        def work() -> T:
            connection = self._readers.pop() if self._readers else _connect(self._path)
            try:
                return _transaction(connection, "BEGIN", steps)
            finally:
                self._readers.append(connection)

        return await self._in_thread(work, self._reader_threads)

    async def _in_thread(self, work: Callable[[], T], limiter: CapacityLimiter) -> T:
        if self._closed:
            raise ObjectIndexError(f"the index {self._path!r} is closed")
        try:
            return await to_thread.run_sync(work, limiter=limiter)
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise ObjectIndexError(f"the index {self._path!r} failed: {error}") from error

    async def close(self) -> None:
        """See the protocol."""
        if self._closed:
            return
        self._closed = True

        def work() -> None:
            for connection in self._readers:
                connection.close()
            with self._writing:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("PRAGMA optimize")
                self._closing.close()

        with anyio.CancelScope(shield=True):
            async with self._writer_threads:
                await to_thread.run_sync(work)


def _reason(error: sqlite3.Error | OSError) -> str:
    """Return what an error says; of one of the system with the path that it is about, and no number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename!r}" if error.filename else error.strerror
    return str(error)


def _refuse_foreign(path: str) -> None:
    """Refuse a file that is not an index, before SQLite opens it and might write to it."""
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return
    if head and (head[:16] != _MAGIC or int.from_bytes(head[68:72], "big") != APPLICATION_ID):
        raise ObjectIndexError(f"{path!r} is there and is no index; name another file")


def _connect(path: str) -> sqlite3.Connection:
    Path(path).absolute().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -32768")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA wal_autocheckpoint = 8000")  # 32 MB: fewer checkpoints
    return connection


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    """Run the missing migrations, and mark the file as an index before it gets a write-ahead log."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        refuse_newer(path, version, len(SQLITE_STEPS))
        for step in SQLITE_STEPS[version:]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(SQLITE_STEPS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # else SQLite has rolled back by itself, as when the disk is full
            connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA journal_mode = WAL")


# Running steps. In a thread.


def _transaction(connection: sqlite3.Connection, begin: str, steps: Steps[T]) -> T:
    connection.execute(begin)
    try:
        result = _run(connection, steps)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _run(connection: sqlite3.Connection, steps: Steps[T]) -> T:
    try:
        statement = next(steps)
        while True:
            statement = steps.send(_execute(connection, statement))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _execute(connection: sqlite3.Connection, statement: Statement) -> Sequence[Sequence[Any]]:
    match statement:
        case Fetch(sql, arguments):
            return _fetch(connection, sql, arguments)
        case Many(sql, many):
            connection.executemany(_PARAMETER.sub(r"?\1", sql), many)
        case Copy(table, columns, rows):
            # A failed transaction is rolled back as a whole, so the statement needs no journal of its own.
            head = f"INSERT OR ROLLBACK INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - constants
            _insert(connection, head, len(columns), rows)
    return ()


def _fetch(connection: sqlite3.Connection, sql: str, arguments: tuple[Any, ...]) -> list[Any]:
    if (match := _LIST.search(sql)) is None:
        return connection.execute(_PARAMETER.sub(r"?\1", sql), arguments).fetchall()
    place = int(match[1]) - 1
    items = arguments[place]
    found: list[Any] = []
    for start in range(0, len(items), _MOST_ITEMS):
        some = items[start : start + _MOST_ITEMS]
        # Padded to a power of two with the last item, so that few different statements are compiled.
        count = 1 << (len(some) - 1).bit_length()
        values = (*arguments[:place], None, *arguments[place + 1 :], *some, *[some[-1]] * (count - len(some)))
        found += connection.execute(_with_list(sql, len(arguments), count), values).fetchall()
    return found


@lru_cache(maxsize=64)
def _with_list(sql: str, arguments: int, count: int) -> str:
    """Return the text of a statement with ``count`` list items, which follow its other arguments."""
    marks = ", ".join(f"?{number}" for number in range(arguments + 1, arguments + 1 + count))
    return _PARAMETER.sub(r"?\1", _LIST.sub(f"IN ({marks})", sql))


def _insert(connection: sqlite3.Connection, head: str, width: int, rows: Sequence[tuple[Any, ...]]) -> None:
    marks = f"({', '.join('?' * width)})"
    done = 0
    for values in _INSERTED_VALUES:
        group = values // width
        text = head + ", ".join([marks] * group)
        for start in range(done, len(rows) - group + 1, group):
            connection.execute(text, tuple(chain.from_iterable(rows[start : start + group])))
            done = start + group
    if left := rows[done:]:
        connection.execute(head + ", ".join([marks] * len(left)), tuple(chain.from_iterable(left)))
