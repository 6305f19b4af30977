"""Endpoints on a virtual clock: hours of requests in no time, the same each time."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aios3sync.errors import ThrottledError
from aios3sync.store.wrappers.limit import ConcurrencyLimiter

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Never waits: where nothing is ready, the clock jumps to the next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "a deadlock: all tasks wait"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nothing is left to do."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a loop of its own, with a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


Serve = Callable[[], Awaitable[None]]


@dataclass
class Endpoint:
    """What answers: after a latency, at most so many a second, and refusing what is over a limit.

    Attributes:
        latency: seconds from sending to the answer, of a single request.
        capacity: requests a second that can be carried out one after the other.
        per_second: requests accepted in each second of the clock, the rest is answered with SlowDown.
        bucket: the same as a token bucket, which holds a second's worth.
        at_once: requests in flight, above which they are answered with SlowDown.
        noise: spread of the latency, as a share of it.
        random_refusals: share of requests that are refused without a reason.
    """

    latency: float = 0.0
    capacity: float = float("inf")
    per_second: float = float("inf")
    bucket: float = float("inf")
    at_once: float = float("inf")
    noise: float = 0.0
    random_refusals: float = 0.0
    accepted: int = 0
    refused: int = 0
    in_flight: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - the same each time
    _free_at: float = 0.0
    _second: int = -1
    _in_second: int = 0
    _tokens: float | None = None
    _filled: float = 0.0

    async def serve(self, size: float = 1.0) -> None:
        """Carry out one request that is as much work as ``size`` small ones."""
        self.in_flight += 1
        try:
            await asyncio.sleep(self.latency * (1.0 + self.noise * self.random.random()))
            if self._refuses():
                self.refused += 1
                raise ThrottledError("slow down")
            now = asyncio.get_running_loop().time()
            cost = size / self.capacity * (1.0 + self.noise * (self.random.random() - 0.5))
            self._free_at = max(now, self._free_at) + cost
            if self._free_at > now:
                await asyncio.sleep(self._free_at - now)
            self.accepted += 1
        finally:
            self.in_flight -= 1

    def _refuses(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._second != int(now):
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        if self._tokens is None:
            self._tokens = self.bucket
        if self.bucket < float("inf"):
            self._tokens = min(self.bucket, self._tokens + (now - self._filled) * self.bucket)
            self._filled = now
            if self._tokens < 1.0:
                return True
            self._tokens -= 1.0
        over = self._in_second > self.per_second or self.in_flight > self.at_once
        return over or self.random.random() < self.random_refusals


@dataclass
class Load:
    """Workers that always have something to send.

    Attributes:
        limiter: what they keep to.
        endpoint: whom they ask.
        workers: how many there are.
        size: work of one request.
        limits: the limit, sampled each 50 ms.
    """

    limiter: ConcurrencyLimiter
    endpoint: Endpoint
    workers: int = 256
    size: float = 1.0
    limits: list[int] = field(default_factory=list)

    async def for_seconds(self, seconds: float) -> float:
        """Let them work; returns how many requests a second were accepted."""
        before = self.endpoint.accepted
        tasks = [asyncio.ensure_future(self._work()) for _ in range(self.workers)]
        for _ in range(round(seconds * 20)):
            await asyncio.sleep(0.05)
            self.limits.append(self.limiter.limit)
        accepted = self.endpoint.accepted - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return accepted / seconds

    async def _work(self) -> None:
        while True:
            cuts = await self.limiter.acquire()
            try:
                await self.endpoint.serve(self.size)
            except BaseException as error:
                self.limiter.release(cuts, error)
                if not isinstance(error, ThrottledError):
                    raise
                await asyncio.sleep(0.2 * self.endpoint.random.random())
            else:
                self.limiter.release(cuts, None)
