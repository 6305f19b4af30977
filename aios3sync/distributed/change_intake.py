"""Gives the object index the changes of all nodes, and knows whether some are missing.

They come in two ways: by the exchanges while a step runs, and with the outcome of a step. A node that dies
takes changes with it, which its shard has recorded, so that the next attempt does not make them again. So the
index lacks changes, as far as anybody can know, where

- a step was begun and did not end, or was not the first attempt at it;
- an attempt was heard of that did not end, or fewer changes of it came than it has made;
- a node was lost whose files of the manifest are objects: what it had not stored no other attempt knows of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aios3sync.distributed.messages import AttemptChanges, SentChanges
    from aios3sync.index.feed import IndexSubscriber
    from aios3sync.index.rows import Facts

__all__ = ("ChangeIntake",)

_LOST: Final = "a worker was lost, or a step failed, before it had sent all its changes"


class ChangeIntake:
    """The changes of one run.

    Args:
        index: takes them; it is attached.
    """

    def __init__(self, index: IndexSubscriber) -> None:
        self._index = index
        self._running: set[str] = set()
        self._came: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._trouble = ""

    @property
    def room(self) -> int:
        """How many changes the index takes now without waiting."""
        return self._index.room

    async def take(self, sent: Sequence[SentChanges]) -> None:
        """Take changes of attempts that go on, of all nodes at once: few batches are faster than many."""
        together: list[Facts] = []
        for attempt, changes in sent:
            self._came[attempt] += len(changes)
            together += changes
        await self._index.take(together)

    def began(self, step: str) -> None:
        """Note that a step of a shard is given to the nodes."""
        self._running.add(step)

    async def ended(self, step: str, changes: AttemptChanges | None) -> None:
        """Take the last changes of a step that has ended; ``None`` of one that could make none."""
        self._running.discard(step)
        if changes is None:
            return
        self._came[changes.attempt] += len(changes.rest)
        self._totals[changes.attempt] += changes.total
        if changes.number != 1:
            self._trouble = self._trouble or _LOST
        self._trouble = self._trouble or changes.trouble
        await self._index.take(changes.rest)

    def conclude(self, *, lost_node: bool) -> None:
        """Say so where the index lacks changes; call it when no more can come.

        Args:
            lost_node: a node was lost that may have changed what no file tells of.
        """
        if lost_node or self._running or self._came != self._totals:
            self._trouble = self._trouble or _LOST
        if self._trouble:
            self._index.lacks(self._trouble)
