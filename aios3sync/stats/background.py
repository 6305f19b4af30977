"""Statistics that are computed again in the background of a session."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType

from aios3sync.errors import AioS3SyncError
from aios3sync.stats.service import StatsRequest, compute

__all__ = ("BackgroundRefreshes",)

_LOG = logging.getLogger(__name__)


class BackgroundRefreshes:
    """The background refreshes of one session: at most one for each bucket, prefix and mode.

    A task group cannot hold them: it belongs to the task that opened it, and statistics may be requested by
    another one. So the tasks are held here, and end before the session does.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    def start(self, request: StatsRequest) -> None:
        """Compute a request in the background, unless that is already under way."""
        key = (request.store.bucket, request.prefix, request.options.mode)
        if key in self._tasks:
            return
        task = self._tasks[key] = asyncio.create_task(_refresh(request))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def wait(self) -> None:
        """Wait for all refreshes that are under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self, *ending: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Wait for the refreshes, or cancel them where the session ends with an error."""
        tasks = set(self._tasks.values())
        try:
            if ending[0] is None:
                await self.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _refresh(request: StatsRequest) -> None:
    try:
        await compute(request)
    except AioS3SyncError as error:
        _LOG.warning("the statistics of %s were not refreshed: %s", request.store.bucket, error)
