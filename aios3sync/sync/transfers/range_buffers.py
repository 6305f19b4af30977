"""RangeBuffers: the memory that ranges of large objects are read into; it is reused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from aios3sync.core.parts import MIB
from aios3sync.sync.transfers.memory import BufferPool, ByteSemaphore

__all__ = ("RangeBuffers",)

_AT_ONCE: Final = 8
"""Ranges that are received, verified or written at the same time, of all large objects together."""
_LARGEST_KEPT: Final = 16 * MIB


class RangeBuffers:
    """Buffers of one run.

    Args:
        memory: the budget; a buffer counts while it is in use.
    """

    def __init__(self, memory: ByteSemaphore) -> None:
        self._memory = memory
        self._turns = anyio.CapacityLimiter(_AT_ONCE)
        self._pool = BufferPool()

    @asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[memoryview]:
        """Wait for a buffer of ``size`` bytes, which only the block uses."""
        async with self._turns:
            await self._memory.acquire(size)
            try:
                buffer = self._pool.acquire(size)
                with memoryview(buffer) as whole, whole[:size] as view:
                    yield view
                # Not after a failure: an exchange that was cut short may still hold a view of it.
                if len(buffer) <= _LARGEST_KEPT:
                    self._pool.release(buffer)
            finally:
                self._memory.release(size)
