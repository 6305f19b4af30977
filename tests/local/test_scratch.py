"""A scratch database is made when it is needed, and is not closed below a thread that uses it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest
from anyio import to_thread

from aios3sync.local.scratch import ScratchDatabase


async def test_what_was_never_written_is_empty() -> None:
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
    """asyncio's own cancel() waits for no thread, and SQLite crashes if it is closed below one."""
    database = ScratchDatabase("")
    at_work, go_on = threading.Event(), threading.Event()

    def work(connection: sqlite3.Connection) -> list[int]:
        at_work.set()
        go_on.wait()
        return [number for (number,) in connection.execute("SELECT 7")]

    task = asyncio.create_task(database.transact(work))
    await to_thread.run_sync(at_work.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closing = asyncio.create_task(database.close())
    for _ in range(20):
        await to_thread.run_sync(lambda: None)  # other threads come and go
    assert not closing.done()
    go_on.set()
    await closing
