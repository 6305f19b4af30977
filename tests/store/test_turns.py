"""The limiter under any order of asking, leaving, being refused and being cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aios3sync.errors import ThrottledError, UnavailableError
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from tests.store.simulation import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable

OUTCOMES: list[Callable[[], BaseException | None]] = [
    lambda: None,
    lambda: UnavailableError("gone"),
    lambda: ThrottledError("slow down"),
]


class Turns(RuleBasedStateMachine):
    """Requests by number, in order of asking; a request is waiting, inside, or gone."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.limiter = ConcurrencyLimiter(12, first=4)
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.ends: dict[int, asyncio.Future[BaseException | None]] = {}
        self.waiting: list[int] = []
        self.inside: list[int] = []
        self.asked = 0

    async def request(self, number: int) -> None:
        try:
            cuts = await self.limiter.acquire()
        except asyncio.CancelledError:
            self.waiting.remove(number)
            raise
        assert self.waiting[0] == number, "somebody was overtaken"
        self.waiting.remove(number)
        self.inside.append(number)
        error: BaseException | None = None
        try:
            error = await self.ends[number]
        except asyncio.CancelledError as cancelled:
            error = cancelled
            raise
        finally:
            self.inside.remove(number)
            self.limiter.release(cuts, error, number)

    def settle(self, seconds: float = 0.0) -> None:
        async def pause() -> None:
            await asyncio.sleep(seconds)
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(pause())
        for number in [number for number, task in self.tasks.items() if task.done()]:
            task = self.tasks.pop(number)
            if not task.cancelled():
                task.result()

    @rule(count=st.integers(1, 20))
    def ask(self, count: int) -> None:
        for _ in range(count):
            number = self.asked
            self.asked += 1
            self.waiting.append(number)
            self.ends[number] = self.loop.create_future()
            self.tasks[number] = self.loop.create_task(self.request(number))
        self.settle()

    @rule(picks=st.lists(st.tuples(st.integers(0, 99), st.sampled_from(OUTCOMES)), min_size=1, max_size=12))
    def end(self, picks: list[tuple[int, Callable[[], BaseException | None]]]) -> None:
        for pick, outcome in picks:
            if self.inside:
                end = self.ends[self.inside[pick % len(self.inside)]]
                if not end.done():
                    end.set_result(outcome())
        self.settle()

    @rule(picks=st.lists(st.integers(0, 99), min_size=1, max_size=12))
    def cancel(self, picks: list[int]) -> None:
        for pick in picks:
            there = [*self.waiting, *self.inside]
            if there:
                self.tasks[there[pick % len(there)]].cancel()
        self.settle()

    @rule(pick=st.integers(0, 99))
    def cancel_whose_turn_has_just_come(self, pick: int) -> None:
        if self.inside and self.waiting:
            end = self.ends[self.inside[pick % len(self.inside)]]
            if not end.done():
                end.set_result(None)
            task = self.tasks[self.waiting[0]]
            self.loop.call_soon(lambda: self.loop.call_soon(task.cancel))
        self.settle()

    @rule(seconds=st.floats(0.001, 5))
    def wait(self, seconds: float) -> None:
        self.settle(seconds)

    @rule(count=st.integers(1, 200))
    def work(self, count: int) -> None:
        """Time passes and requests succeed: windows, measurements, recovery, and the base of a cut."""
        for _ in range(count):
            if not self.inside:
                return
            self.ends[self.inside[0]].set_result(None)
            self.settle(0.02)

    @invariant()
    def what_is_inside_is_counted(self) -> None:
        assert self.limiter.in_flight == len(self.inside)
        assert 1 <= self.limiter.limit <= 12

    @invariant()
    def no_request_waits_in_vain(self) -> None:
        if self.waiting and self.limiter.start_rate == float("inf"):
            assert self.limiter.in_flight >= self.limiter.limit
        assert self.limiter.free_slots() <= max(0, self.limiter.limit - self.limiter.in_flight)

    def teardown(self) -> None:
        try:
            self.settle(60.0)  # at the lowest rate one request starts in this time
            assert not self.waiting or self.limiter.in_flight
            for task in self.tasks.values():
                task.cancel()
            self.settle()
            assert (self.limiter.in_flight, self.waiting, self.inside) == (0, [], [])
        finally:
            self.loop.close()


Turns.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestTurns = Turns.TestCase
