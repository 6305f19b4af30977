"""Keeps what the steps of a node change in the bucket until the coordinator takes it, for the object index.

Each attempt at a step is a sink of outcomes. Its changes are taken by the exchanges, some at a time; those
that are left when it ends are part of how it ended. Either way they are counted, so that none is lost unseen:
see :mod:`~aios3sync.distributed.change_intake`.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio

from aios3sync.distributed.messages import AttemptChanges, SentChanges
from aios3sync.index.feed import TOO_SLOW, changes_of

if TYPE_CHECKING:
    from aios3sync.index.rows import Facts
    from aios3sync.sync.request import SyncRequest

__all__ = ("ChangeBuffer", "ChangeSink")

_LOG: Final = logging.getLogger(__name__)
_MOST_WAITING: Final = 32_768
"""Changes that wait on a node before its steps do: about 20 MB."""
_PATIENCE_S: Final = 10.0
"""Seconds that a step waits for the coordinator to take some, before it goes on without the index."""


class ChangeBuffer:
    """The changes of one node that were not taken yet, in the order in which they were made."""

    def __init__(self) -> None:
        self._sinks: dict[str, ChangeSink] = {}
        self._taken = anyio.Event()

    def of_attempt(self, request: SyncRequest) -> ChangeSink:
        """Return the sink of one attempt at a step of this request."""
        sink = ChangeSink(self, request)
        self._sinks[sink.name] = sink
        return sink

    def take(self, room: int) -> list[SentChanges]:
        """Return changes that were not returned before.

        Args:
            room: how many at most.
        """
        sent = []
        for sink in self._sinks.values():
            if some := sink.take(room):
                sent.append(SentChanges(sink.name, some))
                room -= len(some)
        if sent:
            self._taken.set()
            self._taken = anyio.Event()
        return sent

    def ended(self, sink: ChangeSink) -> AttemptChanges:
        """Return what an attempt has changed and was not taken, with how much it was in all."""
        del self._sinks[sink.name]
        rest = sink.take(sink.total)
        self._taken.set()
        self._taken = anyio.Event()
        return AttemptChanges(sink.name, sink.number, sink.total, rest, sink.trouble)

    async def wait_for_room(self) -> bool:
        """Wait until not too many changes wait; return whether that came about in time."""
        with anyio.move_on_after(_PATIENCE_S):
            while sum(sink.waiting for sink in self._sinks.values()) > _MOST_WAITING:
                await self._taken.wait()
            return True
        return False


class ChangeSink:
    """The changes of one attempt: an :class:`~aios3sync.events.OutcomeSink`.

    Attributes:
        name: of the attempt; random.
        number: of the attempt at its step, from 1; 0 until it is known.
        total: changes so far.
        trouble: why the rest of the changes is not kept; empty as long as nothing went wrong.
    """

    def __init__(self, buffer: ChangeBuffer, request: SyncRequest) -> None:
        self.name = secrets.token_hex(8)
        self.number = 0
        self.total = 0
        self.trouble = ""
        self._buffer = buffer
        self._request = request
        self._changes: list[Facts] = []

    @property
    def waiting(self) -> int:
        """How many changes were not taken yet."""
        return len(self._changes)

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Keep the changes of a batch of outcomes, with the time by the clock of this machine."""
        if self.trouble:
            return
        try:
            changes = changes_of(batch, self._request, time.time())
        except Exception as error:  # noqa: BLE001 - the index never fails the run
            _LOG.debug("changes are not kept for the index any more", exc_info=error)
            self.trouble = f"unexpected {type(error).__name__} on a worker"
            return
        self._changes += changes
        self.total += len(changes)
        if not await self._buffer.wait_for_room():
            self.trouble = TOO_SLOW

    def take(self, room: int) -> list[Facts]:
        """Return the oldest changes, and forget them.

        Args:
            room: how many at most.
        """
        some = self._changes[:room]
        del self._changes[:room]
        return some
