"""Runs the producers of a comparison ahead of their consumer; a stream that fails never looks complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ("Producer", "prefetched", "pump")

T = TypeVar("T")
Producer = Callable[[MemoryObjectSendStream[Any]], Awaitable[None]]


@contextmanager
def prefetched(
    group: TaskGroup, produce: Callable[[MemoryObjectSendStream[T]], Awaitable[None]]
) -> Iterator[AsyncIterator[T]]:
    """Run a producer ahead of its consumer by a few batches."""
    send, receive = anyio.create_memory_object_stream[T](3)
    with send, receive:
        ahead = _Ahead(produce, receive)
        group.start_soon(ahead.run, send.clone())
        send.close()
        yield ahead


class _Ahead(AsyncIterator[T]):
    """The batches of a producer; its error is raised instead of its next batch.

    A stream that fails must not look like a complete one. Nor may its consumer be cancelled: the batch of
    decisions that it is passing on is counted as planned; if it never arrived, its items would never end, and
    a second comparison would wait for them forever.
    """

    def __init__(
        self,
        produce: Callable[[MemoryObjectSendStream[T]], Awaitable[None]],
        receive: MemoryObjectReceiveStream[T],
    ) -> None:
        self._produce = produce
        self._receive = receive
        self._error: Exception | None = None

    async def run(self, send: MemoryObjectSendStream[T]) -> None:
        """Produce to the end; run it as a task."""
        with send:
            try:
                await self._produce(send)
            except Exception as error:  # noqa: BLE001 - raised by the next batch that is asked for
                self._error = error

    async def __anext__(self) -> T:
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            if self._error is not None:
                raise self._error from None
            raise StopAsyncIteration from None


async def pump(items: AsyncGenerator[T, None], send: MemoryObjectSendStream[T]) -> None:
    """Send all that a generator yields, and close it."""
    async with aclosing(items):
        async for item in items:
            await send.send(item)
