"""The buffers of ranges: bounded by number and by the budget, and used by one range at a time."""

from __future__ import annotations

import pytest
from anyio import Event, create_task_group, wait_all_tasks_blocked

from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.transfers.range_buffers import RangeBuffers


@pytest.mark.parametrize(("budget", "size", "at_once"), [(10_000, 10, 8), (25, 10, 2), (10, 100, 1)])
async def test_no_more_are_in_use_than_the_bounds_allow(budget: int, size: int, at_once: int) -> None:
    memory = ByteSemaphore(budget)
    buffers, release = RangeBuffers(memory), Event()
    in_use: list[memoryview] = []

    async def hold() -> None:
        async with buffers.take(size) as buffer:
            in_use.append(buffer)
            await release.wait()

    async with create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(hold)
        await wait_all_tasks_blocked()
        assert len(in_use) == at_once
        assert memory.in_use <= budget
        assert [len(buffer) for buffer in in_use] == [size] * at_once
        assert len({id(buffer.obj) for buffer in in_use}) == at_once, "each range has a buffer of its own"
        release.set()
    assert (len(in_use), memory.in_use) == (12, 0)


async def test_a_buffer_is_used_again_but_not_after_a_failure() -> None:
    """The transport may still have a view of the buffer of an exchange that was cut short."""
    memory = ByteSemaphore(100)
    buffers = RangeBuffers(memory)
    seen: list[object] = []

    async def use(size: int, failure: Exception | None = None) -> None:
        async with buffers.take(size) as view:
            assert len(view) == size
            seen.append(view.obj)
            if failure is not None:
                raise failure

    await use(10)
    with pytest.raises(OSError, match="full"):
        await use(7, OSError("full"))
    await use(10)
    assert seen[1] is seen[0]
    assert seen[2] is not seen[0]
    assert memory.in_use == 0
