"""The limiter against endpoints of all kinds, on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from aios3sync.errors import UnavailableError
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from tests.store.simulation import Endpoint, Load, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def mean(limits: list[int]) -> float:
    return sum(limits) / len(limits)


def settled(endpoint: Endpoint, *, after: float, seconds: float, ceiling: int = 256) -> tuple[float, Load]:
    """Requests a second over ``seconds``, and the load, once it has worked for ``after`` seconds."""

    async def main() -> tuple[float, Load]:
        load = Load(ConcurrencyLimiter(ceiling), endpoint)
        await load.for_seconds(after)
        load.limits.clear()
        endpoint.refused = 0
        return await load.for_seconds(seconds), load

    return run(main())


def test_latency_is_met_with_more_in_flight() -> None:
    """At 30 ms the ceiling is reached within a second, and kept."""
    rate, load = settled(Endpoint(0.03, noise=0.2), after=1, seconds=3)
    assert load.limiter.limit == 256
    assert rate > 0.9 * 256 / 0.033


@pytest.mark.parametrize(("latency", "needed"), [(0.0005, 8), (0.005, 15), (0.02, 60)])
def test_a_busy_endpoint_is_not_given_more(latency: float, needed: int) -> None:
    rate, load = settled(Endpoint(latency, capacity=3000, noise=0.2), after=3, seconds=5)
    assert rate > 0.93 * 3000
    assert mean(load.limits) < 2.5 * needed


@pytest.mark.parametrize("kind", ["per_second", "bucket"])
@pytest.mark.parametrize("latency", [0.001, 0.05])
def test_a_limit_of_requests_is_used_up(latency: float, kind: str) -> None:
    """At least 90 % of what the endpoint accepts, and few refusals."""
    endpoint = Endpoint(latency, noise=0.2)
    setattr(endpoint, kind, 1000.0)
    rate, _ = settled(endpoint, after=4, seconds=15)
    assert rate > 0.93 * 1000
    assert endpoint.refused < 0.02 * 15 * 1000


def test_the_first_overloads_cost_little() -> None:
    """With 256 in flight all the time, twelve thousand would be refused in these three seconds."""
    endpoint = Endpoint(0.05, per_second=1000)
    run(Load(ConcurrencyLimiter(256), endpoint).for_seconds(3))
    assert endpoint.refused < 900
    assert endpoint.accepted > 2700


def test_a_limit_of_requests_in_flight_is_kept_to() -> None:
    endpoint = Endpoint(0.03, at_once=100, noise=0.1)
    rate, _ = settled(endpoint, after=4, seconds=8)
    assert rate > 0.7 * 100 / 0.0315
    assert endpoint.refused < 0.02 * 8 * rate


def test_now_and_then_a_refusal_is_no_overload() -> None:
    endpoint = Endpoint(0.05, random_refusals=0.01)
    rate, load = settled(endpoint, after=2, seconds=5)
    assert load.limiter.start_rate == float("inf")
    assert rate > 0.9 * 256 / 0.05


def test_a_new_limit_of_requests_is_found() -> None:
    async def main() -> tuple[float, float]:
        endpoint = Endpoint(0.02, per_second=2000)
        load = Load(ConcurrencyLimiter(256), endpoint)
        await load.for_seconds(4)
        endpoint.per_second = 400
        await load.for_seconds(4)
        slow = await load.for_seconds(6)
        endpoint.per_second = float("inf")
        await load.for_seconds(12)
        return slow, await load.for_seconds(2)

    slow, free = run(main())
    assert slow > 0.9 * 400
    assert free > 2500


@pytest.mark.parametrize(("before", "after"), [(0.001, 0.05), (0.05, 0.001)])
def test_another_latency_is_adapted_to(before: float, after: float) -> None:
    async def main() -> tuple[float, list[int]]:
        endpoint = Endpoint(before, capacity=2000, noise=0.2)
        load = Load(ConcurrencyLimiter(256), endpoint)
        await load.for_seconds(8)
        endpoint.latency = after
        await load.for_seconds(10)
        load.limits.clear()
        return await load.for_seconds(4), load.limits

    rate, limits = run(main())
    assert rate > 0.9 * 2000
    assert mean(limits) < 2.5 * max(8, 2000 * after)


async def trickle(limiter: ConcurrencyLimiter, endpoint: Endpoint, *, at_once: int, count: int) -> None:
    """A caller that never wants more than ``at_once``, with pauses."""

    async def one() -> None:
        async with limiter.slot():
            await endpoint.serve()

    for _ in range(count):
        await asyncio.gather(*(one() for _ in range(at_once)))
        await asyncio.sleep(0.01)


def test_a_slow_caller_teaches_nothing() -> None:
    """Neither that more would not help, nor that it would."""

    async def main() -> list[int]:
        limiter, limits = ConcurrencyLimiter(256), []
        for at_once in (1, 5, 20):
            await trickle(limiter, Endpoint(0.02), at_once=at_once, count=100)
            limits.append(limiter.limit)
        return limits

    assert run(main()) == [32, 32, 32]


def test_a_pause_does_not_lower_the_limit() -> None:
    async def main() -> tuple[int, int]:
        limiter, endpoint = ConcurrencyLimiter(256), Endpoint(0.03)
        load = Load(limiter, endpoint)
        await load.for_seconds(1)
        before = limiter.limit
        for _ in range(5):
            await asyncio.sleep(5)
            await load.for_seconds(0.5)
        return before, limiter.limit

    assert run(main()) == (256, 256)


def test_large_bodies_are_paid_by_the_byte() -> None:
    """On a line of 64 MiB a second a mix of sizes, small before large, does not make the limit wander."""

    async def main() -> list[int]:
        limiter, endpoint, limits = ConcurrencyLimiter(256), Endpoint(0.002, capacity=64 * 4), []

        async def work(size: int) -> None:
            while True:
                cuts = await limiter.acquire()
                try:
                    await endpoint.serve(1 + size / (256 * 1024))
                except BaseException as error:
                    limiter.release(cuts, error)
                    raise
                limiter.release(cuts, None, size)

        for size in (0, 4 << 20, 0, 4 << 20):
            tasks = [asyncio.ensure_future(work(size)) for _ in range(256)]
            for _ in range(60):
                await asyncio.sleep(1)
                limits.append(limiter.limit)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return limits

    limits = run(main())
    assert max(limits[5:]) <= 64


def test_failures_that_are_no_refusals_teach_nothing() -> None:
    async def main() -> tuple[int, float]:
        limiter = ConcurrencyLimiter(256)

        async def fail() -> None:
            for _ in range(100):
                cuts = await limiter.acquire()
                await asyncio.sleep(0.001)
                limiter.release(cuts, UnavailableError("gone"))

        await asyncio.gather(*(fail() for _ in range(64)))
        return limiter.limit, limiter.start_rate

    assert run(main()) == (32, float("inf"))


def test_no_request_starves_at_a_low_rate() -> None:
    """First come, first served: also when a hundred wait for twenty a second."""

    async def main() -> None:
        endpoint = Endpoint(0.01, per_second=20)
        limiter = ConcurrencyLimiter(32)
        await Load(limiter, endpoint, workers=64).for_seconds(10)
        order: list[int] = []

        async def ask(number: int) -> None:
            async with limiter.slot():
                order.append(number)

        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(ask(number) for number in range(100)))
        assert order == list(range(100))
        assert 2 < asyncio.get_running_loop().time() - started < 8

    run(main())


def test_two_sessions_that_share_an_endpoint_both_progress() -> None:
    async def main() -> tuple[float, float]:
        endpoint = Endpoint(0.05, per_second=1000, noise=0.2)
        loads = [Load(ConcurrencyLimiter(256), endpoint) for _ in "ab"]
        shares = [0, 0]

        async def count(number: int) -> None:
            load = loads[number]
            serve = endpoint.serve

            async def counted(size: float = 1.0) -> None:
                await serve(size)
                shares[number] += 1

            load.endpoint = Proxy(endpoint, counted)  # type: ignore[assignment]
            await load.for_seconds(20)

        await asyncio.gather(count(0), count(1))
        return min(shares) / 20, sum(shares) / 20

    fewer, both = run(main())
    assert both > 0.85 * 1000
    assert fewer > 0.2 * 1000


class Proxy:
    """An endpoint that somebody counts at."""

    def __init__(self, endpoint: Endpoint, serve: Callable[..., Coroutine[None, None, None]]) -> None:
        self.endpoint = endpoint
        self.serve = serve

    def __getattr__(self, name: str) -> object:
        return getattr(self.endpoint, name)
