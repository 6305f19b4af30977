"""AnswerRate: bytes of bodies that are answered in a second, and how much longer an answer may take. Pure.

What a kernel or a proxy has taken is not at its end yet. On a slow line that may be minutes later, without a
sign of it: only answers tell how fast bodies arrive. An upload that is repeated meanwhile makes it worse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ("AnswerRate",)

_UNKNOWN: Final = 128 * 1024
"""Bytes in a second until there is a measurement: one megabit, the slowest line that is likely."""
_WINDOW_S: Final = 1.0
_MOST: Final = 10
"""An answer is waited for this many times the time-out longer at most."""


class AnswerRate:
    """What the bodies of one session have under way, and the rate of their answers.

    The rate changes with answers only: an endpoint that fell silent keeps the one that it had, so that its
    silence is noticed in time.

    Args:
        clock: seconds, never going back.

    Attributes:
        pending: bytes of the bodies that were begun and have no answer yet.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.pending = 0
        self._rate = 0.0
        self._measured = False
        self._answered = 0
        self._since = self._idle_since = 0.0

    def begin(self, size: int) -> None:
        """Note that a body of ``size`` bytes is being sent."""
        if not self.pending:  # the line was idle, which says nothing about it
            self._since += self._clock() - self._idle_since
        self.pending += size

    def end(self, size: int, *, accepted: bool) -> None:
        """Note that a body was answered or given up; only one that was accepted has arrived for certain."""
        self.pending -= size
        now = self._idle_since = self._clock()
        if not accepted:
            return
        self._answered += size
        if now - self._since >= _WINDOW_S:
            self._rate = self._answered / (now - self._since)
            self._answered, self._since, self._measured = 0, now, True
        elif not self._measured:
            self._rate = self._answered / _WINDOW_S  # it is at least that

    def allowance(self, pending: int, timeout: float) -> float:
        """Return the seconds beyond ``timeout`` that an answer may take after ``pending`` bytes."""
        return min(pending / (self._rate or _UNKNOWN), _MOST * timeout)
