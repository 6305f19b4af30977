"""Sends HEAD requests for single objects, many at once, and counts their outcomes; it changes nothing.

The store limits and retries. One object whose request fails makes the numbers incomplete; it never stops the
rest. Only when there is nothing but refusals, no further requests are sent.
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

__all__ = ("HeadRequester", "HeadSink", "head_requester")

HeadSink = Callable[[str, TargetEntry, HeadResult], None]

_QUEUED: Final = 2000
"""Objects that wait for their request; the listing waits when there are more."""
_HOPELESS: Final = 100
"""Refusals without one success, after which no further request is sent."""


class HeadRequester:
    """Sends HEAD requests from a bounded queue; :func:`head_requester` makes one.

    Attributes:
        answered, vanished, failed: how many objects.
        changed: answered with another ETag than was listed.
        first_error: of those that failed, one line.
    """

    def __init__(self, store: ObjectStore, sink: HeadSink, queue: ObjectSendStream[_Request]) -> None:
        self.answered = self.vanished = self.failed = self.changed = 0
        self.first_error = ""
        self._store = store
        self._sink = sink
        self._queue = queue

    @property
    def heads(self) -> HeadCounts:
        """The counts so far."""
        asked = self.answered + self.vanished + self.failed
        return HeadCounts(asked, self.answered, self.vanished, self.failed)

    async def request(self, objects: list[tuple[str, TargetEntry]]) -> None:
        """Queue objects, each with its category in :class:`~aios3sync.stats.original_sizes.KindTotals`."""
        for item in objects:
            await self._queue.send(item)

    async def work(self, queue: ObjectReceiveStream[_Request]) -> None:
        """Send one request after the other until the queue is closed and empty."""
        async with queue:
            async for category, entry in queue:
                await self._head(category, entry)

    async def _head(self, category: str, entry: TargetEntry) -> None:
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
            # Some endpoints answer HEAD without an ETag; a change since then shows in the next listing.
            if head.etag and entry.etag and head.etag != entry.etag:
                self.changed += 1
            self._sink(category, entry, head)


_Request = tuple[str, TargetEntry]


@asynccontextmanager
async def head_requester(store: ObjectStore, sink: HeadSink, workers: int) -> AsyncIterator[HeadRequester]:
    """Yield a requester to queue objects with; when the block has ended, all requests have been answered.

    Args:
        store: of the bucket.
        sink: called with the category, the listed entry and the result of each successful request.
        workers: requests at once; the store limits them further.
    """
    sending, receiving = anyio.create_memory_object_stream[_Request](_QUEUED)
    requester = HeadRequester(store, sink, sending)
    async with anyio.create_task_group() as tasks:
        with receiving:
            for _ in range(workers):
                tasks.start_soon(requester.work, receiving.clone())
        with sending:
            yield requester
