"""Simultaneous calls share one listing; a cancelled caller takes nothing from the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aios3sync.errors import UnavailableError
from aios3sync.stats.service import compute
from aios3sync.stats.single_flight import SingleFlight
from aios3sync.testing.faulty import unavailable
from tests.stats.conftest import Bench


class Gated:
    """A computation that waits for an event; each returns its number."""

    def __init__(self) -> None:
        self.began: list[asyncio.Event] = [asyncio.Event() for _ in range(9)]
        self.go: list[asyncio.Event] = [asyncio.Event() for _ in range(9)]
        self.calls = self.running = self.most = self.cancelled = 0

    async def __call__(self) -> int:
        number = self.calls
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        self.began[number].set()
        try:
            await self.go[number].wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return number


@pytest.fixture
def shared() -> SingleFlight[Any]:
    return SingleFlight()


@pytest.fixture
def gated() -> Gated:
    return Gated()


async def test_simultaneous_calls_share_one_listing(bench: Bench, shared: Any) -> None:
    for name in range(30):
        await bench.put(f"k{name}")
    found = await asyncio.gather(*(shared.run("q", lambda: compute(bench.request())) for _ in range(20)))
    assert bench.store.calls["list_page"] == 1
    assert {stats.objects.value for stats in found} == {30}


async def test_other_keys_have_computations_of_their_own(gated: Gated, shared: Any) -> None:
    asked = [asyncio.create_task(shared.run(key, gated)) for key in ("a", "b", "a", ("a", 1))]
    await gated.began[2].wait()
    for go in gated.go:
        go.set()
    assert await asyncio.gather(*asked) == [0, 1, 0, 2]


async def test_later_calls_share_a_computation_that_begins_later(gated: Gated, shared: Any) -> None:
    """An object written before a call is in its result; and there is one listing at a time."""
    first = asyncio.create_task(shared.run("q", gated))
    await gated.began[0].wait()
    later = [asyncio.create_task(shared.run("q", gated)) for _ in range(5)]
    gated.go[0].set()
    assert await first == 0
    await gated.began[1].wait()
    gated.go[1].set()
    assert await asyncio.gather(*later) == [1] * 5
    assert gated.most == 1


async def test_a_caller_that_accepts_some_age_joins_a_running_computation(gated: Gated, shared: Any) -> None:
    first = asyncio.create_task(shared.run("q", gated, 60))
    await gated.began[0].wait()
    young, none = (asyncio.create_task(shared.run("q", gated, age)) for age in (60, 0))
    for go in gated.go:
        go.set()
    assert list(await asyncio.gather(first, young, none)) == [0, 0, 1]


@pytest.mark.parametrize("leaves", [0, 1, 2])
async def test_a_caller_who_is_cancelled_takes_nothing_from_the_others(
    gated: Gated, shared: Any, leaves: int
) -> None:
    asked = [asyncio.create_task(shared.run("q", gated)) for _ in range(3)]
    await gated.began[0].wait()
    asked[leaves].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked.pop(leaves)
    gated.go[0].set()
    assert await asyncio.gather(*asked) == [0, 0]
    assert (gated.calls, gated.cancelled) == (1, 0)


async def test_the_last_caller_who_is_cancelled_ends_the_computation(gated: Gated, shared: Any) -> None:
    asked = [asyncio.create_task(shared.run("q", gated)) for _ in range(3)]
    await gated.began[0].wait()
    for task in asked:
        task.cancel()
    assert [type(found) for found in await asyncio.gather(*asked, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 3
    assert (gated.running, gated.cancelled) == (0, 1)
    gated.go[1].set()
    assert await shared.run("q", gated) == 1


async def test_a_cancelled_scope_is_left_when_its_computation_has_ended(gated: Gated, shared: Any) -> None:
    async def slow_to_end() -> int:
        try:
            return await gated()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(20):
                    await anyio.lowlevel.checkpoint()
            ended.append(True)

    ended: list[bool] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shared.run, "q", slow_to_end)
        await gated.began[0].wait()
        tasks.cancel_scope.cancel()
    assert ended == [True]


async def test_callers_that_are_cancelled_before_it_begins_cost_no_computation(
    gated: Gated, shared: Any
) -> None:
    first = asyncio.create_task(shared.run("q", gated))
    await gated.began[0].wait()
    waiting = asyncio.create_task(shared.run("q", gated))
    await asyncio.sleep(0)
    waiting.cancel()
    gated.go[0].set()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await first, gated.calls) == (0, 1)
    gated.go[1].set()
    assert await shared.run("q", gated) == 1


async def test_an_error_is_raised_to_all_callers_and_is_not_cached(bench: Bench, shared: Any) -> None:
    fault = bench.store.on("list_page", error=unavailable())
    ask: Callable[[], Awaitable[Any]] = lambda: shared.run("q", lambda: compute(bench.request()))  # noqa: E731
    found = await asyncio.gather(*(ask() for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in found] == [UnavailableError] * 3
    assert (bench.store.calls["list_page"], fault.times) == (1, 0)
    assert (await ask()).objects.value == 0
