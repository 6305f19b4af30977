"""What is closed while a thread still uses it waits for the thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


async def assert_closing_waits(
    run: Callable[[Callable[..., None]], Coroutine[Any, Any, object]],
    close: Callable[[], Coroutine[Any, Any, object]],
) -> None:
    """Check that ``close`` waits for the function that a cancelled ``run`` left in its thread.

    asyncio's own cancel() waits for no thread, and SQLite crashes the process if it is closed below one.
    """
    at_work, go_on = threading.Event(), threading.Event()

    def work(*_: object) -> None:
        at_work.set()
        go_on.wait()

    task = asyncio.create_task(run(work))
    await to_thread.run_sync(at_work.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closing = asyncio.create_task(close())
    for _ in range(20):
        await to_thread.run_sync(lambda: None)  # other threads come and go
    assert not closing.done()
    go_on.set()
    await closing
