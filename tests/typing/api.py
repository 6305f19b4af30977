"""A user's program with annotations: type-checked, never run.

Each ``assert_type`` is a promise about what a call returns. ``test_typing.py`` checks the file as mypy would
check the program of somebody who has installed the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack, assert_type

import aios3sync
from aios3sync import (
    AioS3SyncError,
    BucketStats,
    Catalog,
    ConnectKeywords,
    ConnectOptions,
    DatasetEntry,
    Explanation,
    Failure,
    ObjectIndex,
    Progress,
    Session,
    StatsKeywords,
    StatsOptions,
    Stop,
    StoreError,
    SyncEvents,
    SyncKeywords,
    SyncOptions,
    SyncReport,
    VerifyReport,
)
from aios3sync.catalog import CatalogChange, CatalogListing
from aios3sync.events import Event, EventSink, Failed, Finished, Uploaded, discard
from aios3sync.images import THUMBNAIL_PREFIX, is_image_name
from aios3sync.index import (
    BackfillReport,
    Folder,
    FollowKeywords,
    Group,
    ObjectRow,
    Page,
    ReconcileReport,
    Stale,
    Totals,
)
from aios3sync.manifest import ManifestFacts, StoredManifest
from aios3sync.stats import Number, write_page
from aios3sync.store import HeadResult, ObjectStore, PutOptions
from aios3sync.testing import FaultyStore, MemoryStore


def on_event(event: Event) -> None:
    """The class of an event says what it is."""
    match event:
        case Finished(report):
            assert_type(report, Any)
        case Failed(failure, error):
            assert_type(failure, Failure)
            assert_type(error, BaseException | None)
        case _:
            pass


class Sink:
    """Takes outcomes."""

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Look at the next batch."""
        for outcome in batch:
            if isinstance(outcome, Uploaded):
                assert_type(outcome.row.key, str)


async def engine() -> None:
    """Sync, verify, explain, and the manifest."""
    sink: EventSink = discard
    progress = Progress()
    async with aios3sync.connect(ConnectOptions(workers=8), region="eu-central-1") as s3:
        assert_type(s3, Session)
        report = await s3.sync("data", "s3://bucket/data", delete="tracked", on_event=on_event)
        assert_type(report, SyncReport)
        assert_type(report.errors, tuple[Failure, ...])
        await s3.sync({"a": "/a"}, "s3://bucket", options=SyncOptions(delete="mirror"), on_event=sink)
        await s3.sync(
            "data",
            "s3://bucket/data",
            stop=Stop(),
            outcome_sinks=[Sink()],
            on_event=progress,
            overrides={"a.html": PutOptions(content_type="text/html")},
            catalog=DatasetEntry("org/name"),
        )
        events = s3.sync_events("data", "s3://bucket/data", delete="tracked", buffer=10)
        assert_type(events, SyncEvents)
        async for event in events:
            assert_type(event, Event)
        assert_type(events.report, SyncReport)
        async with s3.sync_events("data", "s3://bucket") as events:
            on_event(await anext(events))
        assert_type(progress.rates().eta, float | None)
        assert_type(await s3.verify("data", "s3://bucket/data"), VerifyReport)
        assert_type(await s3.explain("data", "s3://bucket/data", "a.txt"), Explanation)
        manifest = await s3.manifest("data", "s3://bucket/data")
        assert_type(manifest, StoredManifest)
        assert_type(await manifest.describe(), ManifestFacts)


async def site(**changes: Unpack[SyncKeywords]) -> SyncReport:
    """Keyword arguments can be passed on with their types."""
    connection: ConnectKeywords = {"region": "eu-central-1", "memory": "1G", "read_timeout": "30s"}
    async with aios3sync.connect(**connection) as s3:
        return await s3.sync(Path("site"), "s3://bucket/site", **changes)


async def settings(s3: Session) -> None:
    """Values may be what the options convert: lists, paths, sizes and durations as text."""
    await site(delete="mirror", exclude=["*.tmp", "*.bak"], gzip={"css", "js"}, part_size="64M")
    await s3.verify("data", "s3://bucket", manifest=False, check="content", max_manifest_age="2d")
    await s3.explain("data", "s3://bucket", "a", manifest=Path("m.json"), rules=[("include", "*.jpg")])
    await s3.sync("s3://bucket", "data", on_conflict="overwrite", trash=Path("/trash"), fsync=False)
    counting: StatsKeywords = {"mode": "detailed", "max_age": "5m"}
    await s3.stats("s3://bucket", **counting)
    async with s3.index("sqlite:///objects.db") as index:
        following: FollowKeywords = {"drain": True, "wait": "5s"}
        await index.follow("https://sqs.eu-central-1.amazonaws.com/1/queue", **following)
    s3.catalog("s3://bucket", kind="models", public=True, replicas=["s3://other"])
    await s3.store("bucket", request_payer=True)


async def services(s3: Session) -> None:
    """Statistics, index, catalog."""
    stats = await s3.stats("s3://bucket", mode="detailed", max_age=60)
    assert_type(stats, BucketStats)
    assert_type(stats.objects, Number)
    write_page(stats, "stats.html")
    assert_type(StatsOptions(mode="quick").max_age, float | None)
    async with s3.index("sqlite:///objects.db") as index:
        assert_type(index, ObjectIndex)
        assert_type(await index.backfill("s3://bucket"), BackfillReport)
        assert_type(await index.reconcile("s3://bucket"), ReconcileReport)
        page = await index.page("train/", order="size", desc=True)
        assert_type(page, Page)
        assert_type(page.next, str | None)
        assert_type(await index.urls(page), list[str])
        assert_type(await index.sample(10), list[ObjectRow])
        assert_type(await index.totals("train/"), Totals)
        assert_type(await index.folders(), list[Folder])
        assert_type(await index.histogram("month"), list[Group])
        assert_type(await index.stale(), list[Stale])
    catalog = s3.catalog("s3://bucket", kind="datasets")
    assert_type(catalog, Catalog)
    assert_type(await catalog.list(), CatalogListing)
    assert_type(await catalog.add(DatasetEntry("org/name")), CatalogChange)
    assert_type(is_image_name(THUMBNAIL_PREFIX), bool)


async def stores(s3: Session) -> None:
    """A store of one's own, and those of the test kit."""
    store: ObjectStore = MemoryStore()
    store = FaultyStore(store)
    try:
        assert_type(await store.head("key"), HeadResult)
        store = await s3.store("bucket")
    except StoreError as error:
        assert_type(error.key, str | None)
    except AioS3SyncError:
        pass
