"""Runs: what a session puts together for one run: its request, its resources and its subscribers."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.inventory_place import InventoryPlace
from aios3sync.core.keys import CATALOG_SCHEME, Location
from aios3sync.errors import UsageError
from aios3sync.events import EventSink
from aios3sync.options import ConnectOptions, SyncOptions
from aios3sync.report import SyncReport
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.stores import Stores
from aios3sync.sync.request import Side, SyncRequest, is_shared, locate_sides
from aios3sync.sync.resources import Resources
from aios3sync.sync.subscribers import Subscriber, run_subscribed
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.upload_options import check_upload_options

if TYPE_CHECKING:
    from aios3sync.catalog import Catalog, DatasetEntry, ModelEntry, Registration
    from aios3sync.index.object_index import ObjectIndex

__all__ = ("Runs",)


class Runs:
    """The runs of one session; they share its connections and limits.

    Args:
        options: of the session.
        stores: its connections.
        closing: closes what is opened for a run, with the session.
        open_catalog: opens a catalog that counts its requests.
    """

    def __init__(
        self,
        options: ConnectOptions,
        stores: Stores,
        closing: AsyncExitStack,
        open_catalog: Callable[..., Catalog],
    ) -> None:
        self._options = options
        self._stores = stores
        self._closing = closing
        self._open_catalog = open_catalog
        self._memory = ByteSemaphore(options.memory)
        self._source_stores: list[tuple[ConnectOptions, Stores]] = []

    async def request(
        self,
        source: Side,
        target: str | os.PathLike[str],
        options: SyncOptions,
        overrides: Mapping[str, PutOptions] | None = None,
        source_connect: ConnectOptions | None = None,
    ) -> SyncRequest:
        """Return the request of one operation on two sides.

        Args:
            source: as the caller names it.
            target: the same.
            options: what to do.
            overrides: content type and metadata of single keys.
            source_connect: how to reach the source of a sync between two buckets.

        Raises:
            UsageError: the sides or the options do not go together.
        """
        if isinstance(source, str) and source.startswith(CATALOG_SCHEME):
            source = await self._named(source.removeprefix(CATALOG_SCHEME), options, source_connect)
        # In a thread: a relative path needs the working directory, and looking it up blocks.
        direction, root, files, location = await to_thread.run_sync(locate_sides, source, target, options)
        if direction == "up":
            check_upload_options(options)
        if direction == "down":
            from aios3sync.sync.download_options import check_download_options

            await to_thread.run_sync(check_download_options, options, root)
        if options.source_listing and direction == "up":
            raise UsageError("source_listing: the source is no bucket; leave it out")
        source_location = None
        if direction == "copy":
            from aios3sync.sync.copy_options import check_copy_options, check_places

            source_location = Location.parse(root)
            endpoint = self.source(source_connect).endpoint
            check_copy_options(options)
            check_places(source_location, location, same_endpoint=endpoint == self._stores.endpoint)
            root = f"{root}@{endpoint}"
        elif source_connect is not None:
            raise UsageError("source_connect: the source is no bucket; leave it out")
        if direction != "down" and options.trash is not None:
            from aios3sync.sync.trash_options import check_trash

            near = self.source(source_connect).endpoint == self._stores.endpoint
            check_trash(options.trash, location, source_location if near else None)
        return SyncRequest(
            direction=direction,
            root=root,
            location=location,
            endpoint=self._stores.endpoint,
            options=options,
            overrides=overrides or {},
            files=files,
            source_location=source_location,
        )

    async def _named(self, name: str, options: SyncOptions, source_connect: ConnectOptions | None) -> str:
        """Return where the files of a dataset are that the catalog of the environment names."""
        if source_connect is not None:
            raise UsageError(
                "source_connect: a catalog is read at the endpoint of the target; name the source s3://bucket/prefix"
            )
        catalog = self._open_catalog(RequestCounts(), "", "datasets", request_payer=options.request_payer)
        return await catalog.source(name)

    def source(self, options: ConnectOptions | None) -> Stores:
        """Return the stores of the source of a copy: our own, or those of another connection, opened once."""
        if options is None or options == self._options:
            return self._stores
        for known, stores in self._source_stores:
            if known == options:
                return stores
        stores = Stores(options, self._closing)
        self._closing.callback(stores.access.close)
        self._source_stores.append((options, stores))
        return stores

    def resources(
        self, request: SyncRequest, on_event: EventSink, source_connect: ConnectOptions | None = None
    ) -> Resources:
        """Return what the session lends to one run of a request."""
        bucket, options = request.location.bucket, request.options
        counts = RequestCounts()
        payer = "requester" if options.request_payer else ""
        opener = self._stores.opener(
            bucket, counts, sse_customer_key=options.sse_customer_key, request_payer=payer
        )
        copying: dict[str, Any] = {}
        if request.direction != "down" and options.trash is not None:
            trash = Location.parse(options.trash).bucket
            copying["open_trash_store"] = self._stores.opener(
                trash, counts, sse_customer_key=options.sse_customer_key, request_payer=payer
            )
        if request.source_location is not None:
            source, source_bucket = self.source(source_connect), request.source_location.bucket
            copying["open_source_store"] = source.opener(
                source_bucket,
                counts,
                sse_customer_key=options.source_sse_customer_key,
                request_payer=payer,
            )
            copying["source_profile"] = source.profile(source_bucket)
            copying["copies_on_server"] = source.endpoint == self._stores.endpoint
        return Resources(
            **copying,
            **self._inventories(request, counts, source_connect),
            open_store=opener,
            memory=self._memory,
            workers=self._options.workers,
            free_slots=self._stores.limiter.free_slots,
            window=self._stores.window,
            open_offloader=self._stores.offloader(bucket, counts),
            # A process signs requests for plain objects alone.
            open_downloader=None
            if options.sse_customer_key or payer
            else self._stores.downloader(bucket, counts),
            profile=self._stores.profile(bucket),
            on_event=on_event,
            counts=counts,
        )

    def _inventories(
        self, request: SyncRequest, counts: RequestCounts, source_connect: ConnectOptions | None
    ) -> dict[str, Any]:
        """Return the openers of the stores of inventories, each with the connection of its side."""
        options = request.options
        payer = "requester" if options.request_payer else ""
        source = self.source(source_connect) if request.direction == "copy" else self._stores
        openers: dict[str, Any] = {}
        for side, text, stores in (
            ("source", options.source_listing, source),
            ("target", options.target_listing, self._stores),
        ):
            if text:
                place = InventoryPlace.parse(f"{side}_listing", text)
                openers[f"open_{side}_inventory"] = stores.opener(place.bucket, counts, request_payer=payer)
        return openers

    def subscribed(
        self, index: ObjectIndex | None, entry: DatasetEntry | ModelEntry | Registration | None
    ) -> Callable[[SyncRequest, Resources], Awaitable[SyncReport]]:
        """Return what runs a sync that an index and a catalog follow."""

        async def run(request: SyncRequest, resources: Resources) -> SyncReport:
            if index is not None:
                from aios3sync.images.size import image_size, is_image_name

                resources = replace(resources, inspect=image_size, inspected=is_image_name)
            return await run_subscribed(request, resources, self._subscribers(request, index, entry))

        async def run_with_object(request: SyncRequest, resources: Resources) -> SyncReport:
            if not is_shared(request.options):
                return await run(request, resources)
            from aios3sync.objects.shared_manifest import run_shared

            async def open_store(bucket: str) -> ObjectStore:
                return await self._stores.opener(bucket, resources.counts)()

            return await run_shared(run, request, resources, open_store)

        return run_with_object

    def _subscribers(
        self,
        request: SyncRequest,
        index: ObjectIndex | None,
        entry: DatasetEntry | ModelEntry | Registration | None,
    ) -> list[Subscriber]:
        """Return the subscribers of one sync; the first one finishes last."""
        subscribers: list[Subscriber] = []
        if entry is not None:
            from aios3sync.catalog.registration import Registrar

            counts = RequestCounts()
            open_catalog = partial(self._open_catalog, counts, request_payer=request.options.request_payer)
            subscribers.append(Registrar(entry, request.location, open_catalog, counts))
        if request.options.dry_run:
            if request.options.source_listing or request.options.target_listing:
                from aios3sync.sync.forecast import Forecast

                subscribers.append(Forecast())
            return subscribers
        record = None
        if index is not None:
            from aios3sync.index.feed import IndexSubscriber

            feed = IndexSubscriber(index.backend)
            record = feed.changes
            subscribers.append(feed)
        if request.options.thumbnails:
            from aios3sync.images.sync import ThumbnailSubscriber

            subscribers.append(ThumbnailSubscriber(record))
        return subscribers
