"""Requests and bytes in flight: bounded, in order of asking, and unharmed by cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from anyio import CancelScope, Event, create_task_group
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.errors import ThrottledError
from aios3sync.store.protocol import DeleteError, DeleteItem
from aios3sync.store.wrappers.limit import ConcurrencyLimiter, LimitingStore
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import FaultyStore, throttled, unavailable
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from aios3sync.errors import StoreError


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await checkpoint()


async def hold(limiter: ConcurrencyLimiter, entered: list[int], number: int, leave: Event) -> None:
    async with limiter.slot():
        entered.append(number)
        await leave.wait()


async def test_no_more_than_the_limit_are_in_flight() -> None:
    entered: list[int] = []
    limiter, leave = ConcurrencyLimiter(100, first=3), Event()
    async with create_task_group() as group:
        for number in range(5):
            group.start_soon(hold, limiter, entered, number, leave)
        await settle()
        assert (entered, limiter.in_flight) == ([0, 1, 2], 3)
        leave.set()
    assert entered == [0, 1, 2, 3, 4]
    assert limiter.in_flight == 0


def test_it_starts_carefully_and_below_the_ceiling() -> None:
    assert ConcurrencyLimiter(256).limit == 32
    assert ConcurrencyLimiter(4).limit == 4
    with pytest.raises(ValueError, match="at least one"):
        ConcurrencyLimiter(0)


async def fail(limiter: ConcurrencyLimiter, error: StoreError) -> None:
    with pytest.raises(type(error)):
        async with limiter.slot():
            raise error


async def test_slow_down_halves_and_other_failures_do_not() -> None:
    limiter = ConcurrencyLimiter(100, first=8)
    await fail(limiter, unavailable())
    assert limiter.limit == 8
    await fail(limiter, throttled())
    assert limiter.limit == 4
    for _ in range(5):
        await fail(limiter, throttled())
    assert limiter.limit == 1


async def test_one_overload_halves_once() -> None:
    limiter, all_in = ConcurrencyLimiter(100, first=8), Event()

    async def fail_together() -> None:
        with suppress(ThrottledError):
            async with limiter.slot():
                await all_in.wait()
                raise throttled()

    async with create_task_group() as group:
        for _ in range(8):
            group.start_soon(fail_together)
        await settle()
        all_in.set()
    assert limiter.limit == 4


async def test_a_lower_limit_admits_no_request_until_enough_have_ended() -> None:
    entered: list[int] = []
    limiter, leave = ConcurrencyLimiter(100, first=4), Event()
    async with create_task_group() as group:
        for number in range(4):
            group.start_soon(hold, limiter, entered, number, leave)
        await settle()
        limiter.throttled()
        group.start_soon(hold, limiter, entered, 4, Event())
        await settle()
        assert (limiter.limit, limiter.in_flight, len(entered)) == (2, 4, 4)
        leave.set()
        await settle()
        assert entered[-1] == 4
        group.cancel_scope.cancel()
    assert limiter.in_flight == 0


async def test_a_request_cancelled_while_waiting_takes_no_slot() -> None:
    entered: list[int] = []
    limiter, leave = ConcurrencyLimiter(1), Event()
    async with create_task_group() as group:
        group.start_soon(hold, limiter, entered, 0, leave)
        await settle()
        async with create_task_group() as impatient:
            impatient.start_soon(hold, limiter, entered, 1, leave)
            await settle()
            impatient.cancel_scope.cancel()
        group.start_soon(hold, limiter, entered, 2, leave)
        leave.set()
    assert entered == [0, 2]
    assert limiter.in_flight == 0


async def test_a_request_cancelled_as_it_gets_a_slot_passes_it_on() -> None:
    entered: list[int] = []
    limiter, leave = ConcurrencyLimiter(1), Event()
    async with create_task_group() as group:
        group.start_soon(hold, limiter, entered, 0, leave)
        await settle()
        scope = CancelScope()

        async def impatient() -> None:
            with scope:
                await hold(limiter, entered, 1, Event())

        group.start_soon(impatient)
        group.start_soon(hold, limiter, entered, 2, leave)
        await settle()
        leave.set()
        scope.cancel()
    assert entered == [0, 2]
    assert limiter.in_flight == 0


async def test_a_request_cancelled_after_it_got_a_slot_releases_it() -> None:
    limiter = ConcurrencyLimiter(1)
    cuts = await limiter.acquire()
    task = asyncio.create_task(limiter.acquire())
    await settle()
    limiter.release(cuts, None)
    assert limiter.in_flight == 1  # the task has it, and does not know yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.in_flight == 0


async def test_a_request_cancelled_after_it_got_bytes_releases_them() -> None:
    budget = ByteSemaphore(10)
    await budget.acquire(8)
    task = asyncio.create_task(budget.acquire(5))
    await settle()
    budget.release(8)
    assert budget.in_use == 5
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.in_use == 0


async def take(budget: ByteSemaphore, size: int, order: list[int]) -> None:
    await budget.acquire(size)
    order.append(size)


async def test_bytes_are_given_in_order_of_asking() -> None:
    order: list[int] = []
    budget = ByteSemaphore(10)
    await budget.acquire(8)
    async with create_task_group() as group:
        for size in (5, 1, 2):
            group.start_soon(take, budget, size, order)
            await settle()
        # One byte is free, but the request for five came first.
        assert order == []
        budget.release(8)
    assert order == [5, 1, 2]
    assert budget.in_use == 8


async def test_a_body_over_the_whole_budget_is_alone() -> None:
    order: list[int] = []
    budget = ByteSemaphore(10)
    await budget.acquire(1)
    async with create_task_group() as group:
        group.start_soon(take, budget, 1000, order)
        await settle()
        assert order == []
        budget.release(1)
    assert budget.in_use == 10
    budget.release(1000)
    assert budget.in_use == 0


async def test_nothing_costs_nothing() -> None:
    budget = ByteSemaphore(1)
    await budget.acquire(1)
    await budget.acquire(0)
    budget.release(0)
    budget.release(1)
    assert budget.in_use == 0
    with pytest.raises(ValueError, match="at least one byte"):
        ByteSemaphore(0)


async def test_a_request_cancelled_while_waiting_for_bytes_lets_the_next_in() -> None:
    order: list[int] = []
    budget = ByteSemaphore(10)
    await budget.acquire(5)

    async def start(group: TaskGroup, size: int) -> None:
        group.start_soon(take, budget, size, order)
        await settle()

    async with create_task_group() as patient, create_task_group() as impatient:
        await start(impatient, 9)
        await start(patient, 5)
        assert order == []
        impatient.cancel_scope.cancel()
    assert order == [5]
    assert budget.in_use == 10


@given(
    total=st.integers(1, 50),
    sizes=st.lists(st.integers(0, 80), max_size=30),
    cancelled=st.sets(st.integers(0, 29)),
)
async def test_bytes_in_use_never_exceed_the_budget_and_all_come_back(
    total: int, sizes: list[int], cancelled: set[int]
) -> None:
    budget = ByteSemaphore(total)

    async def use(number: int, size: int) -> None:
        with CancelScope() as scope:
            if number in cancelled:
                scope.cancel()
            await budget.acquire(size)
            try:
                assert budget.in_use <= total
                await checkpoint()
            finally:
                budget.release(size)

    async with create_task_group() as group:
        for number, size in enumerate(sizes):
            group.start_soon(use, number, size)
    assert budget.in_use == 0


async def test_a_throttled_key_of_a_batch_lowers_the_limit() -> None:
    faults = FaultyStore(MemoryStore(objects={"a": b""}))
    store = LimitingStore(faults, ConcurrencyLimiter(100, first=8))
    faults.on("delete_many", delete_errors=[DeleteError("a", "SlowDown", "later", True)])
    assert len(await store.delete_many([DeleteItem("a")])) == 1
    assert store.limiter.limit == 4
