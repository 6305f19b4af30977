"""The requests of one node: the limiter's rules in whole slices of time, by the real HillClimb and CubicRate.

:class:`~aios3sync.store.wrappers.limit.ConcurrencyLimiter` is called for each request, which a billion of
them forbids. What it decides is decided here once for a slice: which window to measure, when to slow down.
"""

from __future__ import annotations

from aios3sync.store.wrappers.cubic_rate import LATE, CubicRate
from aios3sync.store.wrappers.hill_climb import HillClimb
from aios3sync.store.wrappers.limit import FIRST_LIMIT, MAX_TOLERANCE, TOLERATED_REFUSAL_RATE

__all__ = ("SLICE_S", "NodeLimiter")

SLICE_S = 0.2
"""Seconds of a slice: longer than a round trip, and no longer than what the rate takes for one update."""


class NodeLimiter:
    """How many requests a node sends in the next slice.

    Args:
        latency: seconds of one request.

    Attributes:
        successes: requests that succeeded.
        limit: requests that may be in flight.
    """

    __slots__ = (
        "_hill",
        "_latency",
        "_rate",
        "_recovering",
        "_settled",
        "_slack",
        "_tolerance",
        "limit",
        "successes",
    )

    def __init__(self, latency: float) -> None:
        self.successes = 0.0
        self.limit = 0
        self._latency = latency
        self._hill = HillClimb(FIRST_LIMIT, FIRST_LIMIT)
        self._rate = CubicRate()
        self._tolerance = 0.0
        self._recovering = self._settled = self._slack = False

    @property
    def learnt(self) -> float:
        """The requests a second that refusals have taught, infinite where there were none for a while."""
        return self._rate.rate

    def resize(self, ceiling: int, rate: float) -> None:
        """Take another lease."""
        if ceiling and ceiling != self._hill.ceiling:
            self._hill.resize(ceiling)
            self._set(min(self.limit, ceiling) or self._hill.base)
        elif ceiling and not self.limit:
            self.limit = self._hill.base
        self._rate.ceiling = rate

    def wanted(self, now: float) -> float:
        """Return how many requests can start in the slice that begins now."""
        by_limit = self.limit / self._latency * SLICE_S
        self._slack = False
        if not self._rate.limits:
            return by_limit
        self._rate.take(now)
        rate = min(self._rate.rate, self._rate.ceiling)
        if by_limit <= rate * SLICE_S:
            return by_limit
        self._slack = True
        for _ in range(round(rate * LATE) + 2):
            if self._rate.take(now):  # a request has to wait, as those do that are left over
                break
        return rate * SLICE_S

    def ended(self, now: float, accepted: float, refused: float) -> None:
        """Adapt to how the requests of the slice ended."""
        self.successes += accepted
        self._tolerance = min(self._tolerance + accepted * TOLERATED_REFUSAL_RATE, MAX_TOLERANCE)
        if refused > self._tolerance:
            self._slow_down(now)
            return
        self._tolerance -= refused
        self._rate.note(now, round(self.successes))
        if self._recovering:
            limit = min(2 * self.limit, self._hill.base)
            self._recovering = limit < self._hill.base
            self._set(limit)
        elif self._slack or not self._settled:
            self._settled = True
        elif accepted:
            self._set(self._hill.next(accepted / SLICE_S))

    def _slow_down(self, now: float) -> None:
        self._tolerance = 0.0
        self._hill.fall_back()
        self._rate.cut(now, round(self.successes))
        self._recovering = True
        self._set(max(1, self.limit // 2))

    def _set(self, limit: int) -> None:
        if limit != self.limit:
            self.limit, self._settled = limit, False
