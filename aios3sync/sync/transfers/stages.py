"""Stage: a function that takes batches of transfers from a stream; :func:`feeding` chains two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ("Stage", "feeding")

Stage = Callable[[MemoryObjectReceiveStream[list[Any]]], Coroutine[Any, Any, None]]


@asynccontextmanager
async def feeding(stage: Stage) -> AsyncIterator[MemoryObjectSendStream[list[Any]]]:
    """Run a stage, and yield the stream that feeds it; at the end of the block, wait until it has ended."""
    send, receive = anyio.create_memory_object_stream[list[Any]](1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage, receive)
        async with send:
            yield send
