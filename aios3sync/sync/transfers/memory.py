"""Memory for bodies: ByteSemaphore bounds their bytes, BufferPool reuses buffers."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ("BufferPool", "ByteSemaphore")


class ByteSemaphore:
    """Bounds the bytes of bodies in memory, which are acquired before a body is read.

    First come, first served; waiting can be cancelled safely.

    Args:
        total: bytes. A larger body waits for all of them, and is then alone.
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
        """Wait until ``size`` bytes are free; later and smaller requests do not overtake.

        A size above the total waits for all bytes.
        """
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
        """Release what was acquired, exactly once and with the same size."""
        self._used -= min(size, self.total)
        self._admit()

    def _admit(self) -> None:
        """Admit the requests that fit now, in order: the first that does not fit blocks the rest."""
        while self._waiting:
            turn, size = self._waiting[0]
            if not turn.done():  # else cancelled, and taken out here
                if self._used + size > self.total:
                    return
                self._used += size
                turn.set_result(None)
            self._waiting.popleft()


class BufferPool:
    """Buffers that parts are read into; they are reused.

    A buffer that is allocated anew for every part costs the page faults of all its pages, and memory that
    threads free stays with the allocator: a run that held 256 MiB at a time grew to 600 MiB.
    """

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def acquire(self, size: int) -> bytearray:
        """Return a buffer of at least ``size`` bytes; its content is undefined."""
        while self._free:
            buffer = self._free.pop()
            if len(buffer) >= size:
                return buffer
        return bytearray(size)

    def release(self, buffer: bytearray) -> None:
        """Return a buffer to the pool, once nothing reads it any more."""
        self._free.append(buffer)
