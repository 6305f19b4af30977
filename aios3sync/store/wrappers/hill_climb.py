"""HillClimb: finds the useful number of requests in flight by measured throughput. Pure: no I/O, no clock.

The criterion is one number: throughput must grow at least as the limit to the power of ``WORTH``. A doubled
limit has to bring eleven percent. Where latency is the bottleneck, a doubled limit brings a hundred percent;
where the endpoint, the line or this process is saturated, it brings only longer waiting, more memory and more
connections: there the limit decreases again until that costs throughput.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

__all__ = ("HillClimb",)

WORTH: Final = 0.15
CHANGE: Final = 1.5
"""A throughput that changes by this factor at the same limit means new conditions: trials begin again."""
LOWEST: Final = 8
"""The lowest limit that is tried: lower ones save hardly anything, and recovery from them takes long."""

_FIRST_REST: Final = 4
_LONGEST_REST: Final = 32

_Course = Generator[int, float, float]


class HillClimb:
    """Chooses the limit of one window of requests after another.

    It doubles while that is worth it. Then it rests, and now and then tries a third more or a quarter less
    for one window, between two windows at the present limit, so that a change of conditions is not taken for
    an effect of the limit. After a useful trial upwards it doubles again. Useless trials become rarer, down
    to one in 32 windows, until the throughput itself changes by half.

    Args:
        first: the limit of the first window.
        ceiling: never more than this.

    Attributes:
        base: the highest limit that was found to be useful; trials may be above or below.
    """

    def __init__(self, first: int, ceiling: int) -> None:
        self.base = first
        self.ceiling = ceiling
        self._course = self._start()
        next(self._course)

    def next(self, rate: float) -> int:
        """Return the limit of the next window.

        Args:
            rate: throughput of the last window, at the limit that was returned last (at first ``base``),
                in any unit.
        """
        return self._course.send(rate)

    def fall_back(self) -> int:
        """Abort a trial, and return to ``base``; the next rate has to be measured there."""
        self._course = self._resume()
        return next(self._course)

    def resize(self, ceiling: int) -> None:
        """Change the ceiling; if it was the limit, grow from there; otherwise nothing else changes."""
        was_in_the_way = self.base == self.ceiling < ceiling
        self.ceiling = ceiling
        if self.base > ceiling or was_in_the_way:
            self.base = min(self.base, ceiling)
            self._course = self._start() if was_in_the_way else self._resume()
            next(self._course)

    def _start(self) -> _Course:
        rate = yield self.base
        while True:
            rate = yield from self._double(rate)
            rate = yield from self._rest(rate)

    def _resume(self) -> _Course:
        rate = yield self.base
        while True:
            rate = yield from self._rest(rate)
            rate = yield from self._double(rate)

    def _double(self, rate: float) -> _Course:
        while self.base < self.ceiling:
            limit = min(2 * self.base, self.ceiling)
            more = yield limit
            if not self._is_worth(limit, more, rate):
                # New connections have to be opened first, which takes some round trips: once more.
                more = yield limit
            if not self._is_worth(limit, more, rate):
                return (yield self.base)
            self.base, rate = min(limit, self.ceiling), more
        return rate

    def _rest(self, rate: float) -> _Course:
        """Stay at ``base``, with trials at intervals; return once a higher limit is useful."""
        rest, upwards = _FIRST_REST, self.base < self.ceiling
        while True:
            for _ in range(rest):
                now = yield self.base
                changed = not rate / CHANGE < now < rate * CHANGE
                rate = now if changed else (rate + now) / 2
                if changed:
                    rest, upwards = _FIRST_REST, self.base < self.ceiling
                    break
            limit = self._another(upwards)
            found = yield limit
            rate = (rate + (yield self.base)) / 2
            if limit != self.base and self._is_worth(limit, found, rate):
                self.base, rate, rest = min(limit, self.ceiling), found, 1
                if upwards:
                    return found
            else:
                rest = min(2 * rest, _LONGEST_REST)
                upwards = not upwards if self.base < self.ceiling else False

    def _another(self, upwards: bool) -> int:
        base = self.base
        if upwards:
            return min(max(base + 1, base * 4 // 3), self.ceiling)
        return max(base * 3 // 4, min(base, LOWEST))

    def _is_worth(self, limit: int, rate: float, before: float) -> bool:
        """Return whether ``limit``, with ``rate``, is better than ``base`` with the rate ``before``."""
        due: float = (limit / self.base) ** WORTH
        return rate > before * due
