"""AdaptiveSendWindow: on a slow line sends few large bodies at once, so that one after the other arrives."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Final

from aios3sync.store.wrappers.hill_climb import HillClimb

__all__ = ("AdaptiveSendWindow",)

_MIB: Final = 1024 * 1024
_FIRST: Final = 8
"""MiB at first: two photos, or one part and another one that waits for the response to the first."""
_CEILING: Final = 64 * 1024
_FEWEST: Final = 2
"""Bodies that may always be in flight: while one waits for its response, the other uses the line."""
_AHEAD_S: Final = 1.0
"""Seconds of the line's throughput that may be in flight: no body is slowed down by more than that."""
_WINDOW_S: Final = 0.25
_HELD: Final = 0.25
"""Share of the bytes in flight, in bodies that have left whole, up to which sent bytes are the measure."""
_WINDOW_BYTES: Final = 4 * _MIB
"""A measurement lasts for both of these, and until as much has arrived as was in flight: one round."""


class AdaptiveSendWindow:
    """Bounds the bytes of large bodies in flight: a :class:`~aios3sync.store.body_progress.SendWindow`.

    Thirty photos that share a slow uplink all arrive at the end, and none before; two at a time arrive one
    after the other, in the same total time. So few begin, and there are two reasons to admit more. As much as
    the line carries in a second may always be in flight: on a fast line that is more than there is. And where
    each connection is slow (a long distance, or an endpoint that limits each), more of them carry more: that
    is tried as for requests in flight (:class:`HillClimb`), and kept if it increases throughput.

    Only bodies with a response count. The kernel and proxies may accept bodies at the speed of memory, and
    then hold them for minutes: what they accept says nothing about the line. Where hardly any body waits for
    its response after it has left, there is no such proxy, and sent bytes are the faster measure.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hill_climb = HillClimb(_FIRST, _CEILING)
        self._tried = _FIRST
        self._carried = 0.0
        self._bytes = 0
        self._bodies = 0
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._number = itertools.count()
        self._moved = 0
        self._left = 0
        self._arrived = 0
        self._due = 0
        self._began = 0.0
        self._settled = False

    @property
    def limit(self) -> int:
        """Bytes that may be in flight now."""
        return max(self._tried * _MIB, int(self._carried * _AHEAD_S))

    @property
    def in_flight(self) -> int:
        """Bytes of the bodies in flight."""
        return self._bytes

    async def acquire(self, size: int, turn: int = 0) -> None:
        """Wait until a body of ``size`` bytes may be sent; the lowest ``turn`` is the first."""
        if not self._bodies:
            self._begin()  # the line was idle, so that its rate is unknown
        if not self._waiting and self._may_go(size):
            self._go(size)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (turn, next(self._number), size, future))
        try:
            await future
        except BaseException:
            # Cancelled: either still waiting, and dropped when its turn comes, or admitted just before.
            if not future.cancelled():
                self.release(size)
            raise

    def release(self, size: int) -> None:
        """Release the bytes of a body that arrived or failed."""
        self._bytes -= size
        self._bodies -= 1
        self._admit()

    def left(self, size: int) -> None:
        """Note that a whole body of ``size`` bytes has left; negative if it is sent again or has ended."""
        self._left += size

    def moved(self, size: int) -> None:
        """Note that ``size`` more bytes have left, of a body that a proxy may hold."""
        self._moved += size
        if self._moved >= _WINDOW_BYTES and self._left <= _HELD * self._bytes:
            seconds = self._clock() - self._began
            if seconds >= _WINDOW_S:
                self._measure(self._moved / seconds)

    def arrived(self, size: int) -> None:
        """Note that a body of ``size`` bytes was accepted; to be called before its :meth:`release`.

        Bodies that share the line arrive together, so less than a round would be no measure.
        """
        if not self._arrived:
            self._due = max(_WINDOW_BYTES, self._bytes)
        self._arrived += size
        seconds = self._clock() - self._began
        if self._arrived >= self._due and seconds >= _WINDOW_S:
            # Part of what arrived may have left, and been counted, before this measurement began.
            self._measure(min(self._arrived, self._moved) / seconds)

    def _measure(self, rate: float) -> None:
        self._carried = rate
        binding = bool(self._waiting) and self.limit == self._tried * _MIB
        if binding and self._settled:
            before, self._tried = self._tried, self._hill_climb.next(rate)
            self._settled = self._tried == before  # else the next measurement has bodies of both
        else:
            self._settled = True
        self._begin()
        self._admit()

    def _begin(self) -> None:
        self._moved, self._arrived, self._began = 0, 0, self._clock()

    def _may_go(self, size: int) -> bool:
        return self._bodies < _FEWEST or self._bytes + size <= self.limit

    def _go(self, size: int) -> None:
        self._bytes += size
        self._bodies += 1

    def _admit(self) -> None:
        while self._waiting:
            _, _, size, future = self._waiting[0]
            if not future.done():  # else cancelled, and taken out here
                if not self._may_go(size):
                    return
                self._go(size)
                future.set_result(None)
            heapq.heappop(self._waiting)
