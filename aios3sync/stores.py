"""Stores: one set of connections and of limits for all stores of a session.

The first store opens a connection to S3; nothing here sends a request.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.endpoints import AWS, check_bucket_in_endpoint
from aios3sync.core.inventory_place import InventoryPlace
from aios3sync.core.keys import Location
from aios3sync.events import EventSink
from aios3sync.options import ConnectOptions, payer_of
from aios3sync.processes.protocol import (
    Downloader,
    DownloaderOpener,
    DownloadTree,
    Offloader,
    OffloaderOpener,
)
from aios3sync.store.connections import Connections, load
from aios3sync.store.endpoint_profile import EndpointProfile, profile_name
from aios3sync.store.observer import Observer
from aios3sync.store.protocol import ObjectStore
from aios3sync.store.s3.endpoint_config import endpoint_url, name_of
from aios3sync.store.s3.redaction import register_secrets
from aios3sync.store.send_window import AdaptiveSendWindow
from aios3sync.store.wrappers.bandwidth import BandwidthLimit, BandwidthStore
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import CountingStore, RequestCounts
from aios3sync.store.wrappers.retry import RetryingStore
from aios3sync.store.wrappers.retry_policy import RetryBudget
from aios3sync.store.wrappers.session_state import SessionState
from aios3sync.store.wrappers.stack import stack
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources, StoreOpener
from aios3sync.sync.transfers.memory import ByteSemaphore

if TYPE_CHECKING:
    from aios3sync.store.wire.store import WireStore

__all__ = ("Stores", "resources_of")


class Stores:
    """The stores of one session.

    Args:
        options: how to reach S3.
        closing: closes what is opened here.
        session: the caller's own aioboto3 session, or ``None``.
        client: the caller's own open client, or ``None``; it is not closed.
        observer: takes requests, retries and listings; ``None`` for nobody.

    Attributes:
        limiter: requests in flight, all stores together.
        window: bytes of large bodies on their way, the same.
        access: whether the session is open, and its credentials.
        bandwidth: the line of all bodies; ``None`` where it has no limit.
    """

    def __init__(
        self,
        options: ConnectOptions,
        closing: AsyncExitStack,
        session: Any = None,
        client: Any = None,
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer
        self.limiter = ConcurrencyLimiter(options.workers)
        self.window = AdaptiveSendWindow()
        self.access = SessionState()
        self._options = options
        self._closing = closing
        self._client = client
        self._given_session = session is not None
        self._connections = Connections(options, closing, self.access, session, client, observer)
        self._endpoint = ""
        self._url: str | None = None
        self._opening = anyio.Lock()
        self._retries = RetryBudget()
        self.bandwidth = BandwidthLimit(options.bandwidth) if options.bandwidth else None
        self._profiles: dict[str, EndpointProfile] = {}
        self._remembered: set[str] = set()

    @property
    def is_given(self) -> bool:
        """Whether the caller's own session or client is used, which no other process can have."""
        return self._client is not None or self._given_session

    @property
    def endpoint(self) -> str:
        """The endpoint's URL, or ``aws``.

        Raises:
            UsageError: the URL that was chosen is none, or holds credentials.
        """
        if not self._endpoint:
            options = self._options
            if self._client is not None:
                options = replace(options, endpoint_url=self._client.meta.endpoint_url)
            self._url = endpoint_url(options)
            self._endpoint = name_of(self._url)
        return self._endpoint

    def _check_bucket(self, bucket: str) -> None:
        """Refuse a bucket that the URL of the endpoint names as well; one of AWS has other rules for it."""
        if self.endpoint != AWS:
            check_bucket_in_endpoint(self.endpoint, bucket)
        elif self._client is None and self._url is not None:
            check_bucket_in_endpoint(self._url, bucket)

    def profile(self, bucket: str) -> EndpointProfile:
        """Return the profile of the endpoint of a bucket, one for all its stores."""
        name = profile_name(self.endpoint, bucket)
        if name not in self._profiles:
            self._profiles[name] = profile = EndpointProfile(name)
            if self._options.etags == "auto":
                profile.forget("etags")
            elif self._options.etags:
                profile.record("etags", self._options.etags, given=True)
        return self._profiles[name]

    def opener(self, bucket: str, counts: RequestCounts, **reading: Any) -> StoreOpener:
        """Return a function that opens the store of a bucket once, and returns the same one later.

        Args:
            bucket: a name, an access-point alias or an ARN.
            counts: where its requests are counted.
            reading: ``sse_customer_key`` and ``request_payer`` for requests that read.
        """
        opened: list[ObjectStore] = []
        register_secrets(b64encode(reading.get("sse_customer_key", b"")).decode("ascii"))

        async def open_store() -> ObjectStore:
            self.access.check()
            if not opened:
                self._check_bucket(bucket)
                inner = await self._inner(bucket, **reading)
                opened.append(
                    stack(
                        inner,
                        max_attempts=self._options.max_attempts,
                        workers=self._options.workers,
                        counts=counts,
                        limiter=self.limiter,
                        bandwidth=self.bandwidth,
                        budget=self._retries,
                        access=self.access,
                        profile=self.profile(bucket),
                        observer=self.observer,
                    )
                )
            return opened[0]

        return open_store

    async def unmended(
        self, bucket: str, counts: RequestCounts, *, request_payer: str = ""
    ) -> tuple[ObjectStore, ObjectStore]:
        """Return two stores that show an endpoint as it answers, whatever is known of it.

        The first one sends each request once, the second one repeats those that failed for the moment.
        """
        self._check_bucket(bucket)
        once: ObjectStore = CountingStore(await self._inner(bucket, request_payer=request_payer), counts)
        if self.bandwidth is not None:
            once = BandwidthStore(once, self.bandwidth)
        shared: dict[str, Any] = {"budget": self._retries, "access": self.access, "observer": self.observer}
        return once, RetryingStore(once, self._options.max_attempts, counts=counts, **shared)

    def offloader(self, bucket: str, counts: RequestCounts) -> OffloaderOpener | None:
        """Return a function that opens upload processes for a bucket; ``None`` where there are none."""
        if not self._may_have_processes:
            return None

        async def open_offloader() -> Offloader | None:
            found = await self._for_processes(bucket, "aios3sync.processes.upload_pool")
            if found is None:
                return None
            from aios3sync.processes.upload_pool import UploadPool

            return UploadPool(found[0], self.limiter, counts, found[1], self.observer)

        return open_offloader

    def downloader(self, bucket: str, counts: RequestCounts) -> DownloaderOpener | None:
        """Return a function that opens download processes for a bucket; ``None`` where there are none."""
        if not self._may_have_processes:
            return None

        async def open_downloader(tree: DownloadTree) -> Downloader | None:
            found = await self._for_processes(bucket, "aios3sync.processes.download_pool")
            if found is None:
                return None
            from aios3sync.processes.download_pool import DownloadPool

            return DownloadPool(found[0], self.limiter, counts, found[1], tree, self.observer)

        return open_downloader

    @property
    def _may_have_processes(self) -> bool:
        return self._options.processes != 0 and self.bandwidth is None

    async def _for_processes(self, bucket: str, pool: str) -> tuple[WireStore, int] | None:
        """Return the store that processes take their route from, and how many there may be.

        The module ``pool`` is loaded where there may be any.
        """
        from aios3sync.processes.available import most_processes

        most = most_processes(self._options)
        if not most:
            return None
        await load(pool, "aios3sync.store.wire.store")
        from aios3sync.store.wire.store import WireStore

        store = await self._inner(bucket)
        return (store, most) if isinstance(store, WireStore) else None

    async def _inner(self, bucket: str, **reading: Any) -> ObjectStore:
        """Return the store that sends requests: WireStore where it applies, else BotoStore."""
        async with self._opening:
            profile = self.profile(bucket)
            await self._remember(profile)
            return await self._connections.open_store(bucket, self.endpoint, profile, **reading)

    async def _remember(self, profile: EndpointProfile) -> None:
        """Read the saved profile of an endpoint, once, and save what changes when the session ends."""
        if profile.endpoint in self._remembered:
            return
        self._remembered.add(profile.endpoint)
        # Loaded here: a run without a request needs none of it.
        from aios3sync.store.profile_files import read_profile, write_profile

        await to_thread.run_sync(read_profile, profile)

        async def keep() -> None:
            if profile.changed:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(write_profile, profile)

        self._closing.push_async_callback(keep)


