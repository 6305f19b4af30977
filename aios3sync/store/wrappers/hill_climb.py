"""HillClimb: how many requests in flight are worth it, by measured throughput. Pure: no I/O, no clock.

What more in flight has to bring is one number: the throughput must grow at least as the limit to the power
of ``WORTH``. A doubled limit has to bring eleven percent. Where the latency of the endpoint is what limits,
a doubled limit brings a hundred percent; where the endpoint, the line or this process is saturated, it
brings nothing but longer waiting, more memory and more connections: there the limit goes down again until
that costs throughput.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

__all__ = ("HillClimb",)

WORTH: Final = 0.15
CHANGE: Final = 1.5
"""So many times faster or slower at the same limit: other conditions, which make trials worthwhile again."""
LOWEST: Final = 8
"""Not tried below: so few cost next to nothing, and from fewer the way up is long."""

_FIRST_REST: Final = 4
_LONGEST_REST: Final = 32

_Course = Generator[int, float, float]


class HillClimb:
    """Chooses the limit of one window of requests after the other.

    It doubles while that is worth it. Then it rests, and now and then tries a third more or a quarter
    less for one window, between two windows at the present limit, so that a change of the weather is not
    taken for an effect of the limit. A trial upwards that was worth it is followed by doubling again.
    Trials that brought nothing become rarer, down to one in 32 windows, until the throughput itself changes
    by half.

    Args:
        first: the limit of the first window.
        ceiling: never more than this.

    Attributes:
        base: the highest limit that was found to be worth it; trials may be above or below.
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
        """Break off a trial, and rest at ``base``; the next rate has to be measured there."""
        self._course = self._resume()
        return next(self._course)

    def resize(self, ceiling: int) -> None:
        """Change the ceiling; where it was in the way, go on up from there. Else the course goes on."""
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
        """Stay at ``base``, trying others at times; returns once a higher limit was worth it."""
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
