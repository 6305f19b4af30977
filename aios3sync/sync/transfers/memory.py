"""ByteSemaphore: bounds the bytes of bodies in memory; first come first served, and safe to cancel."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ("ByteSemaphore",)


class ByteSemaphore:
    """Bounds the bytes of bodies in memory: :class:`~aios3sync.store.protocol.Budget`.

    Args:
        total: bytes. A body that is larger waits for all of it, and is then alone.
    """

    def __init__(self, total: int) -> None:
        if total < 1:
            raise ValueError("a budget has at least one byte")
        self.total = total
        self._used = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def in_use(self) -> int:
        """Bytes that are taken now."""
        return self._used

    async def acquire(self, size: int) -> None:
        """Wait until ``size`` bytes are free; later and smaller ones do not overtake."""
        size = min(size, self.total)
        if not self._waiting and self._used + size <= self.total:
            self._used += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        try:
            await turn
        except BaseException:
            # Cancelled: either still in the queue, or the bytes came just before.
            if not turn.cancelled():
                self._used -= size
            self._admit()
            raise

    def release(self, size: int) -> None:
        """Give back what was acquired, exactly once and with the same size."""
        self._used -= min(size, self.total)
        self._admit()

    def _admit(self) -> None:
        """Let in whoever fits now, without overtaking."""
        while self._waiting:
            turn, size = self._waiting[0]
            if not turn.done():  # else cancelled, and taken out here
                if self._used + size > self.total:
                    return
                self._used += size
                turn.set_result(None)
            self._waiting.popleft()
