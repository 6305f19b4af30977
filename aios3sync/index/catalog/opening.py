"""Opens catalogs for a session: reads the settings of the environment, opens nothing before it is needed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from aios3sync.core.keys import Location
from aios3sync.errors import AioS3SyncError, UsageError
from aios3sync.index.catalog.catalog import Catalog, Place
from aios3sync.index.catalog.entries import Entry, Registration
from aios3sync.index.catalog.keys import KINDS, Layout, kind_of, setting
from aios3sync.index.catalog.metrics import CatalogMetrics
from aios3sync.index.catalog.tiers import OpenPublic
from aios3sync.report import SyncReport
from aios3sync.store.protocol import ObjectStore

__all__ = ("open_catalog", "registered")

Opener = Callable[[str], Callable[[], Awaitable[ObjectStore]]]


def open_catalog(  # noqa: PLR0913 - what a session knows, and what its caller says
    url: str,
    kind: str,
    opener: Opener,
    open_public: OpenPublic,
    metrics: CatalogMetrics,
    *,
    endpoint: str = "",
    public: bool = False,
    acl: str = "",
    replicas: Sequence[str] = (),
) -> Catalog:
    """See :meth:`aios3sync.Session.catalog`."""
    if kind not in KINDS:
        raise UsageError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    if isinstance(replicas, str):
        raise UsageError("replicas: give a list of locations, not one text")

    def place(where: str) -> Place:
        location = Location.parse(where)
        layout = Layout.of(location.prefix, os.environ)
        return Place(location.bucket, layout, KINDS[kind], opener(location.bucket), acl)

    if not url:
        bucket = setting(os.environ, "S3_BUCKET_NAME")
        if not bucket:
            raise UsageError("no catalog is named; give s3://bucket, or set AIOS3SYNC_S3_BUCKET_NAME")
        url = f"s3://{bucket}"
    main, copies = place(url), [place(replica) for replica in replicas]
    for copy in copies:
        if copy.url() == main.url():
            raise UsageError(f"replicas: {copy.url()} is the catalog itself")
    return Catalog(main, open_public, metrics, replicas=copies, public=public, endpoint=endpoint)


async def registered(
    report: SyncReport, target: str, wanted: Entry | Registration, catalog: Callable[..., Catalog]
) -> tuple[str, ...]:
    """Add an entry after a sync that succeeded in all; the warnings of it.

    Args:
        report: of the sync.
        target: where the files are now.
        wanted: the entry, whose place becomes the target.
        catalog: opens a catalog, as :meth:`aios3sync.Session.catalog` does.
    """
    if report.dry_run:
        return ()
    registration = wanted if isinstance(wanted, Registration) else Registration(wanted)
    entry = registration.entry
    if report.exit_code or not report.balanced or report.vanished:
        return (f"the catalog was not told of {entry.id}: not all of its files are there",)
    location = Location.parse(target)
    if not location.prefix:
        return (f"the catalog was not told of {entry.id}: a whole bucket is no entry; sync below a prefix",)
    entry = replace(entry, s3_prefix=location.prefix.rstrip("/"), s3_bucket=location.bucket)
    try:
        opened = catalog(
            f"s3://{location.bucket}",
            kind=kind_of(entry).name,
            public=registration.public,
            acl=registration.acl,
            replicas=registration.replicas,
        )
        return (await opened.add(entry)).warnings
    except AioS3SyncError as error:
        return (f"the catalog was not told of {entry.id}; add it when the reason is gone: {error}",)
