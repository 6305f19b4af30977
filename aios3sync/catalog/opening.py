"""Opens catalogs for a session: reads the settings of the environment, opens nothing before it is needed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence

from aios3sync.catalog.catalog import Catalog, Place
from aios3sync.catalog.layout import KINDS, Layout, setting
from aios3sync.catalog.metrics import CatalogMetrics
from aios3sync.catalog.tiers import OpenPublic
from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.store.protocol import ObjectStore

__all__ = ("open_catalog",)

Opener = Callable[..., Callable[[], Awaitable[ObjectStore]]]
"""Opens the store of a bucket; with the options for reading of :meth:`aios3sync.Session.store`."""


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
    request_payer: bool = False,
) -> Catalog:
    """See :meth:`aios3sync.Session.catalog`."""
    if kind not in KINDS:
        raise UsageError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    if isinstance(replicas, str):
        raise UsageError("replicas: give a list of locations, not one text")

    payer = "requester" if request_payer else ""

    def place(where: str) -> Place:
        location = Location.parse(where)
        layout = Layout.of(location.prefix, os.environ)
        open_store = opener(location.bucket, request_payer=payer)
        return Place(location.bucket, layout, KINDS[kind], open_store, acl, payer)

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
