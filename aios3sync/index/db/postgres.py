"""The server database of the index: PostgreSQL, through asyncpg (extra ``postgres``).

All tables are in the schema ``aios3sync`` of the database that the URL names, which may hold other schemas.
Each read uses one snapshot; the lock of a bucket puts its writes in order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from aios3sync.index.db.backend import StepsBackend
from aios3sync.index.db.schema import DEFERRED, POSTGRES_STEPS, create_index, drop_index, refuse_newer
from aios3sync.index.db.steps import Copy, Dialect, Fetch, Many, Statement, Steps
from aios3sync.index.rows import Facts, IndexUnavailableError, ObjectIndexError

__all__ = ("SCHEMA", "PostgresIndex")

SCHEMA: Final = "aios3sync"
_LOCK: Final = 0x61336978
"""The advisory lock that one process holds while it creates the tables."""
_CONNECTIONS: Final = 6
_CONNECT_TIMEOUT: Final = 15.0
_DIALECT: Final = Dialect(
    lock=" FOR UPDATE",
    contains="strpos",
    month="to_char(to_timestamp(uploaded_at) AT TIME ZONE 'UTC', 'YYYY-MM')",
    lateral=True,
)
_FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, UnicodeError, OverflowError)

T = TypeVar("T")


class PostgresIndex(StepsBackend):
    """See :class:`~aios3sync.index.db.protocol.IndexBackend`."""

    def __init__(self, place: str, name: str, pool: Any) -> None:
        """Use :meth:`open` instead."""
        super().__init__(name, _DIALECT)
        self._place = place
        self._pool = pool

    @classmethod
    async def open(cls, url: str, name: str) -> PostgresIndex:
        """Connect, and create the tables where there are none.

        Raises:
            ObjectIndexError: the server cannot be reached or refuses, the schema is not an index, or is of a
                newer version.
        """
        place = without_password(url)
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=_CONNECTIONS,
                timeout=_CONNECT_TIMEOUT,
                server_settings={"search_path": SCHEMA, "application_name": "aios3sync", "jit": "off"},
            )
        except (*_FAILURES, ValueError, TimeoutError) as error:
            raise IndexUnavailableError(
                f"the index {place!r} cannot be reached: {_first_line(error)}"
            ) from error
        index = cls(place, name, pool)
        try:
            await index._migrate()
            await index.end_loading()
        except BaseException:
            pool.terminate()
            raise
        return index

    @property
    def place(self) -> str:
        """The URL without its password."""
        return self._place

    def _check(self, changes: Sequence[Facts]) -> None:
        super()._check(changes)
        for change in changes:
            if any("\x00" in text for text in change if type(text) is str):
                raise ObjectIndexError(
                    f"PostgreSQL cannot hold {change[0]!r}: its text has no NUL character; "
                    "keep this bucket in an SQLite index"
                )

    async def begin_loading(self) -> None:
        """See the protocol."""
        async with self._connection() as connection, connection.transaction():
            if not await connection.fetchval("SELECT EXISTS (SELECT 1 FROM objects)"):
                for index in DEFERRED:
                    await connection.execute(drop_index(index))

    async def end_loading(self) -> None:
        """See the protocol."""
        async with self._connection() as connection:
            rows = await connection.fetch("SELECT indexname FROM pg_indexes WHERE schemaname = $1", SCHEMA)
            missing = set(DEFERRED) - {row[0] for row in rows}
            for index in sorted(missing):
                await connection.execute(create_index(index, with_id=True))
            if missing:
                await connection.execute("VACUUM (ANALYZE) objects, folders")  # for index-only scans

    async def _migrate(self) -> None:
        async with self._connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            encoding = await connection.fetchval("SHOW server_encoding")
            if encoding != "UTF8":
                raise ObjectIndexError(
                    f"the database of {self._place!r} is in {encoding}, which cannot hold every key; "
                    "name one whose encoding is UTF8"
                )
            version = await self._version(connection)
            refuse_newer(self._place, version, len(POSTGRES_STEPS))
            for step in POSTGRES_STEPS[version:]:
                await connection.execute(step)
            if version < len(POSTGRES_STEPS):
                await connection.execute("DELETE FROM version")
                await connection.execute("INSERT INTO version VALUES ($1)", len(POSTGRES_STEPS))

    async def _version(self, connection: Any) -> int:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY tablename", SCHEMA
        )
        if not tables:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            await connection.execute("CREATE TABLE version (number INTEGER NOT NULL)")
            return 0
        if "version" not in {row[0] for row in tables}:
            raise ObjectIndexError(
                f"the schema {SCHEMA!r} of {self._place!r} is there and is no index; name another database"
            )
        return int(await connection.fetchval("SELECT number FROM version"))

    async def _write(self, steps: Steps[T]) -> T:
        async with self._connection() as connection, connection.transaction():
            return await _run(connection, steps)

    async def _read(self, steps: Steps[T]) -> T:
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _run(connection, steps)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except (*_FAILURES, TimeoutError) as error:
            raise ObjectIndexError(f"the index {self._place!r} failed: {_first_line(error)}") from error

    async def close(self) -> None:
        """See the protocol."""
        await self._pool.close()


def without_password(url: str) -> str:
    """Return a URL without password and parameters, for messages."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.partition("\n")[0].rstrip() if text else type(error).__name__


# Running steps


async def _run(connection: Any, steps: Steps[T]) -> T:
    try:
        statement = next(steps)
        while True:
            statement = steps.send(await _execute(connection, statement))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def _execute(connection: Any, statement: Statement) -> Sequence[Sequence[Any]]:
    match statement:
        case Fetch(sql, arguments):
            return await connection.fetch(sql, *arguments)  # type: ignore[no-any-return]
        case Many(sql, many):
            await connection.executemany(sql, many)
        case Copy(table, columns, rows):
            await connection.copy_records_to_table(table, records=rows, columns=columns, schema_name=SCHEMA)
    return ()
