"""Forecast: the requests that a run would send, in the classes that they are paid by, from a dry run of it.

A dry run sends all the requests that compare, which the run repeats, and none that write. What the run would
ask because of an inventory, see :mod:`~aios3sync.sync.inventory_check`, is counted as single HEADs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.core.actions import Reason
from aios3sync.core.prices import Minimum, Prices, minimum_of, prices_of, read_prices
from aios3sync.core.text import count
from aios3sync.events import Event, EventSink
from aios3sync.options import SyncOptions
from aios3sync.report import RequestForecast, SyncReport
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

__all__ = ("Forecast", "classes_of")

_AWS: Final = "aws"
"""The name of the endpoint whose prices are known."""
_KEYS_OF_A_DELETE: Final = 1000
_READS: Final = ("Get", "Head")
_FREE: Final = ("Delete", "Abort")
_ASKED: Final = frozenset({Reason.MISSING, Reason.DRIFTED, Reason.SIZE, Reason.CONTENT, Reason.INDETERMINATE})
"""Reasons of uploads and copies before which an object of an inventory of the target is asked for."""


class Forecast:
    """Counts what a dry run would do. It subscribes to that run."""

    def __init__(self) -> None:
        self._writes = self._reads = self._deleted = self._small = 0
        self._endpoint = ""
        self._minimum: Minimum | None = None
        self._options = SyncOptions()
        self._on_server = False
        self._next: EventSink = events.discard

    @asynccontextmanager
    async def attached(self, request: SyncRequest, resources: Resources) -> AsyncIterator[Resources]:
        """Listen to the events of the run."""
        self._options, self._next = request.options, resources.on_event
        self._endpoint = request.endpoint
        self._minimum = minimum_of(request.options.storage_class)
        self._on_server = resources.copies_on_server
        yield replace(resources, on_event=self._take)

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Take nothing: a dry run has no outcomes."""

    async def finish(self, report: SyncReport) -> SyncReport:
        """Return the report with the requests of the dry run and those that it left out."""
        sides = bool(self._options.source_listing) + bool(self._options.target_listing)
        writes, reads, deletes = classes_of(report.requests)
        if report.direction != "down":
            deletes += -(-self._deleted // _KEYS_OF_A_DELETE)
        writes, reads = writes + self._writes, reads + self._reads + sides * self._deleted
        forecast = RequestForecast(writes=writes, reads=reads, deletes=deletes)
        prices = self._prices()
        if prices is not None:
            forecast = replace(forecast, cost=prices.cost(writes, reads), currency=prices.currency)
        return replace(report, forecast=forecast, warnings=(*report.warnings, *self._traps()))

    def _prices(self) -> Prices | None:
        if self._options.prices:
            return read_prices(self._options.prices)
        return prices_of(self._options.storage_class) if self._endpoint == _AWS else None

    def _traps(self) -> Iterator[str]:
        """Yield warnings about what a storage class bills beyond what is stored."""
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
        self._reads += bool(self._options.target_listing) and reason in _ASKED

    def _copy(self, size: int, reason: str) -> None:
        self._small += self._minimum is not None and size < self._minimum.size
        whole = size <= self._options.copy_part_threshold
        self._writes += 1 if whole else 2 + self._parts(size)
        if not whole:
            self._reads += 1  # the headers of the source
        if not self._on_server:
            self._reads += 1 if whole else self._parts(size)
        self._reads += bool(self._options.target_listing) and reason in _ASKED


def classes_of(requests: Mapping[str, int]) -> tuple[int, int, int]:
    """Return the numbers of requests that write or list, that read, and that are free.

    https://aws.amazon.com/s3/pricing/: PUT, COPY, POST and LIST have one price, GET and all others a tenth of
    it or less, DELETE has none.
    """
    reads = sum(number for name, number in requests.items() if name.startswith(_READS))
    free = sum(number for name, number in requests.items() if name.startswith(_FREE))
    return sum(requests.values()) - reads - free, reads, free
