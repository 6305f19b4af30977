"""Shares one answer among all who ask the same at the same moment; what an answer is, it does not know.

An answer may be shared only if nothing of it was looked at before the question: a caller who has just written
something has to find it in the numbers. So a question joins an answer that has not begun yet. One that comes
later waits for the next answer, which begins when the one under way has ended, and is shared by all who ask
meanwhile: however many ask, there is one listing at a time. Only a caller who accepts numbers of some age
joins an answer that began within it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

__all__ = ("SharedAnswers",)

T = TypeVar("T")


class _Answer(Generic[T]):
    """One answer, how many wait for it, and when it began (monotonic seconds)."""

    def __init__(self) -> None:
        self.task: asyncio.Task[T]
        self.waiting = 0
        self.began = 0.0


class SharedAnswers(Generic[T]):
    """The answers of one session.

    Each is a task of its own, so that a caller who is cancelled takes nothing from the others; it is
    cancelled itself when the last one is.
    """

    def __init__(self) -> None:
        self._next: dict[Hashable, _Answer[T]] = {}
        self._current: dict[Hashable, _Answer[T]] = {}

    async def ask(
        self, question: Hashable, answer: Callable[[], Awaitable[T]], max_age: float | None = None
    ) -> T:
        """The answer to a question; what it raises is raised to everyone who waits for it.

        Args:
            question: those that are equal share an answer.
            answer: answers it; not called where another caller's answer is shared.
            max_age: seconds; join an answer under way that is no older. ``None`` joins none.
        """
        shared = self._joinable(question, max_age) or self._start(question, answer)
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                await self._drop(question, shared)

    def _joinable(self, question: Hashable, max_age: float | None) -> _Answer[T] | None:
        current = self._current.get(question)
        if current is None or not current.waiting or max_age is None:
            return self._next.get(question)
        young = time.monotonic() - current.began < max_age
        return current if young else self._next.get(question)

    def _start(self, question: Hashable, answer: Callable[[], Awaitable[T]]) -> _Answer[T]:
        shared = self._next[question] = _Answer()
        shared.task = asyncio.create_task(self._run(question, shared, answer))
        shared.task.add_done_callback(_retrieved)
        return shared

    async def _run(self, question: Hashable, shared: _Answer[T], answer: Callable[[], Awaitable[T]]) -> T:
        """Answer when the answer before this one has ended, one way or the other."""
        while (before := self._current.get(question)) is not None:
            await asyncio.wait([before.task])
        del self._next[question]
        self._current[question] = shared
        shared.began = time.monotonic()
        try:
            return await answer()
        finally:
            del self._current[question]

    async def _drop(self, question: Hashable, shared: _Answer[T]) -> None:
        """Cancel an answer that has no caller left, and wait until it has ended."""
        if self._next.get(question) is shared:
            del self._next[question]
        shared.task.cancel()
        with anyio.CancelScope(shield=True):  # the caller is being cancelled, in a scope maybe for good
            await asyncio.wait([shared.task])


def _retrieved(task: asyncio.Task[T]) -> None:
    """Look at the error of an answer: its callers have it, if there are any."""
    if not task.cancelled():
        task.exception()
