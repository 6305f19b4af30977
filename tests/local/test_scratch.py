"""A scratch database is made when it is needed, and is not closed below a thread that uses it."""

from __future__ import annotations

import sqlite3

from aios3sync.local.scratch import ScratchDatabase
from tests.threads import assert_closing_waits


async def test_a_table_that_was_never_written_is_empty() -> None:
    database = ScratchDatabase("CREATE TABLE names (name TEXT)")
    assert await database.fetch("SELECT * FROM names") == []
    assert database.select("SELECT * FROM names", ()) == []
    await database.clear("names")
    await database.close()


async def test_rows_can_be_read_inside_of_a_transaction() -> None:
    database = ScratchDatabase("CREATE TABLE names (name TEXT)")

    def work(connection: sqlite3.Connection) -> list[tuple[str]]:
        connection.execute("INSERT INTO names VALUES ('a')")
        return database.select("SELECT name FROM names WHERE name = ?", ("a",))

    assert await database.transact(work) == [("a",)]
    await database.clear("names")
    assert await database.fetch("SELECT name FROM names") == []
    await database.close()


async def test_closing_waits_for_the_thread_that_a_cancelled_task_left_at_work() -> None:
    database = ScratchDatabase("")
    await assert_closing_waits(database.transact, database.close)
