"""Stop, the one error of a group, threads, bounded parallel calls, and backoff."""

from __future__ import annotations

import threading

import anyio
import pytest

from aios3sync.concurrency import Stop, first_error, for_each, full_jitter, raise_first_error, run_in_thread
from aios3sync.errors import UsageError


async def test_a_cancelled_thread_ends_by_itself() -> None:
    started, ended = threading.Event(), threading.Event()

    def work(stop: threading.Event) -> None:
        started.set()
        stop.wait(30)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_in_thread, work)
        await anyio.to_thread.run_sync(started.wait, 10)
        tasks.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(ended.wait, 10)


async def test_a_stop_may_be_requested_before_it_is_waited_for() -> None:
    stop = Stop()
    stop.request(15)
    stop.request()
    assert stop.signal == 15
    await stop.wait()


def test_an_error_of_ours_comes_before_any_other() -> None:
    ours, other = UsageError("ours"), ValueError("other")
    with pytest.raises(UsageError), raise_first_error():
        raise ExceptionGroup("outer", [other, ExceptionGroup("inner", [ours])])
    assert first_error(ExceptionGroup("none of ours", [other, KeyError()])) is other
    assert first_error(other) is other


async def test_the_first_error_ends_the_calls_and_is_raised_alone() -> None:
    seen: list[int] = []

    async def work(item: int) -> None:
        seen.append(item)
        if item == 3:
            raise ValueError(item)

    with pytest.raises(ValueError, match="3"):
        await for_each(range(100), work, 1)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.5), (2, 1.0), (4, 4.0), (5, 5.0), (10_000, 5.0)])
def test_the_longest_wait_doubles_up_to_the_cap(attempt: int, longest: float) -> None:
    assert full_jitter(attempt, 0.5, 5.0, lambda least, most: least + most) == longest
