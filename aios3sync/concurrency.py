"""What asynchronous code needs everywhere: a request to stop, one error of a group, threads, backoff.

anyio is loaded by what uses it: a sync that finds nothing to do needs no event loop, and uses the rest.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from aios3sync._typing import TYPE_CHECKING, Any, Final, TypeVar
from aios3sync.errors import AioS3SyncError

if TYPE_CHECKING:
    import threading

    import anyio

__all__ = (
    "CORES",
    "Stop",
    "first_error",
    "for_each",
    "full_jitter",
    "in_thread",
    "raise_first_error",
    "run_in_thread",
)

T = TypeVar("T")

CORES: Final = os.cpu_count() or 1
_MOST_DOUBLINGS: Final = 30
"""Attempts after which the bound of a backoff grows no more, long after any cap."""


class Stop:
    """A request to end early and orderly; made by a signal or by the application.

    Attributes:
        signal: the number of the signal, 0 while no stop was requested.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._event: anyio.Event | None = None

    def request(self, signal: int = 2) -> None:
        """Ask the run to stop; may be called before it has begun. Event loop only."""
        self.signal = self.signal or signal
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait until a stop is requested."""
        import anyio

        if self._event is None:
            self._event = anyio.Event()
        if not self.signal:
            await self._event.wait()


@contextmanager
def raise_first_error() -> Iterator[None]:
    """Unwrap what task groups wrap: the caller sees the one error that ended the work.

    Raises:
        BaseException: see :func:`first_error`.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        raise first_error(group) from None


def first_error(error: BaseException) -> BaseException:
    """Return the error that explains a failure: of a group the first of ours, else the first of all.

    Args:
        error: a group, or an error that is returned as it is.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves: list[BaseException] = []
    queue: list[BaseException] = [error]
    while queue:
        item = queue.pop(0)
        if isinstance(item, BaseExceptionGroup):
            queue.extend(item.exceptions)
        else:
            leaves.append(item)
    return next((leaf for leaf in leaves if isinstance(leaf, AioS3SyncError)), leaves[0])


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Run ``work`` in a thread, and wait for its end also where the task is cancelled."""
    from anyio import to_thread

    return await to_thread.run_sync(work, *arguments)


async def run_in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run ``work`` in a thread; on cancellation its event is set and the thread left to end by itself."""
    import threading

    from anyio import to_thread

    stop = threading.Event()
    try:
        return await to_thread.run_sync(partial(work, stop), abandon_on_cancel=True)
    finally:
        stop.set()


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], limit: int) -> None:
    """Call ``work`` for every item; the first error cancels the rest and is raised without a group.

    Args:
        items: read as a whole before the first call.
        work: what to do with one item.
        limit: calls at once.
    """
    import anyio

    waiting = iter(list(items))
    failures: list[Exception] = []

    async def worker() -> None:
        for item in waiting:
            try:
                await work(item)
            except Exception as error:  # noqa: BLE001 - raised below, outside of the group that would wrap it
                failures.append(error)
                group.cancel_scope.cancel()
                return

    async with anyio.create_task_group() as group:
        for _ in range(limit):
            group.start_soon(worker)
    if failures:
        raise failures[0]


def full_jitter(
    attempt: int, base: float, cap: float, uniform: Callable[[float, float], float] | None = None
) -> float:
    """Return the seconds to wait before another attempt: exponential backoff with full jitter.

    See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ .

    Args:
        attempt: the number of the attempt that failed, from 1.
        base: the longest wait after the first attempt.
        cap: the longest wait after any attempt.
        uniform: draws a number between two, :func:`random.uniform`; a test injects its own.
    """
    if uniform is None:
        import random  # loaded here: hardly any run waits

        uniform = random.uniform
    return uniform(0.0, min(cap, base * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)))
