"""ObjectIndex: query the objects of buckets in a database instead of S3; the public class of the index.

It checks arguments. The database answers the queries; backfill, reconcile, feed and follow write the rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Unpack

import anyio

from aios3sync.concurrency import Stop
from aios3sync.core.keys import Location, key_problem
from aios3sync.errors import UsageError
from aios3sync.index.backfill import BackfillReport, IndexSink, check_indexed, discard_progress, run_backfill
from aios3sync.index.cursors import read_cursor, write_cursor
from aios3sync.index.db.open import open_backend
from aios3sync.index.db.protocol import IndexBackend, Position
from aios3sync.index.feed import IndexFeed, feed_index
from aios3sync.index.follow.queue import Queue
from aios3sync.index.follow.report import FollowKeywords, FollowOptions, FollowReport
from aios3sync.index.reconcile import ReconcileReport, run_reconcile
from aios3sync.index.rows import Folder, Group, Grouping, ObjectRow, Order, Page, Selection, Totals
from aios3sync.index.staleness import Stale, last_listed, stale_prefixes
from aios3sync.store.protocol import HeadResult, ObjectStore

__all__ = ("MOST_ROWS", "ObjectIndex", "open_index")

MOST_ROWS: Final = 10_000
"""Rows of one page or one sample at most."""
_ORDERS: Final = ("key", "uploaded_at", "size", "name")
_GROUPINGS: Final = ("extension", "size", "month")

StoreOpener = Callable[[str], Awaitable[ObjectStore]]
QueueOpener = Callable[[str], AbstractAsyncContextManager[Queue]]


class ObjectIndex:
    """The index of one or several buckets.

    Every query takes either a ``prefix``, which selects all keys that begin with it (empty for all), or a
    ``folder``, which selects the keys directly in it. ``bucket`` may be left out where the index holds one
    bucket only. All methods raise :class:`~aios3sync.index.rows.ObjectIndexError` where the database fails
    and :class:`~aios3sync.errors.UsageError` where an argument is invalid.

    Args:
        backend: the database.
        open_store: opens the store of a bucket, for the methods that use S3: URLs, backfill and reconcile.
        open_queue: opens a queue by its URL, for :meth:`follow`.
    """

    def __init__(
        self, backend: IndexBackend, open_store: StoreOpener, open_queue: QueueOpener | None = None
    ) -> None:
        self.backend = backend
        self._opener = open_store
        self._queue_opener = open_queue
        self._stores: dict[str, ObjectStore] = {}
        self._bucket = ""

    # Queries. A prefix or a folder may also be given as an address, ``s3://bucket/text``, which names the
    # bucket as well; the text is as literal as a prefix.

    async def page(  # noqa: PLR0913 - the whole query; all parts have defaults
        self,
        prefix: str = "",
        *,
        folder: str | None = None,
        bucket: str = "",
        order: Order = "key",
        desc: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Return the next rows in an order.

        Args:
            prefix: with which the keys begin.
            folder: that holds the keys directly.
            bucket: may be left out where the index holds one only.
            order: ``key``, ``uploaded_at``, ``size`` or ``name``; rows of one value are in the order in which
                they were inserted.
            desc: the greatest first.
            limit: the number of rows at most, 1 to 10,000.
            after: the cursor of the page before, of the same query.
        """
        _choice("order", order, _ORDERS)
        _limit(limit)
        selection = await self._selection(prefix, folder, bucket)
        query = ("page", selection.bucket, selection.prefix, selection.folder, order, desc)
        position: Position | None = None
        total: Totals | None = None
        if after is not None:
            position, total = read_cursor(query, after, text=order in ("key", "name"))
        rows, end = await self.backend.page(selection, order, limit, desc=desc, after=position)
        if total is None or _cheap(selection):
            total = await self.backend.totals(selection)
        return Page(tuple(map(_dated, rows)), end and write_cursor(query, end, total), total)

    async def sample(
        self,
        count: int,
        prefix: str = "",
        *,
        folder: str | None = None,
        bucket: str = "",
        seed: int | None = None,
    ) -> list[ObjectRow]:
        """Return random rows without repeats, every set of ``count`` equally likely; all if there are fewer.

        Args:
            count: 1 to 10,000.
            prefix: with which the keys begin.
            folder: that holds the keys directly.
            bucket: may be left out where the index holds one only.
            seed: the same seed selects the same rows as long as nothing was written.
        """
        _limit(count, "count")
        selection = await self._selection(prefix, folder, bucket)
        return list(map(_dated, await self.backend.sample(selection, count, seed)))

    async def totals(self, prefix: str = "", *, folder: str | None = None, bucket: str = "") -> Totals:
        """Return count and bytes, from maintained sums for folders and prefixes that end in ``/``.

        For other prefixes rows are counted up to 100,000; beyond that the result is not ``exact``.
        """
        return await self.backend.totals(await self._selection(prefix, folder, bucket))

    async def folders(self, folder: str = "", *, bucket: str = "") -> list[Folder]:
        """List the folders directly in a folder (empty for the top), with the sums of each."""
        selection = await self._selection("", folder, bucket)
        return await self.backend.folders(selection.bucket, selection.folder or "")

    async def search(
        self,
        text: str,
        prefix: str = "",
        *,
        folder: str | None = None,
        bucket: str = "",
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Return rows whose name contains a text, ASCII letters of either case, ascending by key.

        It reads the rows of the selection until the page is full; the total is a lower bound unless this is
        the only page.
        """
        if not text:
            raise UsageError("text: a search needs something to look for")
        _limit(limit)
        selection = await self._selection(prefix, folder, bucket)
        query = ("search", selection.bucket, selection.prefix, selection.folder, text)
        last, before = "", Totals(0, 0)
        if after is not None:
            position, before = read_cursor(query, after, text=True)
            last = str(position[0])
        rows = await self.backend.search(selection, text, last, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        size = before.size + sum(row.size for row in rows)
        total = Totals(before.objects + len(rows), size, exact=not more)
        after = write_cursor(query, (rows[-1].key, 0), total) if more else None
        return Page(tuple(map(_dated, rows)), after, total)

    async def histogram(
        self, by: Grouping = "extension", prefix: str = "", *, folder: str | None = None, bucket: str = ""
    ) -> list[Group]:
        """Return count and bytes by ``extension``, ``size`` or ``month``; reads all selected rows."""
        _choice("by", by, _GROUPINGS)
        return await self.backend.histogram(await self._selection(prefix, folder, bucket), by)

    async def get(self, keys: Sequence[str], *, bucket: str = "") -> list[ObjectRow]:
        """Return the rows of those keys that exist, ascending."""
        addresses = [_addressed("keys", key, bucket) for key in keys]
        named = {address for address, _ in addresses}
        if len(named) > 1:
            raise UsageError("keys: give keys of one bucket at a time")
        if named - {bucket}:
            await self._require_known(*named)
        selection = await self._selection("", None, *(named or {bucket}))
        found = await self.backend.get(selection.bucket, [key for _, key in addresses])
        return list(map(_dated, found))

    async def buckets(self) -> list[str]:
        """List the buckets of the index, ascending."""
        return await self.backend.buckets()

    async def urls(
        self, rows: Iterable[ObjectRow], *, expires: float = 3600, method: str = "GET"
    ) -> list[str]:
        """Return presigned URLs of rows, in their order; computed locally, without a request.

        Args:
            rows: a page, a sample, or any of their rows.
            expires: seconds, up to seven days.
            method: GET, HEAD, PUT or DELETE.
        """
        listed = list(rows)
        if not all(isinstance(row, ObjectRow) for row in listed):
            raise UsageError("rows: give rows, such as a page; keys become rows with get()")
        urls: dict[tuple[str, str], str] = {}
        for bucket in sorted({row.bucket for row in listed}):
            keys = [row.key for row in listed if row.bucket == bucket]
            store = await self._open_store(bucket)
            signed = await store.presign_many(keys, expires=expires, method=method)
            urls.update(zip(((bucket, key) for key in keys), signed, strict=True))
        return [urls[row.bucket, row.key] for row in listed]

    # Filling

    async def backfill(
        self, target: str, *, on_event: IndexSink = discard_progress, fresh: bool = False, inventory: str = ""
    ) -> BackfillReport:
        """List ``s3://bucket/prefix`` into the index, and delete the rows of objects that do not exist.

        A backfill that broke off is resumed, unless ``fresh`` is set.

        Args:
            target: the prefix that is listed.
            on_event: receives progress.
            fresh: begin again instead of resuming.
            inventory: ``s3://bucket/key`` of the ``manifest.json`` of an S3 Inventory, or the prefix of its
                configuration for the newest one. Then nothing is listed and no row is deleted; events or
                :meth:`reconcile` add later changes.

        Raises:
            StoreError: the listing did not end; listed rows are kept, no row is deleted.
            InventoryError: the inventory is damaged, incomplete, or in a format that cannot be read.
        """
        location = Location.parse(target)
        check_indexed(location)
        if inventory:
            from aios3sync.index.inventory_backfill import run_inventory_backfill

            place = Location.parse(inventory)
            source, path = await self._open_store(place.bucket), place.prefix.rstrip("/")
            return await run_inventory_backfill(self.backend, source, path, location, on_event, fresh=fresh)
        store = await self._open_store(location.bucket)
        return await run_backfill(self.backend, store, location, on_event, fresh=fresh)

    async def reconcile(
        self, target: str, *, repair: bool = True, on_event: IndexSink = discard_progress
    ) -> ReconcileReport:
        """Compare the index with a listing of ``s3://bucket/prefix``, and repair it.

        Raises:
            StoreError: the listing did not end; the rest of the keys is not compared.
        """
        location = Location.parse(target)
        check_indexed(location)
        store = await self._open_store(location.bucket)
        return await run_reconcile(self.backend, store, location, on_event, repair=repair)

    async def follow(
        self,
        queue_url: str,
        *,
        options: FollowOptions | None = None,
        stop: Stop | None = None,
        warn: Callable[[str], object] = lambda _: None,
        progress: Callable[[FollowReport], object] = lambda _: None,
        **changes: Unpack[FollowKeywords],
    ) -> FollowReport:
        """Keep the index current with the S3 event notifications in an SQS queue.

        It runs until ``stop`` is set, the task is cancelled, or a permanent error occurs; a received batch is
        finished in any case. A message is deleted after the index has committed its changes.

        Args:
            queue_url: of the queue, to which S3 sends events directly, through SNS or through EventBridge.
            options: of following; ``changes`` are its fields as keyword arguments, e.g. ``drain=True``.
            stop: ends the call.
            warn: called with warnings of one line.
            progress: called after each batch.
            changes: fields of :class:`~aios3sync.index.follow.report.FollowOptions`.

        Raises:
            UsageError: an option or the URL is invalid.
            StoreError: a request to the queue or to a bucket failed.
        """
        from aios3sync.index.follow.follower import Follower

        options = FollowOptions.of(options, changes)
        if self._queue_opener is None:
            raise UsageError("queue_url: this index was opened without a session that could open queues")

        async def head_object(bucket: str, key: str) -> HeadResult:
            return await (await self._open_store(bucket)).head(key)

        async with self._queue_opener(queue_url) as queue:
            follower = Follower(self.backend, queue, head_object, options, warn=warn, progress=progress)
            return await follower.run(stop)

    @asynccontextmanager
    async def feeding(self, target: str) -> AsyncIterator[IndexFeed]:
        """Open the sink of a sync to ``s3://bucket/prefix``; it never raises into the sync.

        After the block, failures are in :attr:`IndexFeed.warnings`.
        """
        async with feed_index(self.backend, Location.parse(target)) as sink:
            yield sink

    async def stale(self) -> list[Stale]:
        """List the prefixes where the index may lack changes of syncs and needs :meth:`reconcile`."""
        return await stale_prefixes(self.backend)

    async def listed(self, target: str) -> float | None:
        """Return when the last complete :meth:`backfill` or :meth:`reconcile` of a target began.

        Seconds since the epoch; ``None`` where there was none, so that the index may hold only a part.
        """
        return await last_listed(self.backend, Location.parse(target))

    async def close(self) -> None:
        """Close the database."""
        await self.backend.close()

    async def _open_store(self, bucket: str) -> ObjectStore:
        if bucket not in self._stores:
            self._stores[bucket] = await self._opener(bucket)
        return self._stores[bucket]

    async def _selection(self, prefix: str, folder: str | None, bucket: str) -> Selection:
        asked = bucket
        bucket, prefix = _addressed("prefix", prefix, bucket)
        if folder is not None:
            bucket, folder = _addressed("folder", folder, bucket)
        if bucket != asked:
            await self._require_known(bucket)
        for name, text in (("prefix", prefix), ("folder", folder or "")):
            if (problem := key_problem(text)) is not None:
                raise UsageError(f"{name}: {text!r} {problem}")
        if folder is not None:
            if prefix:
                raise UsageError("give a prefix or a folder, not both")
            if folder and not folder.endswith("/"):
                folder += "/"
        return Selection(bucket or await self._only_bucket(), prefix, folder)

    async def _require_known(self, bucket: str) -> None:
        """Refuse an address in an unknown bucket: an empty result would claim that the bucket is empty.

        Raises:
            UsageError: the index holds no row of the bucket, and no listing has shown that it is empty.
        """
        buckets = await self.backend.buckets()
        if bucket not in buckets and await self.listed(f"s3://{bucket}") is None:
            holds = f"it holds {', '.join(buckets)}" if buckets else "it is empty"
            raise UsageError(f"the index knows nothing of bucket {bucket!r} ({holds}); backfill fills it")

    async def _only_bucket(self) -> str:
        if not self._bucket:
            buckets = await self.backend.buckets()
            if len(buckets) > 1:
                raise UsageError(f"bucket: the index holds several, name one of {', '.join(buckets)}")
            if not buckets:
                raise UsageError(
                    f"the index {self.backend.place!r} is empty; fill it with backfill, or name the bucket"
                )
            self._bucket = buckets[0]
        return self._bucket


@asynccontextmanager
async def open_index(
    url: str, name: str, open_store: StoreOpener, open_queue: QueueOpener | None = None
) -> AsyncIterator[ObjectIndex]:
    """Open an index while the block lasts; see :func:`~aios3sync.index.db.open.open_backend`."""
    index = ObjectIndex(await open_backend(url, name), open_store, open_queue)
    try:
        yield index
    finally:
        with anyio.CancelScope(shield=True):
            await index.close()


def _dated(row: ObjectRow) -> ObjectRow:
    """Return the row with the time of its upload as ``last_modified`` where the endpoint reported none.

    Only for results of queries: a comparison with a listing has to see that the endpoint reported none.
    """
    return row if row.last_modified else row._replace(last_modified=row.uploaded_at)


def _addressed(name: str, text: str, bucket: str) -> tuple[str, str]:
    """Return the bucket and the literal text of an argument that may be given as ``s3://bucket/text``.

    Raises:
        UsageError: the address is invalid, or in another bucket than ``bucket``.
    """
    if not text.startswith("s3://"):
        return bucket, text
    found = Location.parse(text).bucket
    if bucket and bucket != found:
        raise UsageError(f"{name}: {text!r} is not in the bucket {bucket!r}")
    return found, text.removeprefix(f"s3://{found}").removeprefix("/")


def _cheap(selection: Selection) -> bool:
    return selection.folder is not None or not selection.prefix or selection.prefix.endswith("/")


def _choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UsageError(f"{name}: {value!r} is not one of {', '.join(allowed)}")


def _limit(value: int, name: str = "limit") -> None:
    if not 1 <= value <= MOST_ROWS:
        raise UsageError(f"{name}: {value} is not between 1 and {MOST_ROWS:,}")
