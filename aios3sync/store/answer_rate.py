"""AnswerRate: the bytes of bodies acknowledged in a second, and how much longer a response may take. Pure.

Bytes that a kernel or a proxy has accepted have not arrived yet. On a slow line that may take minutes,
without any sign: only responses show how fast bodies arrive. Repeating the upload meanwhile makes it worse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ("AnswerRate",)

_UNKNOWN: Final = 128 * 1024
"""Bytes in a second until there is a measurement: one megabit, the slowest line that is likely."""
_WINDOW_S: Final = 1.0
_MOST: Final = 10
"""A response may take at most this many time-outs longer."""


class AnswerRate:
    """The bytes of bodies in flight of one session, and the rate of their responses.

    Only responses change the rate: an endpoint that falls silent keeps its rate, so that its silence is
    noticed in time.

    Args:
        clock: seconds, never going back.

    Attributes:
        pending: bytes of the bodies that were begun and have no response yet.
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
        """Note that a body has got a response or failed; only an accepted body has certainly arrived."""
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
        """Return the seconds beyond ``timeout`` that a response may take after ``pending`` bytes."""
        return min(pending / (self._rate or _UNKNOWN), _MOST * timeout)
