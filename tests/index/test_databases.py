"""Promises of one database alone: foreign files, newer versions, locales, passwords; and paths of folders."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import anyio
import asyncpg
import pytest
from anyio import to_thread

from aios3sync.errors import UsageError
from aios3sync.index.db.open import open_backend
from aios3sync.index.db.postgres import without_password
from aios3sync.index.db.schema import POSTGRES_STEPS, SQLITE_STEPS
from aios3sync.index.db.sqlite import SqliteIndex
from aios3sync.index.rows import (
    ObjectIndexError,
    ObjectRow,
    Selection,
    Upsert,
    ancestors,
    extension_of,
    folder_of,
    parent_of,
    prefix_end,
)
from aios3sync.testing.postgres import start_postgres
from tests.index.conftest import new_database
from tests.threads import assert_closing_waits

# SQLite


async def test_closing_waits_for_the_writer_that_a_cancelled_task_left_at_work(tmp_path: Path) -> None:
    index = await to_thread.run_sync(SqliteIndex.open, str(tmp_path / "index.db"), "main")
    await assert_closing_waits(index._write_in_thread, index.close)


async def test_a_file_that_is_no_index_is_left_as_it_is(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text", tmp_path / "foreign.db"
    text.write_text("hello")

    def make() -> None:
        with sqlite3.connect(foreign) as connection:
            connection.execute("CREATE TABLE mine (x)")
        connection.close()

    await to_thread.run_sync(make)
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(ObjectIndexError, match="is no index"):
            await open_backend(str(path))
        assert path.read_bytes() == before
        assert sorted(each.name for each in tmp_path.iterdir()) == ["foreign.db", "text"]


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    await (await open_backend(str(path))).close()

    def age() -> None:
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA user_version = {len(SQLITE_STEPS) + 1}")
        connection.close()

    await to_thread.run_sync(age)
    before = path.read_bytes()
    with pytest.raises(ObjectIndexError, match="upgrade aios3sync"):
        await open_backend(str(path))
    assert path.read_bytes() == before


async def test_the_file_is_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "i.db"
    backend = await open_backend(f"sqlite:///{path}")
    assert path.stat().st_mode & 0o777 == 0o600
    await backend.close()


async def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ObjectIndexError, match="cannot be opened: Not a directory") as caught:
        await open_backend(str(tmp_path / "file" / "i.db"))
    assert "Errno" not in str(caught.value)


async def test_a_temporary_index_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    backend = await open_backend("sqlite://")
    await backend.load("b", [ObjectRow("k", 1)], 1.0)
    assert (await backend.totals(Selection("b"))).objects == 1
    await backend.close()
    assert list(tmp_path.iterdir()) == []


async def test_sqlite_holds_keys_with_nul(tmp_path: Path) -> None:
    backend = await open_backend(str(tmp_path / "i.db"))
    await backend.load("b", [ObjectRow("a\0b", 1), ObjectRow("a\0c", 2), ObjectRow("a", 3)], 1.0)
    assert [row.key for row in await backend.scan("b", "a\0", "", 9)] == ["a\0b", "a\0c"]
    assert [row.size for row in await backend.get("b", ["a\0c"])] == [2]
    assert (await backend.totals(Selection("b", "a\0"))).objects == 2
    await backend.close()


@pytest.mark.parametrize("url", ["", "mysql://x", "sqlite://relative.db"])
async def test_urls_that_name_no_database_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        await open_backend(url)


# PostgreSQL


async def test_postgres_refuses_nul_by_name(postgres: str) -> None:
    backend = await open_backend(await new_database(postgres))
    with pytest.raises(ObjectIndexError, match=r"'a\\x00b'.*SQLite"):
        await backend.apply("b", [Upsert(ObjectRow("ok", 1), 1.0), Upsert(ObjectRow("a\0b", 1), 1.0)])
    assert await backend.buckets() == []
    await backend.close()


async def test_a_newer_or_foreign_schema_is_refused(postgres: str) -> None:
    url = await new_database(postgres)
    await (await open_backend(url)).close()
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE aios3sync.version SET number = $1", len(POSTGRES_STEPS) + 1)
    with pytest.raises(ObjectIndexError, match="upgrade aios3sync"):
        await open_backend(url)
    await connection.execute("DROP SCHEMA aios3sync CASCADE; CREATE SCHEMA aios3sync")
    await connection.execute("CREATE TABLE aios3sync.mine (x int)")
    with pytest.raises(ObjectIndexError, match="is no index"):
        await open_backend(url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'aios3sync'")
    assert [row[0] for row in tables] == ["mine"]
    await connection.close()


async def test_only_utf8_databases_are_taken(postgres: str) -> None:
    url = await new_database(postgres, "ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(ObjectIndexError, match="UTF8"):
        await open_backend(url)


async def test_every_text_that_is_compared_is_compared_by_its_bytes(postgres: str) -> None:
    url = await new_database(postgres)
    await (await open_backend(url)).close()
    connection = await asyncpg.connect(url)
    other = await connection.fetch(
        """SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE relnamespace = 'aios3sync'::regnamespace AND relkind = 'r' AND collname <> 'C' ORDER BY 1"""
    )
    await connection.close()
    free = {"objects.etag", "objects.content_type", "objects.storage_class", "state.value"}
    assert {row[0].removeprefix("aios3sync.") for row in other} == free


@pytest.fixture(scope="session")
def locale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A locale with the collation of a language, compiled from the sources of the system."""
    place = tmp_path_factory.mktemp("locale")
    if shutil.which("localedef") is None:
        pytest.skip("the system has no localedef to make a locale with")
    command = ["localedef", "-i", "en_US", "-f", "UTF-8", str(place / "en_US.UTF-8")]
    if subprocess.run(command, check=False, capture_output=True).returncode > 1:
        pytest.skip("the system has no sources of locales")
    for each in (place, *place.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    return place


async def test_the_locale_of_the_database_does_not_matter(locale: Path) -> None:
    keys = ["a", "B", "b/1", "B/1", "ä", "Z", "_", "a-b", "a.b", "a/b", "ab"]

    def started() -> tuple[object, str]:
        running = start_postgres(locale="en_US.UTF-8", locale_path=locale)
        return running, running.__enter__()

    running, url = await to_thread.run_sync(started)
    try:
        connection = await asyncpg.connect(url)
        by_locale = [
            row[0] for row in await connection.fetch("SELECT unnest($1::text[]) AS k ORDER BY k", keys)
        ]
        await connection.close()
        assert by_locale != sorted(keys), "the locale sorts in another way"
        backend = await open_backend(url)
        await backend.load("b", [ObjectRow(key, 1) for key in keys], 1.0)
        assert [row.key for row in await backend.scan("b", "", "", 99)] == sorted(keys)
        assert [row.key for row in (await backend.page(Selection("b"), "name", 99))[0]] != by_locale
        assert [row.key for row in await backend.scan("b", "a", "a-b", 99)] == ["a.b", "a/b", "ab"]
        assert [folder.path for folder in await backend.folders("b", "")] == ["B/", "a/", "b/"]
        assert (await backend.totals(Selection("b", "a"))).objects == 5
        await backend.close()
    finally:
        await to_thread.run_sync(lambda: running.__exit__(None, None, None))  # type: ignore[attr-defined]


async def test_passwords_are_not_in_messages() -> None:
    assert without_password("postgresql://u:se:c@ret@h:5/d?sslkey=x") == "postgresql://u@h:5/d"
    with pytest.raises(ObjectIndexError) as caught:
        await open_backend("postgresql://user:hunter2@127.0.0.1:9/x")
    assert "hunter2" not in str(caught.value)


async def test_a_lost_server_is_an_error_and_no_hang(tmp_path: Path) -> None:
    def started() -> tuple[object, str]:
        running = start_postgres()
        return running, running.__enter__()

    running, url = await to_thread.run_sync(started)
    backend = await open_backend(url)
    await to_thread.run_sync(lambda: running.__exit__(None, None, None))  # type: ignore[attr-defined]
    with anyio.fail_after(240), pytest.raises(ObjectIndexError):
        await backend.load("b", [ObjectRow("k", 1)], 1.0)
    await backend.close()


# Paths


@pytest.mark.parametrize(
    ("key", "folder", "above"),
    [
        ("a", "", [""]),
        ("a/b", "a/", ["", "a/"]),
        ("a/", "a/", ["", "a/"]),
        ("a//b/c", "a//b/", ["", "a/", "a//", "a//b/"]),
        ("/x", "/", ["", "/"]),
    ],
)
def test_folders_of_keys(key: str, folder: str, above: list[str]) -> None:
    assert folder_of(key) == folder
    assert ancestors(folder) == above
    assert [parent_of(path) for path in above[1:]] == above[:-1]


@pytest.mark.parametrize("prefix", ["a", "a/", "\ud7ff", "x\U0010ffff", "\U0010ffff", "ÿ", ""])
def test_a_prefix_is_a_range(prefix: str) -> None:
    end = prefix_end(prefix)
    inside = [prefix, prefix + "\0", prefix + "\U0010ffff" * 3, prefix + "z"]
    assert all(end is None or text < end for text in inside)
    if end is not None:
        assert not end.startswith(prefix)
        assert end.encode() > (prefix + "\U0010ffff" * 9).encode()


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.JPG", "jpg"),
        (".bashrc", ""),
        ("a.tar.gz", "gz"),
        ("a", ""),
        ("a.", ""),
        ("a.b c", ""),
        ("a." + "x" * 17, ""),
    ],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension


def test_the_server_does_not_run_as_root(postgres: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root")

    async def ask() -> str:
        connection = await asyncpg.connect(postgres)
        try:
            return str(await connection.fetchval("SELECT pg_read_file('/proc/self/status')"))
        finally:
            await connection.close()

    assert "\nUid:\t0" not in anyio.run(ask)
