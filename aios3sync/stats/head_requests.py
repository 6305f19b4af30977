"""Asks for single objects, many at once, and counts what became of each; it changes nothing.

The store limits and retries. One object that cannot be asked makes the numbers incomplete; it never stops
the rest. Only when one refusal comes after the other, and nothing else, asking is given up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from aios3sync.core.entries import TargetEntry
from aios3sync.errors import BucketNotFoundError, CredentialsError, ObjectNotFoundError, StoreError
from aios3sync.stats.model import HeadCounts
from aios3sync.store.protocol import HeadResult, ObjectStore

__all__ = ("HeadRequester", "asking")

Told = Callable[[str, TargetEntry, HeadResult], None]

_WAITING: Final = 2000
"""Objects that wait to be asked; the listing waits when there are more."""
_HOPELESS: Final = 100
"""Refusals without one answer, after which nobody is asked any more."""


class HeadRequester:
    """What :func:`asking` hands out.

    Attributes:
        answered, vanished, failed: how many objects.
        changed: answered with another ETag than was listed.
        first_error: of those that failed, one line.
    """

    def __init__(self, store: ObjectStore, told: Told, sending: ObjectSendStream[_Question]) -> None:
        self.answered = self.vanished = self.failed = self.changed = 0
        self.first_error = ""
        self._store = store
        self._told = told
        self._sending = sending

    @property
    def heads(self) -> HeadCounts:
        """The counts."""
        asked = self.answered + self.vanished + self.failed
        return HeadCounts(asked, self.answered, self.vanished, self.failed)

    async def ask(self, objects: list[tuple[str, TargetEntry]]) -> None:
        """Have objects asked, each with its place in :class:`~aios3sync.stats.original_sizes.Kinds`."""
        for question in objects:
            await self._sending.send(question)

    async def work(self, receiving: ObjectReceiveStream[_Question]) -> None:
        """Ask one after the other until there are no more."""
        async with receiving:
            async for place, entry in receiving:
                await self._one(place, entry)

    async def _one(self, place: str, entry: TargetEntry) -> None:
        if self.failed >= _HOPELESS and not self.answered:
            self.failed += 1
            return
        try:
            head = await self._store.head(entry.key)
        except (BucketNotFoundError, CredentialsError):
            raise
        except ObjectNotFoundError:
            self.vanished += 1
        except StoreError as error:
            self.failed += 1
            self.first_error = self.first_error or str(error)
        else:
            self.answered += 1
            # Some endpoints answer HEAD without an ETag; what changed since is found by the next listing.
            if head.etag and entry.etag and head.etag != entry.etag:
                self.changed += 1
            self._told(place, entry, head)


_Question = tuple[str, TargetEntry]


@asynccontextmanager
async def asking(store: ObjectStore, told: Told, workers: int) -> AsyncIterator[HeadRequester]:
    """Ask for objects while the block lists them; at its end all have been asked.

    Args:
        store: of the bucket.
        told: called with the place, the listed entry and the answer of each object that answered.
        workers: requests at once; the store limits them further.
    """
    sending, receiving = anyio.create_memory_object_stream[_Question](_WAITING)
    asker = HeadRequester(store, told, sending)
    async with anyio.create_task_group() as tasks:
        with receiving:
            for _ in range(workers):
                tasks.start_soon(asker.work, receiving.clone())
        with sending:
            yield asker