def resources_of(
    request: SyncRequest, stores: Stores, source: Stores | None, memory: ByteSemaphore, on_event: EventSink
) -> Resources:
    """Return what one run of a request is lent.

    Args:
        request: the run.
        stores: of the bucket of the pair.
        source: of the bucket that a copy reads from.
        memory: bytes of bodies in memory.
        on_event: progress.
    """
    bucket, options = request.location.bucket, request.options
    counts = RequestCounts(on_retry=lambda retry: on_event(retry.event()))
    payer = payer_of(options.request_payer)
    key = options.sse_customer_key
    others: dict[str, Any] = {}
    if request.direction != "down" and options.trash is not None:
        trash = Location.parse(options.trash).bucket
        others["open_trash_store"] = stores.opener(trash, counts, sse_customer_key=key, request_payer=payer)
    if request.source_location is not None and source is not None:
        source_bucket, source_key = request.source_location.bucket, options.source_sse_customer_key
        others["open_source_store"] = source.opener(
            source_bucket, counts, sse_customer_key=source_key, request_payer=payer
        )
        others["source_profile"] = source.profile(source_bucket)
        others["copies_on_server"] = source.endpoint == stores.endpoint
    return Resources(
        **others,
        **_inventories(request, counts, stores, source),
        open_store=stores.opener(bucket, counts, sse_customer_key=key, request_payer=payer),
        memory=memory,
        workers=stores.limiter.ceiling,
        free_slots=stores.limiter.free_slots,
        window=stores.window,
        open_offloader=stores.offloader(bucket, counts),
        # A process signs requests for plain objects alone.
        open_downloader=None if key or payer else stores.downloader(bucket, counts),
        profile=stores.profile(bucket),
        on_event=on_event,
        counts=counts,
    )


def _inventories(
    request: SyncRequest, counts: RequestCounts, stores: Stores, source: Stores | None
) -> dict[str, Any]:
    """Return the openers of the stores of inventories, each with the connection of its side."""
    options = request.options
    payer = payer_of(options.request_payer)
    openers: dict[str, Any] = {}
    for side, text, side_stores in (
        ("source", options.source_listing, stores if source is None else source),
        ("target", options.target_listing, stores),
    ):
        if text:
            place = InventoryPlace.parse(f"{side}_listing", text)
            openers[f"open_{side}_inventory"] = side_stores.opener(place.bucket, counts, request_payer=payer)
    return openers
