"""connect() opens a Session, the owner of the S3 client; each operation is one of its methods.

The first request opens the client, so that a run that sends no request never loads botocore.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Unpack

from aios3sync._dataclass import replace
from aios3sync.concurrency import Stop
from aios3sync.core.keys import Location, parse_object
from aios3sync.errors import UsageError
from aios3sync.events import EventSink, OutcomeSink, concluded, discard
from aios3sync.options import ConnectOptions, SyncOptions, payer_of
from aios3sync.report import SyncReport
from aios3sync.runs import Runs, discard_warning
from aios3sync.store.connections import load
from aios3sync.store.observer import Observer, joined
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.stores import Stores
from aios3sync.sync.request import Side

if TYPE_CHECKING:
    import aioboto3

    from aios3sync.catalog import Catalog, CatalogMetrics, DatasetEntry, ModelEntry, Registration
    from aios3sync.index.follow.queue import Queue
    from aios3sync.index.object_index import ObjectIndex
    from aios3sync.keywords import ConnectKeywords, SyncKeywords
    from aios3sync.manifest.admin import StoredManifest
    from aios3sync.objects.doctor.report import DoctorReport
    from aios3sync.objects.reader import ObjectReader
    from aios3sync.stats.cache_admin import StatsCache
    from aios3sync.stats.calls import StatsCalls
    from aios3sync.stats.model import BucketStats
    from aios3sync.stats.options import StatsKeywords
    from aios3sync.sync.event_stream import EventStreams, SyncEvents
    from aios3sync.sync.explain import Explanation
    from aios3sync.sync.plans.plan import Plan
    from aios3sync.sync.verify_report import VerifyReport

__all__ = ("Session", "connect")


@asynccontextmanager
async def connect(
    options: ConnectOptions | None = None,
    *,
    session: aioboto3.Session | None = None,
    client: Any = None,
    observers: Sequence[Observer] = (),
    **changes: Unpack[ConnectKeywords],
) -> AsyncIterator[Session]:
    """Open a session; its S3 client is opened by the first request and closed at the end.

    Args:
        options: how to reach S3; ``changes`` are its fields as keyword arguments.
        session: the caller's own aioboto3 session, whose profile and credentials are used.
        client: the caller's own open aioboto3 S3 client; it is used as it is and not closed.
        observers: of requests, listings and runs, see :mod:`aios3sync.observers`.
        changes: fields of :class:`~aios3sync.options.ConnectOptions`, e.g. ``endpoint_url``.

    Raises:
        UsageError: an option cannot be what it is.
    """
    given: dict[str, Any] = {**changes}  # the options convert what they are given
    try:
        options = replace(options or ConnectOptions(), **given)
    except TypeError:
        unknown = ", ".join(sorted(set(changes) - set(ConnectOptions.__slots__)))
        raise UsageError(f"not an option of connect(): {unknown}") from None
    async with AsyncExitStack() as closing:
        stores = Stores(options, closing, session, client, joined(observers))
        opened = Session(options, closing, stores, session)
        try:
            async with opened._background:  # noqa: SLF001 - the two are one
                yield opened
        finally:
            opened._stores.access.close()  # noqa: SLF001 - background work may still send requests


class Session:
    """An open session, see :func:`connect`. Its operations may run at once; they share its limits."""

    def __init__(
        self, options: ConnectOptions, closing: AsyncExitStack, stores: Stores, session: Any = None
    ) -> None:
        self.options = options
        self._closing = closing
        self._background = AsyncExitStack()  # ends before requests are refused and the client is closed
        self._session = session
        self._stores = stores
        self._stats_calls: StatsCalls | None = None
        self._runs = Runs(options, self._stores, closing, self._open_catalog)
        self._streams: EventStreams | None = None
        self.catalog_metrics: CatalogMetrics | None = None

    @property
    def endpoint(self) -> str:
        """The endpoint's URL, or ``aws``."""
        return self._stores.endpoint

    async def store(
        self, bucket: str, *, sse_customer_key: bytes = b"", request_payer: bool = False
    ) -> ObjectStore:
        """Return a store for one bucket, with retries and limits; opens the client if that was not done yet.

        Args:
            bucket: a name, an access-point alias or an ARN.
            sse_customer_key: the SSE-C key for requests that read.
            request_payer: whether to pay for the requests.
        """
        self._stores.access.check()
        payer = payer_of(request_payer)
        reading = {"sse_customer_key": sse_customer_key, "request_payer": payer}
        return await self._stores.opener(bucket, RequestCounts(), **reading)()

    @asynccontextmanager
    async def open_reader(
        self,
        url: str,
        *,
        decode: bool = True,
        as_of: float | str | None = None,
        sse_customer_key: bytes = b"",
        request_payer: bool = False,
    ) -> AsyncIterator[ObjectReader]:
        """Open one object for reading: an asynchronous iterator of its chunks, verified at its end.

        Some ranges are read ahead, 64 MiB at most; an object that changes meanwhile is an error.

        Args:
            url: ``s3://bucket/key``, a literal key.
            decode: hand out the original of an object that a sync has compressed.
            as_of: the object as it was at this time, see :class:`SyncOptions`.
            sse_customer_key: as for :meth:`store`.
            request_payer: as for :meth:`store`.

        Raises:
            StoreError: the object cannot be read, or changed (PreconditionFailedError), or its bytes are not
                the right ones (IntegrityError).
            UsageError: the URL names no object, or the bucket keeps no versions.
        """
        from aios3sync.objects.reader import open_object
        from aios3sync.objects.versions import at_time

        bucket, key = parse_object(url)
        moment = SyncOptions.of(None, {"as_of": as_of}).as_of
        inner = await self.store(bucket, sse_customer_key=sse_customer_key, request_payer=request_payer)
        store = await at_time(inner, key, moment)
        async with open_object(store, key, memory=self.options.memory, decode=decode) as reader:
            yield reader

    @asynccontextmanager
    async def queue(self, url: str) -> AsyncIterator[Queue]:
        """Open a queue of SQS with the profile and credentials of the session, while the block lasts.

        With the caller's own client alone, credentials come from the environment. Its URL has the endpoint.

        Raises:
            UsageError: the URL is not one of a queue.
            CredentialsError: there is nothing to sign with.
        """
        self._stores.access.check()
        await load("aios3sync.store.boto")
        from aios3sync.index.follow.sqs import open_queue

        async with open_queue(url, self.options, self._session) as queue:
            yield queue

    def index(
        self, url: str, *, name: str = "main", request_payer: bool = False
    ) -> AbstractAsyncContextManager[ObjectIndex]:
        """Open the object index in a database: ``sqlite:///FILE`` or ``postgresql://host/database``.

        ``request_payer`` accepts to pay for the requests that the index sends to buckets.
        """
        self._stores.access.check()
        from aios3sync.index.object_index import open_index

        return open_index(url, name, partial(self.store, request_payer=request_payer), self.queue)

    def catalog(
        self,
        url: str = "",
        *,
        kind: Literal["datasets", "models"] = "datasets",
        public: bool = False,
        acl: str = "",
        replicas: Sequence[str] = (),
        request_payer: bool = False,
    ) -> Catalog:
        """Return the catalog of datasets or models in a bucket; no request is sent yet.

        Args:
            url: ``s3://bucket/prefix``; empty means the bucket that the environment names.
            kind: ``datasets`` or ``models``.
            public: keep the public manifest as well.
            acl: a canned ACL for the public manifest, e.g. ``public-read``.
            replicas: further locations to keep the same.
            request_payer: whether to pay for the requests.

        Raises:
            UsageError: one of them cannot be.
        """
        self._stores.access.check()
        counts = RequestCounts()
        catalog = self._open_catalog(
            counts, url, kind, public=public, acl=acl, replicas=replicas, request_payer=request_payer
        )
        counts.requests = catalog.metrics.requests
        return catalog

    def _open_catalog(self, counts: RequestCounts, url: str, kind: str, **options: Any) -> Catalog:
        """Return a catalog that counts its requests in ``counts``."""
        from aios3sync.catalog import CatalogMetrics
        from aios3sync.catalog.catalog import open_catalog

        metrics = self.catalog_metrics = self.catalog_metrics or CatalogMetrics()
        opener = partial(self._stores.opener, counts=counts)
        endpoint = "" if self.endpoint == "aws" else self.endpoint
        return open_catalog(url, kind, opener, self._unsigned, metrics, endpoint=endpoint, **options)

    @asynccontextmanager
    async def _unsigned(self, bucket: str) -> AsyncIterator[ObjectStore]:
        """Open a store that signs nothing, at the same endpoint."""
        url = self.options.endpoint_url or (None if self.endpoint == "aws" else self.endpoint)
        options, given = replace(self.options, anonymous=True, endpoint_url=url), self._stores.observer
        async with connect(options, observers=[given] if given else ()) as session:
            yield await session.store(bucket)

    async def sync(  # noqa: PLR0913 - one call is the whole API; all but two have defaults
        self,
        source: Side,
        target: str | os.PathLike[str],
        *,
        options: SyncOptions | None = None,
        on_event: EventSink = discard,
        outcome_sinks: Sequence[OutcomeSink] = (),
        stop: Stop | None = None,
        overrides: Mapping[str, PutOptions] | None = None,
        index: ObjectIndex | None = None,
        catalog: DatasetEntry | ModelEntry | Registration | None = None,
        source_connect: ConnectOptions | None = None,
        cluster: Any = None,
        **changes: Unpack[SyncKeywords],
    ) -> SyncReport:
        """Bring ``target`` in step with ``source``; one bad file never stops the rest.

        Args:
            source: a local directory, or ``s3://bucket/prefix``, a literal prefix; or keys and the files that
                they stand for, which then are the whole source: what is not named is absent, so ``delete``
                deletes it. ``catalog:org/name`` is an entry of the catalog of datasets that the environment
                names; for another one see :meth:`Catalog.source() <aios3sync.catalog.Catalog.source>`.
            target: a directory or a bucket as well; at least one of the two is a bucket. A directory that is
                missing is made.
            options: what to do; ``changes`` are its fields as keyword arguments.
            on_event: called with progress events (see :mod:`aios3sync.events`), also of a run that fails as
                a whole; a :class:`~aios3sync.progress.Progress` is one.
            outcome_sinks: awaited with every outcome.
            stop: ask it to end the run early and orderly.
            overrides: content type and metadata of single keys.
            index: gets every change, and never fails the run: see :meth:`index`.
            catalog: the entry that the target is, added once all of it is there; ``report.catalog`` has
                the result, and its failure is a warning.
            source_connect: how to reach the source of a sync between two buckets, if not as the target.
            cluster: the Dask cluster whose workers do it, each with credentials of its own: the address of a
                scheduler (``tcp://host:8786``), a client, or ``local:N`` for N processes on this machine.
            changes: fields of :class:`~aios3sync.options.SyncOptions`, e.g. ``delete="mirror"``.

        Returns:
            The counts of everything that was planned; look at ``exit_code`` or at ``failed``.

        Raises:
            AioS3SyncError: the run failed as a whole (see :mod:`aios3sync.errors`).
        """

        async def run() -> SyncReport:
            self._stores.access.check()
            request = await self._runs.request(
                source, target, SyncOptions.of(options, changes), overrides or {}, source_connect
            )
            resources = self._runs.resources(request, on_event, source_connect)
            resources = replace(resources, outcome_sinks=outcome_sinks, stop=stop or Stop())
            return await self._runs.chosen(cluster, source_connect)(index, catalog)(request, resources)

        return await concluded(on_event, self._runs.observed("sync", source, target, run()))

    def sync_events(  # noqa: PLR0913 - those of sync()
        self,
        source: Side,
        target: str | os.PathLike[str],
        *,
        buffer: int = 1000,
        options: SyncOptions | None = None,
        outcome_sinks: Sequence[OutcomeSink] = (),
        stop: Stop | None = None,
        overrides: Mapping[str, PutOptions] | None = None,
        index: ObjectIndex | None = None,
        catalog: DatasetEntry | ModelEntry | Registration | None = None,
        source_connect: ConnectOptions | None = None,
        **changes: Unpack[SyncKeywords],
    ) -> SyncEvents:
        """Run :meth:`sync` and iterate over its events: ``async for event in s3.sync_events(…)``.

        The arguments are those of :meth:`sync`, and ``buffer``, the events that may wait before the run does:
        a slow reader slows it down. The last event is ``Finished`` with the report, which ``report`` has too.
        A reader that leaves early, or is cancelled, stops the run orderly, and ``stop`` with it: what was
        uploaded is recorded.

        Raises:
            UsageError: the buffer is not of one event or more. What :meth:`sync` raises, the iteration does.
        """
        self._stores.access.check()
        if self._streams is None:
            from aios3sync.sync.event_stream import EventStreams

            self._streams = EventStreams()
            self._background.push_async_callback(self._streams.close)
        run = partial(self.sync, source, target, options=options, overrides=overrides, **changes)
        run = partial(run, index=index, catalog=catalog, source_connect=source_connect)
        return self._streams.open(run, buffer, outcome_sinks, stop or Stop())

    async def watch(  # noqa: PLR0913 - as for sync()
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        stable: float = 1.0,
        every: float = 600.0,
        queue: str = "",
        options: SyncOptions | None = None,
        on_event: EventSink = discard,
        stop: Stop | None = None,
        index: ObjectIndex | None = None,
        source_connect: ConnectOptions | None = None,
        **changes: Unpack[SyncKeywords],
    ) -> AsyncGenerator[SyncReport, None]:
        """Sync, then sync again whenever the source changes: ``async for report in s3.watch(…)``.

        The first report is that of the first run; then there is one for each run that did something or could
        not. Changed files are sent by themselves; after a removal all of the source is compared. A network
        that is gone is a warning, and all is compared once it is back.

        Args:
            source: a directory is watched by the kernel, see the package watchfiles.
            target: as for :meth:`sync`.
            stable: seconds without a change before a file is sent.
            every: seconds between two comparisons of all of the source, whatever was seen.
            queue: URL of an SQS queue with the notifications of a source bucket; else it is only compared.
            options: as for :meth:`sync`, and so are the next ones.
            on_event: takes the events of each run, and ``Watching`` in between.
            stop: ends the watch, after what is in flight.
            index: the same.
            source_connect: the same.
            changes: the same.

        Raises:
            AioS3SyncError: the first run failed, or the source or the target cannot be used any more.
        """
        from aios3sync.watch.pending import WatchTimes
        from aios3sync.watch.start import watch_request

        self._stores.access.check()
        stop = stop or Stop()
        chosen = SyncOptions.of(options, changes)
        request = await self._runs.request(source, target, chosen, source_connect=source_connect)

        async def run(once: SyncOptions) -> SyncReport:
            shared: dict[str, Any] = {"on_event": on_event, "stop": stop, "index": index}
            return await self.sync(source, target, options=once, source_connect=source_connect, **shared)

        times, opened = WatchTimes(stable, every), self.queue(queue) if queue else None
        async with aclosing(watch_request(request, run, times, opened, on_event, stop)) as reports:
            async for report in reports:
                yield report

    async def plan(  # noqa: PLR0913 - as for sync()
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        options: SyncOptions | None = None,
        on_event: EventSink = discard,
        stop: Stop | None = None,
        catalog: DatasetEntry | ModelEntry | Registration | None = None,
        source_connect: ConnectOptions | None = None,
        **changes: Unpack[SyncKeywords],
    ) -> Plan:
        """Decide what :meth:`sync` would do, with the same arguments, and do nothing of it.

        Returns:
            The actions with the facts that they were decided by, to be looked at, saved, and applied by
            :meth:`apply`; its ``report`` has the counts.

        Raises:
            AioS3SyncError: as :meth:`sync`.
            UsageError: the options hold what a plan cannot keep.
        """
        from aios3sync.sync.plans.run import make_plan

        plans: list[Plan] = []

        async def run() -> SyncReport:
            self._stores.access.check()
            chosen = SyncOptions.of(options, changes)
            request = await self._runs.request(source, target, chosen, source_connect=source_connect)
            resources = replace(self._runs.resources(request, on_event, source_connect), stop=stop or Stop())
            plan, report = await make_plan(self._runs.subscribed(None, catalog), request, resources)
            plans.append(plan)
            return report

        await concluded(on_event, self._runs.observed("plan", source, target, run()))
        return plans[0]

    async def apply(  # noqa: PLR0913 - as for sync()
        self,
        plan: Plan,
        *,
        on_event: EventSink = discard,
        outcome_sinks: Sequence[OutcomeSink] = (),
        stop: Stop | None = None,
        index: ObjectIndex | None = None,
        source_connect: ConnectOptions | None = None,
        dry_run: bool = False,
        sse_customer_key: bytes = b"",
        source_sse_customer_key: bytes = b"",
    ) -> SyncReport:
        """Do what a plan says, as far as both sides are still as the plan saw them, and nothing else.

        Both sides are compared again, and the guards of a sync look at the deletes. What is not due any more
        in the same way is refused: it counts as a conflict, and nothing is deleted then unless the plan has
        ``delete_despite_errors``. What was done already is passed over, so a plan that was applied in part
        can be applied again.

        Args:
            plan: of :meth:`plan`, or :meth:`Plan.load <aios3sync.sync.plans.plan.Plan.load>`.
            on_event: as for :meth:`sync`, and so are the next ones.
            outcome_sinks: the same.
            stop: the same.
            index: the same.
            source_connect: the same.
            dry_run: report what would be done and refused, and do nothing; ``plan.due`` has the actions.
            sse_customer_key: which a plan does not keep.
            source_sse_customer_key: the same.

        Raises:
            AioS3SyncError: as :meth:`sync`.
            UsageError: the plan is of another endpoint, or one of its keys is missing.
        """
        self._stores.access.check()
        from aios3sync.sync.plans.run import apply_plan, options_to_apply

        async def run() -> SyncReport:
            keys = {"sse_customer_key": sse_customer_key, "source_sse_customer_key": source_sse_customer_key}
            sides, chosen = (plan.source, plan.target), options_to_apply(plan, keys, dry_run=dry_run)
            request = await self._runs.request(*sides, chosen, source_connect=source_connect)
            resources = self._runs.resources(request, on_event, source_connect)
            resources = replace(resources, outcome_sinks=outcome_sinks, stop=stop or Stop())
            return await apply_plan(self._runs.subscribed(index, None), plan, request, resources)

        return await concluded(on_event, self._runs.observed("apply", plan.source, plan.target, run()))

    async def verify(
        self,
        source: str | os.PathLike[str] | None,
        target: str | os.PathLike[str],
        *,
        options: SyncOptions | None = None,
        on_event: EventSink = discard,
        source_connect: ConnectOptions | None = None,
        **changes: Unpack[SyncKeywords],
    ) -> VerifyReport:
        """Compare the content of both sides and list what differs; writes nothing anywhere.

        With ``receipt`` the source is ``None``: the objects of the target are compared with that list.

        Raises:
            AioS3SyncError: one of the sides cannot be read as a whole.
        """

        async def run() -> VerifyReport:
            self._stores.access.check()
            chosen = SyncOptions.of(options, changes)
            return await self._runs.verify(source, target, chosen, on_event, source_connect)

        return await concluded(on_event, self._runs.observed("verify", source, target, run()))

    async def explain(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        key: str,
        *,
        options: SyncOptions | None = None,
        source_connect: ConnectOptions | None = None,
        **changes: Unpack[SyncKeywords],
    ) -> Explanation:
        """Explain what :meth:`sync` would do with one key, and why; write nothing, request one object.

        Raises:
            AioS3SyncError: the key cannot be one of the target, or one of the sides cannot be read.
        """
        self._stores.access.check()
        await load("aios3sync.sync.explain")
        from aios3sync.sync.explain import run_explain

        chosen = SyncOptions.of(options, changes)
        request = await self._runs.question(source, target, chosen, source_connect)
        return await run_explain(request, self._runs.resources(request, discard, source_connect), key)

    async def manifest(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        path: str | None = None,
        warn: Callable[[str], None] = discard_warning,
        source_connect: ConnectOptions | None = None,
    ) -> StoredManifest:
        """Return the state of a pair: to show, export, replace or forget it.

        No request is sent, unless it is in a bucket, and then when something is done with it.

        Args:
            source: the directory or the bucket, as for :meth:`sync`.
            target: the other one; both directions of a pair have one manifest.
            path: where it is kept, if not in the default place: a file, or ``s3://bucket/key`` or
                ``s3://bucket/folder/`` as for :meth:`sync`.
            warn: called with one line when a file cannot be used.
            source_connect: as for :meth:`sync`.

        Raises:
            UsageError: the target cannot be one.
            ManifestError: there is no place for it, because the user has no home.
        """
        self._stores.access.check()
        chosen = SyncOptions(manifest=path)
        request = await self._runs.request(source, target, chosen, source_connect=source_connect)
        return await self._runs.manifest(request, warn)

    async def stats(
        self, target: str, *, index: ObjectIndex | None = None, **options: Unpack[StatsKeywords]
    ) -> BucketStats:
        """Return statistics of a bucket or a prefix, cached in the bucket and validated at every call.

        Equal calls at the same moment share one listing: see :mod:`aios3sync.stats.single_flight`.

        Args:
            target: ``s3://bucket`` or ``s3://bucket/prefix``.
            index: answers in the place of a listing and of the cache, unless it is stale.
            options: fields of :class:`~aios3sync.stats.options.StatsOptions`, e.g. ``mode="detailed"``.

        Raises:
            StoreError: the bucket could not be listed completely; a cache never makes it fail.
            UsageError: the target or an option cannot be.
        """
        self._stores.access.check()
        from aios3sync.stats.calls import StatsCalls
        from aios3sync.stats.options import StatsOptions

        location, chosen = Location.parse(target), StatsOptions.of(options)
        if self._stats_calls is None:
            self._stats_calls = StatsCalls(self._stores, self._background, self.options.workers)
        return await self._stats_calls.run(location, chosen, index)

    async def stats_cache(self, target: str) -> StatsCache:
        """Return the cached statistics of a bucket or a prefix, to show and to clear them."""
        self._stores.access.check()
        from aios3sync.stats.cache_admin import StatsCache

        location = Location.parse(target)
        return StatsCache(await self.store(location.bucket), location.prefix, self.endpoint)

    async def doctor(
        self,
        target: str,
        *,
        read_only: bool = False,
        request_payer: bool = False,
        on_event: EventSink = discard,
    ) -> DoctorReport:
        """Probe what the endpoint of ``s3://bucket/prefix`` does, on keys that are made for it and removed.

        With ``read_only`` nothing is written. ``on_event`` gets what cancelled probes could not remove.
        """
        self._stores.access.check()
        return await self._runs.doctor(target, on_event, read_only=read_only, request_payer=request_payer)
