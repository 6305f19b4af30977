"""Refreshes caches behind an answer that was given at once; the session that started them waits for them."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType

from aios3sync.errors import AioS3SyncError
from aios3sync.stats.service import Question, answer

__all__ = ("Refreshes",)

_LOG = logging.getLogger(__name__)


class Refreshes:
    """The refreshes of one session: at most one for each bucket, prefix and mode.

    A task group cannot hold them: it belongs to the task that opened it, and whoever asks for statistics may
    be another one. So the tasks are held here, and end before the session does.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    def start(self, question: Question) -> None:
        """Answer a question anew, unless that is under way."""
        key = (question.store.bucket, question.prefix, question.options.mode)
        if key in self._tasks:
            return
        task = self._tasks[key] = asyncio.create_task(_refresh(question))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def wait(self) -> None:
        """Wait for all that is under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self, *ending: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End: wait for the refreshes, or cancel them where the session ends with an error."""
        tasks = set(self._tasks.values())
        try:
            if ending[0] is None:
                await self.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _refresh(question: Question) -> None:
    try:
        await answer(question)
    except AioS3SyncError as error:
        _LOG.warning("the statistics of %s were not refreshed: %s", question.store.bucket, error)
