"""CubicRate: how many requests a second may start once the endpoint has demanded fewer. Pure: no clock.

An endpoint that refuses requests above its limit shows the limit by what it accepts meanwhile. So a cut sets
the rate a little below the successes of the last second or so, and from there the rate follows a cubic curve
(the idea of RFC 9438, here for a rate instead of a window): quickly back up, then slowly near the rate of the
last cut, then faster and faster beyond, in case the limit no longer exists.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ("LATE", "CubicRate")

CUT: Final = 0.9
"""A cut leaves this share of the rate that the endpoint has accepted."""
LATE: Final = 0.02
"""Seconds that a timer may be late: the starts of this time are admitted at once."""

_RETURN: Final = 3.0  # seconds until the rate is back where it was cut
_COOLDOWN: Final = 1.0  # seconds after a cut without another: limits are often counted by the second
_RECENT_CUT: Final = 3.0
_TRUSTED_AFTER: Final = 2.0
_TICK: Final = 0.5
_GAP: Final = 2.0
_UPDATE: Final = 0.1
_SLICE: Final = 0.004  # starts are let go in slices: a timer for each would cost more than it smooths


class CubicRate:
    """A rate of starts; unlimited until the first cut, and again after a long time without one.

    All times are seconds of one clock that never goes back; ``successes`` counts requests since the start.

    Attributes:
        rate: requests a second; infinite while there is no limit.
        ceiling: an additional limit, set by the caller; the rate itself continues to grow above it.
    """

    def __init__(self) -> None:
        self.rate = math.inf
        self.ceiling = math.inf
        self._peak = math.inf
        self._age = 0.0
        self._due = 0.0
        self._last_cut = (-math.inf, 0)
        self._updated = 0.0
        self._kept_waiting = False
        self._ticks: deque[tuple[float, int]] = deque(maxlen=4)

    def note(self, now: float, successes: int) -> None:
        """Note how many requests have succeeded by ``now``; call it a few times a second."""
        if self._ticks and now - self._ticks[-1][0] > _GAP:
            self._ticks.clear()  # a pause is no measure of what the endpoint can do
        if not self._ticks or now - self._ticks[-1][0] >= _TICK:
            self._ticks.append((now, successes))

    def cut(self, now: float, successes: int) -> bool:
        """Reduce the rate to what the endpoint accepts; return False if just done, or unknown yet."""
        self.note(now, successes)
        if now - self._last_cut[0] < _COOLDOWN or now - self._ticks[0][0] < _COOLDOWN:
            return False
        accepted = self._accepted(now, successes)
        if now - self._last_cut[0] >= _TRUSTED_AFTER and self.rate < math.inf:
            # What was fine for a while is not far off, though less was asked for; if that has changed, then
            # the next cut, in a second, takes what it finds.
            accepted = max(accepted, self.rate * CUT)
        self._peak = max(1.0, min(accepted, self.rate))
        self.rate = self._peak * CUT
        self._age, self._kept_waiting = 0.0, False
        self._last_cut = (now, successes)
        self._updated = self._due = now
        return True

    def _accepted(self, now: float, successes: int) -> float:
        """Return the recent successes per second."""
        since, before = self._ticks[0]
        if now - self._last_cut[0] >= _RECENT_CUT:
            return (successes - before) / (now - since)
        # Refused again soon. Where limits are counted by the second, whole seconds were used up between the
        # two refusals, wherever in theirs they fell. Elsewhere this is too much, and the rate is the bound.
        since, before = self._last_cut
        return (successes - before) / math.floor(now - since)

    @property
    def limits(self) -> bool:
        """Whether the rate is limited."""
        return min(self.rate, self.ceiling) < math.inf

    def take(self, now: float) -> float:
        """Admit one request now and return 0, or return the seconds after which to try again."""
        if now - self._updated >= _UPDATE:
            self._update(now)
        if self._due > now:
            self._kept_waiting = True
            return max(self._due - now, _SLICE)
        # A timer that came late is made up for, a pause is not.
        self._due = max(self._due, now - LATE) + 1.0 / min(self.rate, self.ceiling)
        return 0.0

    def _update(self, now: float) -> None:
        # Time in which no request had to wait for the rate proves nothing about it.
        if self._kept_waiting:
            self._age += min(now - self._updated, 2 * _UPDATE)
        self._kept_waiting = False
        self._updated = now
        if self._peak == math.inf:
            return
        self.rate = self._peak * (1.0 + (1.0 - CUT) * (self._age / _RETURN - 1.0) ** 3)
        if self.rate > 2.0 * self._peak:
            self.rate = self._peak = math.inf
