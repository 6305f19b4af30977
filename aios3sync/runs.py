"""Runs: what a session puts together for one run: its request, its resources and its subscribers."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.endpoints import AWS
from aios3sync.core.keys import CATALOG_SCHEME, Location
from aios3sync.errors import ManifestError, UsageError
from aios3sync.events import EventSink
from aios3sync.local.state import NO_STATE
from aios3sync.options import ConnectOptions, SyncOptions, payer_of
from aios3sync.report import SyncReport
from aios3sync.store.connections import load
from aios3sync.store.observer import ObservedRun
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.stores import Stores, resources_of
from aios3sync.sync.request import (
    Side,
    SyncRequest,
    is_shared,
    locate_sides,
    manifest_path,
    with_shared_manifest,
)
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.upload_options import check_upload_options

if TYPE_CHECKING:
    from aios3sync.catalog import Catalog, DatasetEntry, ModelEntry, Registration
    from aios3sync.index.object_index import ObjectIndex
    from aios3sync.manifest.admin import StoredManifest
    from aios3sync.objects.doctor.report import DoctorReport
    from aios3sync.sync.subscribers import Subscriber
    from aios3sync.sync.verify_report import VerifyReport

__all__ = ("Runs", "discard_warning")

ReportT = TypeVar("ReportT")


def discard_warning(warning: str) -> None:
    """Ignore a warning."""


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

    async def question(
        self,
        source: Side,
        target: str | os.PathLike[str],
        options: SyncOptions,
        source_connect: ConnectOptions | None,
    ) -> SyncRequest:
        """Return the request of a question about objects, which the objects answer; else as :meth:`request`.

        Raises:
            UsageError: there is an inventory among the options, or the sides and they do not go together.
        """
        for name in ("source_listing", "target_listing"):
            if getattr(options, name):
                raise UsageError(f"{name}: only a sync is planned from an inventory; leave it out")
        return await self.request(source, target, options, source_connect=source_connect)

    async def manifest(self, request: SyncRequest, warn: Callable[[str], None]) -> StoredManifest:
        """Return the manifest of a request, as a whole.

        Raises:
            UsageError: it can be at no such place.
            ManifestError: there is no place for it, because the user has no home.
        """
        from aios3sync.manifest.admin import StoredManifest

        if is_shared(request.options):
            await load("aios3sync.objects.manifest_place")
            from aios3sync.objects.manifest_place import BucketPlace

            request, *_ = with_shared_manifest(request)
            place = BucketPlace(request, partial(self._open_store, counts=RequestCounts()))
            return StoredManifest(request.shared_manifest, request.binding, warn, place)
        path = await to_thread.run_sync(manifest_path, request)
        if not path:
            raise ManifestError(f"there is no manifest: {NO_STATE}, or name its place with --manifest")
        return StoredManifest(path, request.binding, warn)

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
        stores = Stores(options, self._closing, observer=self._stores.observer)
        self._closing.callback(stores.access.close)
        self._source_stores.append((options, stores))
        return stores

    def resources(
        self, request: SyncRequest, on_event: EventSink, source_connect: ConnectOptions | None = None
    ) -> Resources:
        """Return what the session lends to one run of a request."""
        source = None if request.source_location is None else self.source(source_connect)
        return resources_of(request, self._stores, source, self._memory, on_event)

    def chosen(
        self, cluster: Any, source_connect: ConnectOptions | None
    ) -> Callable[[Any, Any], Callable[[SyncRequest, Resources], Awaitable[SyncReport]]]:
        """Return :meth:`subscribed`, or what does the same on the workers of a Dask cluster.

        Args:
            cluster: see :meth:`~aios3sync.session.Session.sync`; ``None`` for this process.
            source_connect: how to reach the source of a copy.
        """
        if cluster is None:
            return self.subscribed

        return lambda index, entry: partial(self._run_on_cluster, cluster, source_connect, index, entry)

    async def _run_on_cluster(
        self,
        cluster: Any,
        source_connect: ConnectOptions | None,
        index: ObjectIndex | None,
        entry: object,
        request: SyncRequest,
        resources: Resources,
    ) -> SyncReport:
        from aios3sync.distributed.addresses import checked_cluster

        checked_cluster(cluster)
        _check_travels(request, resources, registers=entry is not None)
        if index is not None:
            _check_followed(request)
        if self._stores.is_given:
            raise UsageError(
                "cluster: each worker finds its own credentials, so a session or client of aioboto3 "
                "cannot be used; name a profile, a region and an endpoint instead"
            )
        await _load_dask()
        from aios3sync.distributed.coordinator import run_on_cluster
        from aios3sync.distributed.dask import open_executor

        endpoint = self._stores.endpoint
        connect = replace(self._options, endpoint_url=None if endpoint == AWS else endpoint)
        feed = None
        if index is not None:
            from aios3sync.index.feed import IndexSubscriber

            feed = IndexSubscriber(index.backend)
        async with AsyncExitStack() as stack:
            executor = await stack.enter_async_context(open_executor(cluster))
            if feed is not None and not request.options.dry_run:
                attached = await stack.enter_async_context(feed.attached(request, resources))
                resources = _measuring_images(attached)
            report = await run_on_cluster(
                request, resources, executor, connect, source_connect, self._open_store, feed
            )
        return report if feed is None else await feed.finish(report)

    async def observed(
        self, command: str, source: Side | None, target: Any, run: Awaitable[ReportT]
    ) -> ReportT:
        """Await a run, of which the observer of the session is told.

        Args:
            command: what the run does.
            source: as the caller names it; ``None`` where there is none.
            target: the same.
            run: returns its report.
        """
        if self._stores.observer is None:
            return await run
        named = f"{len(source)} files" if isinstance(source, Mapping) else os.fspath(source or "")
        about = ObservedRun(command, named, os.fspath(target))
        with self._stores.observer.run(about):
            about.report = report = await run
        return report

    async def _open_store(self, bucket: str, counts: RequestCounts) -> ObjectStore:
        return await self._stores.opener(bucket, counts)()

    def subscribed(
        self, index: ObjectIndex | None, entry: DatasetEntry | ModelEntry | Registration | None
    ) -> Callable[[SyncRequest, Resources], Awaitable[SyncReport]]:
        """Return what runs a sync that an index and a catalog follow."""

        async def run(request: SyncRequest, resources: Resources) -> SyncReport:
            if not (index is None and entry is None):
                _check_followed(request)
            if index is not None:
                resources = _measuring_images(resources)
            await load("aios3sync.sync.subscribers")
            from aios3sync.sync.subscribers import run_subscribed

            return await run_subscribed(request, resources, self._subscribers(request, index, entry))

        async def run_with_object(request: SyncRequest, resources: Resources) -> SyncReport:
            if not is_shared(request.options):
                return await run(request, resources)
            from aios3sync.objects.shared_manifest import run_shared

            return await run_shared(run, request, resources, self._opener(resources))

        async def run_with_receipt(request: SyncRequest, resources: Resources) -> SyncReport:
            if request.options.receipt is None:
                return await run_with_object(request, resources)
            await load("aios3sync.objects.receipt")
            from aios3sync.objects.receipt import run_with_receipt

            return await run_with_receipt(run_with_object, request, resources, self._opener(resources))

        return run_with_receipt

    def _opener(self, resources: Resources) -> Callable[[str], Awaitable[ObjectStore]]:
        """Return what opens the store of any bucket, for a run that counts its requests."""
        return partial(self._open_store, counts=resources.counts)

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
            from aios3sync.sync.forecast import Forecast

            return [*subscribers, Forecast()]
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

    async def verify(
        self,
        source: str | os.PathLike[str] | None,
        target: str | os.PathLike[str],
        options: SyncOptions,
        on_event: EventSink,
        source_connect: ConnectOptions | None,
    ) -> VerifyReport:
        """Compare two sides, or a target with the receipt in the options.

        Raises:
            UsageError: there is neither a source nor a receipt, or both.
            AioS3SyncError: one of the sides cannot be read as a whole.
        """
        if (source is None) == (options.receipt is None):
            raise UsageError(
                "receipt: it takes the place of the source, so name one of the two for a verification"
            )
        request = await self.question({} if source is None else source, target, options, source_connect)
        resources = self.resources(request, on_event, source_connect)
        if options.receipt is not None:
            await load("aios3sync.objects.receipt_check")
            from aios3sync.objects.receipt_check import check_receipt

            return await check_receipt(request, resources, self._opener(resources))
        await load("aios3sync.sync.verify")
        from aios3sync.sync.verify import run_verify  # a sync needs none of it

        return await run_verify(request, resources)

    async def doctor(
        self, target: str, on_event: EventSink, *, read_only: bool, request_payer: bool
    ) -> DoctorReport:
        """Run the probes of :mod:`aios3sync.objects.doctor` on a bucket.

        Raises:
            UsageError: the target names no bucket.
        """
        from aios3sync.objects.doctor.run import run_probes
        from aios3sync.objects.doctor.scratch import Scratch

        location, counts = Location.parse(target), RequestCounts()
        payer = payer_of(request_payer)
        once, steady = await self._stores.unmended(location.bucket, counts, request_payer=payer)
        scratch = Scratch(once, steady, self._stores.profile(location.bucket), location.prefix, payer)
        facts = (str(location), self._stores.endpoint, counts.requests)
        return await run_probes(scratch, *facts, on_event, read_only=read_only)


async def _load_dask() -> None:
    """Import what runs on a cluster, in a thread: it takes half a second.

    Raises:
        UsageError: Dask is not installed.
    """
    try:
        await load("aios3sync.distributed.dask", "aios3sync.distributed.coordinator")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "aios3sync":
            raise
        raise UsageError(f"cluster: {error.name} is not installed; pip install distributed") from None


def _measuring_images(resources: Resources) -> Resources:
    """Return the resources of a run that an index follows: it has the sizes of images."""
    from aios3sync.images.size import image_size, is_image_name

    return replace(resources, inspect=image_size, inspected=is_image_name)


def _check_followed(request: SyncRequest) -> None:
    """Make sure that a run writes what an index or a catalog could follow.

    Raises:
        UsageError: it does not.
    """
    if request.direction == "down":
        raise UsageError("index and catalog follow what is written to a bucket; a download writes none")


def _check_travels(request: SyncRequest, resources: Resources, *, registers: bool) -> None:
    """Make sure that a run can be done by other processes: nothing of it is secret, or in this one alone.

    Raises:
        UsageError: something is.
    """
    options = request.options
    alone = {
        "a source that is a list of files": request.files is not None,
        "a catalog that follows the run": registers,
        "outcome_sinks": bool(resources.outcome_sinks),
        "thumbnails": bool(options.thumbnails),
        "as_of": options.as_of is not None,
        "sse_customer_key": bool(options.sse_customer_key),
        "source_sse_customer_key": bool(options.source_sse_customer_key),
        "a receipt": options.receipt is not None,
    }
    for name, given in alone.items():
        if given:
            raise UsageError(f"cluster: {name} cannot be used by other machines; leave out one of the two")
