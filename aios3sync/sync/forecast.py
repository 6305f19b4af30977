"""Forecast: the requests that a run would send, by price class, computed from a dry run.

A dry run sends all requests of the comparison, which the run repeats, and none that write. What the run would
request because of an inventory, see :mod:`~aios3sync.sync.inventory_check`, is counted as single HEADs. Parts
are counted as parts of ``part_size``; requests that are sent again are not counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.core.actions import BY_TARGET
from aios3sync.core.endpoints import AWS
from aios3sync.core.etag import is_opaque_encryption
from aios3sync.core.prices import Minimum, Prices, minimum_of, prices_of, read_prices
from aios3sync.core.text import count
from aios3sync.events import Event, EventSink
from aios3sync.options import SyncOptions
from aios3sync.report import RequestForecast, SyncReport
from aios3sync.sync.bucket import COPIED_KEYS_OF_A_DELETE, KEYS_OF_A_DELETE
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

__all__ = ("Forecast", "classes_of")

_READS: Final = ("Get", "Head")
_FREE: Final = ("Delete", "Abort")
_BEFORE_PARTS: Final = 3
"""Requests about a source that is copied in parts: its headers, its tags, the size of its first part."""


class Forecast:
    """Counts what a run would do; it subscribes to the dry run."""

    def __init__(self) -> None:
        self._writes = self._reads = self._deleted = self._small = 0
        self._endpoint = ""
        self._minimum: Minimum | None = None
        self._options = SyncOptions()
        self._on_server = self._batches = True
        self._unproved = self._trash = False
        self._next: EventSink = events.discard

    @asynccontextmanager
    async def attached(self, request: SyncRequest, resources: Resources) -> AsyncIterator[Resources]:
        """Listen to the events of the run."""
        self._options, self._next = request.options, resources.on_event
        self._endpoint = request.endpoint
        self._minimum = minimum_of(request.options.storage_class)
        self._on_server, self._batches = resources.copies_on_server, resources.profile.batch_delete
        self._unproved = resources.profile.etags == "opaque" or _hides_content(request.options)
        self._trash = request.direction != "down" and request.options.trash is not None
        yield replace(resources, on_event=self._take)

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Do nothing: a dry run has no outcomes."""

    async def finish(self, report: SyncReport) -> SyncReport:
        """Return the report with the requests of the dry run and those that only the run would send."""
        sides = bool(self._options.source_listing) + bool(self._options.target_listing)
        writes, reads, deletes = classes_of(report.requests)
        if report.direction != "down":
            deletes += -(-self._deleted // self._keys_of_a_delete)
        writes, reads = writes + self._writes, reads + self._reads + sides * self._deleted
        writes += report.restoring if self._options.restore else 0
        forecast = RequestForecast(writes=writes, reads=reads, deletes=deletes)
        prices = self._prices()
        if prices is not None:
            forecast = replace(forecast, cost=prices.cost(writes, reads), currency=prices.currency)
        return replace(report, forecast=forecast, warnings=(*report.warnings, *self._traps()))

    @property
    def _keys_of_a_delete(self) -> int:
        if not self._batches:
            return 1
        return COPIED_KEYS_OF_A_DELETE if self._trash else KEYS_OF_A_DELETE

    def _prices(self) -> Prices | None:
        if self._options.prices:
            return read_prices(self._options.prices)
        return prices_of(self._options.storage_class) if self._endpoint == AWS else None

    def _traps(self) -> Iterator[str]:
        """Yield warnings about what a storage class bills in addition to the stored bytes."""
        name, minimum, written = self._options.storage_class, self._minimum, self._writes
        if minimum is None or not written:
            return
        if self._small:
            yield (
                f"{count(self._small, 'object is', 'objects are')} smaller than {minimum.size // 1024} KiB, "
                f"which {name} bills for each at least"
            )
        yield f"{name} bills an object for {minimum.days} days, also if it is replaced or deleted before"

    def _take(self, event: Event) -> object:
        kind = type(event)
        if kind is events.ObjectDeleted:
            self._deleted += 1
            if self._trash:
                self._reads += 1  # whether its name is free there
                self._store_copy(event.size)  # type: ignore[union-attr]
        elif kind is events.ObjectUploaded:
            self._upload(event.size, event.reason)  # type: ignore[union-attr]
        elif kind is events.ObjectCopied:
            self._copy(event.size, event.reason)  # type: ignore[union-attr]
        elif kind is events.ObjectDownloaded:
            self._reads += self._parts(event.size)  # type: ignore[union-attr]
        elif kind is events.ObjectUpdated:
            self._writes += 1
            self._reads += 1
        return self._next(event)

    def _parts(self, size: int) -> int:
        return max(1, -(-size // self._options.part_size))

    def _upload(self, size: int, reason: str) -> None:
        self._small += self._minimum is not None and size < self._minimum.size
        # Parts lie between a request that begins and one that completes the upload.
        self._writes += 1 if size <= self._options.multipart_threshold else 2 + self._parts(size)
        self._reads += bool(self._options.target_listing) and reason in BY_TARGET

    def _copy(self, size: int, reason: str) -> None:
        self._small += self._minimum is not None and size < self._minimum.size
        whole = size <= self._options.copy_part_threshold
        if not self._on_server:
            self._reads += 2 if whole else self._parts(size)  # a whole one with its tags
        elif whole:
            self._reads += self._options.metadata_directive != "copy"  # the headers that stay
        self._store_copy(size)
        self._reads += bool(self._options.target_listing) and reason in BY_TARGET

    def _store_copy(self, size: int) -> None:
        """Count the requests that store one copy and verify it."""
        whole = size <= self._options.copy_part_threshold
        self._writes += 1 if whole else 2 + self._parts(size)
        if not whole:
            self._reads += _BEFORE_PARTS
        self._reads += self._unproved or not whole  # other parts than those of the source give another ETag


def _hides_content(options: SyncOptions) -> bool:
    """Whether stored objects have ETags that prove nothing."""
    return bool(options.sse_customer_key) or is_opaque_encryption(options.sse)


def classes_of(requests: Mapping[str, int]) -> tuple[int, int, int]:
    """Return the numbers of requests that write or list, that read, and that are free.

    https://aws.amazon.com/s3/pricing/: PUT, COPY, POST and LIST have one price, GET and all others a tenth of
    it or less, DELETE has none.
    """
    reads = sum(number for name, number in requests.items() if name.startswith(_READS))
    free = sum(number for name, number in requests.items() if name.startswith(_FREE))
    return sum(requests.values()) - reads - free, reads, free
