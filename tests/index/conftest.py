"""A fresh index for each test, in each database; PostgreSQL is one server for each test process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from blockbuster import BlockBuster

from aios3sync.index.db.open import open_backend
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.testing.postgres import start_postgres

_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def allow_asyncpg_files(no_blocking: BlockBuster) -> None:
    """Allow asyncpg to look for a password file and certificates when it connects."""
    for function in no_blocking.functions.values():
        function.can_block_in(
            "asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args", "_parse_connect_arguments"}
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL server for this test process; return the URL of an empty database."""
    with start_postgres() as url:
        yield url


async def new_database(server: str, options: str = "") -> str:
    """Create an empty database on a server; return its URL."""
    name = f"index{next(_NUMBERS)}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {name} {options}")
    finally:
        await connection.close()
    return f"{server.rpartition('/')[0]}/{name}"


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'index.db'}"
    return await new_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def backend(database: str) -> AsyncIterator[IndexBackend]:
    """Open an empty index."""
    opened = await open_backend(database)
    yield opened
    await opened.close()
