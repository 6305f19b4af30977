"""Open the database that a URL names.

Only this module imports the drivers, and only when they are needed.
"""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import unquote

from anyio import to_thread

from aios3sync.errors import UsageError
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.local.state import NO_STATE, state_directory

__all__ = ("MAIN", "default_database", "open_backend", "refuse_absent")

MAIN: Final = "main"
"""The name of the index where none is given."""
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_POSTGRES: Final = frozenset({"postgres", "postgresql"})


def default_database() -> str:
    """Return the path of the index where no database is named.

    Raises:
        UsageError: there is no state directory.
    """
    directory = state_directory()
    if directory is None:
        raise UsageError(f"the index has no place: {NO_STATE}, or name a database, e.g. sqlite:///objects.db")
    return os.path.join(directory, "index.sqlite")


async def open_backend(url: str, name: str = MAIN) -> IndexBackend:
    """Open the database of an index.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://`` (a temporary one), a path,
            or ``postgresql://user@host/database``.
        name: of the index; a database may hold several.

    Raises:
        UsageError: the URL does not name a database of a known kind, or its driver is not installed.
        ObjectIndexError: the database cannot be opened, or is not an index.
    """
    scheme = _SCHEME.match(url)
    if scheme is not None and scheme[1] in _POSTGRES:
        try:
            from aios3sync.index.db.postgres import PostgresIndex
        except ImportError as error:
            raise UsageError("an index in PostgreSQL needs asyncpg; pip install asyncpg") from error
        return await PostgresIndex.open(url, name)
    from aios3sync.index.db.sqlite import SqliteIndex

    return await to_thread.run_sync(SqliteIndex.open, _path(url), name)


def refuse_absent(url: str) -> None:
    """Raise UsageError for a file that does not exist, for callers that must not create one. Blocks."""
    scheme = _SCHEME.match(url)
    if scheme is not None and scheme[1] in _POSTGRES:
        return
    path = _path(url)
    if path and not os.path.exists(path):
        raise UsageError(f"there is no index {path!r}; 'aios3sync index backfill s3://BUCKET' makes one")


def _path(url: str) -> str:
    """Return the path of an SQLite URL; empty for a temporary file."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        if not url:
            raise UsageError("the index needs a database: sqlite:///objects.db or postgresql://host/name")
        return url
    if scheme[1] != "sqlite":
        raise UsageError(f"{scheme[1]!r} is no database of an index; use sqlite:///FILE or postgresql://…")
    rest = url[scheme.end() :]
    if rest in ("", "/", "/:memory:"):
        return ""
    if not rest.startswith("/"):
        raise UsageError(
            "write sqlite:///relative.db or sqlite:////absolute/path.db, with three slashes or four"
        )
    return unquote(rest[1:])
