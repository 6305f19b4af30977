"""What is held comes back in full pages, in order, without what was sifted out."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from anyio import to_thread

from aios3sync.listing.spool import PAGE, DeferredAction, Spool


@pytest.fixture
async def spool() -> AsyncIterator[Spool]:
    spool = Spool()
    yield spool
    await spool.close()


def actions(start: int, stop: int, kind: str = "delete") -> list[DeferredAction]:
    return [DeferredAction(f"k{n:06}", kind, f"e{n}", n, n % 2 == 0, "why") for n in range(start, stop)]


async def pages(spool: Spool, kind: str = "delete") -> list[list[DeferredAction]]:
    return [page async for page in spool.held(kind)]


async def test_pages_are_full_whatever_was_held_at_once(spool: Spool) -> None:
    """DeleteObjects takes 1000 keys: what is held in odd lots must not cost more requests."""
    edges = [0, 1, 700, 700, 1999, 2000, 6096, 7500]
    for start, stop in pairwise(edges):
        await spool.hold(actions(start, stop) + actions(start, stop, "forget"))
    assert [len(page) for page in await pages(spool)] == [PAGE] * 7 + [500]
    assert [action for page in await pages(spool) for action in page] == actions(0, 7500)
    assert [action for page in await pages(spool, "forget") for action in page] == actions(0, 7500, "forget")
    assert await pages(spool, "conflict") == []


async def test_what_is_sifted_out_is_gone(spool: Spool) -> None:
    assert await spool.filter_out("delete", lambda page: set()) == (0, 0)
    for start in range(0, 3000, 1500):
        await spool.hold(actions(start, start + 1500))
    odd = {action.key for action in actions(0, 3000) if action.size % 2}
    assert await spool.filter_out("delete", lambda page: odd & {action.key for action in page}) == (
        1500,
        1500,
    )
    assert [action.size for page in await pages(spool) for action in page] == [*range(0, 3000, 2)]
    assert await spool.filter_out("delete", lambda page: {action.key for action in page}) == (0, 1500)
    assert await pages(spool) == []


async def test_what_is_forgotten_is_gone(spool: Spool) -> None:
    await spool.forget_held()
    await spool.hold(actions(0, 10))
    await spool.forget_held()
    assert await pages(spool) == []


async def test_closing_waits_for_the_thread_that_a_cancelled_task_left_at_work(spool: Spool) -> None:
    """asyncio's own cancel() waits for no thread, and SQLite crashes if it is closed below one."""
    at_work, go_on = threading.Event(), threading.Event()

    def work(connection: sqlite3.Connection) -> list[int]:
        at_work.set()
        go_on.wait()
        return [number for (number,) in connection.execute("SELECT 7")]

    task = asyncio.create_task(spool._run(work))
    await to_thread.run_sync(at_work.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closing = asyncio.create_task(spool.close())
    for _ in range(20):
        await to_thread.run_sync(lambda: None)  # other threads come and go
    assert not closing.done()
    go_on.set()
    await closing
