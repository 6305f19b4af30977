"""Deferred actions come back in full pages, in key order, without those that were filtered out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from aios3sync.sync.deferred import PAGE, DeferredAction, DeferredDeletes


@pytest.fixture
async def deferred() -> AsyncIterator[DeferredDeletes]:
    deferred = DeferredDeletes()
    yield deferred
    await deferred.close()


def actions(start: int, stop: int, kind: str = "delete") -> list[DeferredAction]:
    return [DeferredAction(f"k{n:06}", kind, f"e{n}", n, n % 2 == 0, "why") for n in range(start, stop)]


async def pages(deferred: DeferredDeletes, kind: str = "delete") -> list[list[DeferredAction]]:
    return [page async for page in deferred.pages(kind)]


async def test_pages_are_full_however_few_actions_are_added_at_once(deferred: DeferredDeletes) -> None:
    """DeleteObjects takes 1000 keys: actions that come in odd numbers must not cost more requests."""
    edges = [0, 1, 700, 700, 1999, 2000, 6096, 7500]
    for start, stop in pairwise(edges):
        await deferred.add(actions(start, stop) + actions(start, stop, "forget"))
    assert [len(page) for page in await pages(deferred)] == [PAGE] * 7 + [500]
    assert [action for page in await pages(deferred) for action in page] == actions(0, 7500)
    assert [action for page in await pages(deferred, "forget") for action in page] == actions(
        0, 7500, "forget"
    )
    assert await pages(deferred, "conflict") == []


async def test_actions_that_are_filtered_out_are_gone(deferred: DeferredDeletes) -> None:
    assert await deferred.filter_out("delete", lambda page: set()) == (0, 0)
    for start in range(0, 3000, 1500):
        await deferred.add(actions(start, start + 1500))
    odd = {action.key for action in actions(0, 3000) if action.size % 2}
    assert await deferred.filter_out("delete", lambda page: odd & {action.key for action in page}) == (
        1500,
        1500,
    )
    assert [action.size for page in await pages(deferred) for action in page] == [*range(0, 3000, 2)]
    assert await deferred.filter_out("delete", lambda page: {action.key for action in page}) == (0, 1500)
    assert await pages(deferred) == []


async def test_cleared_actions_are_gone(deferred: DeferredDeletes) -> None:
    await deferred.clear()
    await deferred.add(actions(0, 10))
    await deferred.clear()
    assert await pages(deferred) == []
