"""How many large bodies are on their way, on simulated lines and a simulated clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from aios3sync.store.send_window import AdaptiveSendWindow

MIB = 1024 * 1024
SLICE = MIB // 4


@dataclass
class Line:
    """Carries ``rate`` bytes a second, shared by the bodies on it; each alone no more than ``each``."""

    rate: float
    each: float = float("inf")
    now: float = 0.0
    arrived: list[tuple[int, float]] = field(default_factory=list)
    most: int = 0

    async def carry(self, sizes: list[int], turns: list[int] | None = None) -> AdaptiveSendWindow:
        """Send bodies of these sizes, as many at once as the window lets go."""
        window = AdaptiveSendWindow(lambda: self.now)
        left: dict[int, int] = {}

        async def body(number: int) -> None:
            await window.acquire(sizes[number], turns[number] if turns else 0)
            left[number] = sizes[number]

        tasks = [asyncio.create_task(body(number)) for number in range(len(sizes))]
        while len(self.arrived) < len(sizes):
            for _ in range(3):
                await asyncio.sleep(0)
            self.most = max(self.most, len(left))
            share = min(self.rate / len(left), self.each)
            self.now += SLICE / share
            for number in list(left):
                if left[number] <= SLICE:
                    window.left(sizes[number])
                window.moved(min(SLICE, left[number]))
                left[number] -= SLICE
                if left[number] <= 0:
                    del left[number]
                    self.arrived.append((number, self.now))
                    window.left(-sizes[number])
                    window.arrived(sizes[number])
                    window.release(sizes[number])
        await asyncio.gather(*tasks)
        assert window.in_flight == 0
        return window


async def test_photos_on_a_slow_uplink_arrive_one_after_the_other() -> None:
    """30 photos of 4 MB at 8 Mbit/s: of those that fit into 80 seconds most have arrived by then."""
    line = Line(1e6)
    await line.carry([4_000_000] * 30)
    assert sum(at <= 80 for _, at in line.arrived) >= 15
    assert sum(at <= 20 for _, at in line.arrived) >= 2
    assert line.now == pytest.approx(120, rel=0.1), "the line was never idle"


@pytest.mark.parametrize("rate", [1e7, 1e8, 1e9])
async def test_as_much_as_the_line_carries_in_a_second_may_be_on_its_way(rate: float) -> None:
    line = Line(rate)
    window = await line.carry([4 * MIB] * 400)
    assert window.limit >= rate * 0.8


async def test_of_bodies_that_a_proxy_takes_at_once_few_are_on_their_way() -> None:
    """It takes 30 photos in no time and delivers them one after the other: only answers show the line."""
    now, taken = 0.0, asyncio.Queue[int]()
    window = AdaptiveSendWindow(lambda: now)

    async def photo() -> None:
        await window.acquire(4_000_000)
        window.moved(3_000_000)
        window.left(4_000_000)
        window.moved(1_000_000)
        taken.put_nowait(4_000_000)

    tasks = [asyncio.create_task(photo()) for _ in range(30)]
    most = 0
    for _ in tasks:
        for _ in range(3):
            await asyncio.sleep(0)
        most = max(most, taken.qsize())
        size = taken.get_nowait()  # fails if the line is idle
        now += size / 1e6
        window.left(-size)
        window.arrived(size)
        window.release(size)
    await asyncio.gather(*tasks)
    assert (now, window.in_flight) == (120, 0)
    assert most <= 4, "two, and twice as many while more are tried"


async def test_where_each_connection_is_slow_more_of_them_go() -> None:
    """An endpoint that carries 1 MB/s on each connection, on a line that carries 100."""
    line = Line(1e8, each=1e6)
    await line.carry([4 * MIB] * 1000)
    assert line.most > 50
    assert line.now < 70, "two at a time would take 2100 seconds, and 42 is what the line takes"


async def test_of_those_that_wait_the_lowest_turn_goes_first() -> None:
    """The parts of the file that began first, however many parts of others wait longer."""
    line = Line(1e6)
    await line.carry([8 * MIB] * 12, turns=[n % 3 for n in range(12)])
    order = [number % 3 for number, _ in line.arrived]
    assert order[2:] == sorted(order[2:]), "but for the two that met an idle line"


async def test_a_body_larger_than_the_window_goes_too() -> None:
    await Line(1e6).carry([512 * MIB] * 2)


@pytest.mark.parametrize("let_go", [True, False])
async def test_a_cancelled_wait_takes_nothing(*, let_go: bool) -> None:
    window = AdaptiveSendWindow()
    for _ in range(2):
        await window.acquire(8 * MIB)
    waiting = asyncio.create_task(window.acquire(8 * MIB))
    after = asyncio.create_task(window.acquire(8 * MIB))
    await asyncio.sleep(0)
    if let_go:
        window.release(8 * MIB)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    if not let_go:
        window.release(8 * MIB)
    await after
    for _ in range(2):
        window.release(8 * MIB)
    assert window.in_flight == 0
