"""StatsCalls: the statistics that one session computes; equal calls share one listing."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from aios3sync.core.keys import Location
from aios3sync.options import payer_of
from aios3sync.stats.background import BackgroundRefreshes
from aios3sync.stats.model import BucketStats
from aios3sync.stats.options import StatsOptions
from aios3sync.stats.service import StatsRequest, compute
from aios3sync.stats.single_flight import SingleFlight
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.stores import Stores

if TYPE_CHECKING:
    from aios3sync.index.object_index import ObjectIndex

__all__ = ("StatsCalls",)


class StatsCalls:
    """The calls of one session.

    Args:
        stores: the connections of the session.
        background: ends the refreshes in the background, before the session ends.
        workers: the most requests in flight.
    """

    def __init__(self, stores: Stores, background: AsyncExitStack, workers: int) -> None:
        self._stores = stores
        self._workers = workers
        self._refreshes = BackgroundRefreshes()
        background.push_async_exit(self._refreshes.close)
        self._calls: SingleFlight[BucketStats] = SingleFlight()

    async def run(
        self, location: Location, options: StatsOptions, index: ObjectIndex | None = None
    ) -> BucketStats:
        """Return the statistics of a bucket or a prefix, see :meth:`aios3sync.Session.stats`."""
        key = (location.bucket, location.prefix, options, index)
        return await self._calls.run(key, lambda: self._compute(location, options, index), options.max_age)

    async def _compute(
        self, location: Location, options: StatsOptions, index: ObjectIndex | None
    ) -> BucketStats:
        """Compute the statistics for one call or several equal ones."""
        counts, payer = RequestCounts(), payer_of(options.request_payer)
        key: dict[str, Any] = {}
        if options.sse_customer_key:
            key["sse_customer_key"] = options.sse_customer_key
        request = StatsRequest(
            store=await self._stores.opener(location.bucket, counts, request_payer=payer, **key)(),
            cache_store=await self._stores.opener(location.bucket, counts, request_payer=payer)(),
            prefix=location.prefix,
            options=options,
            endpoint=self._stores.endpoint,
            workers=self._workers,
            requests=counts.requests,
            refresh_later=self._refreshes.start,
        )
        if index is not None:
            from aios3sync.stats.from_index import compute_with_index

            return await compute_with_index(request, index)
        return await compute(request)
