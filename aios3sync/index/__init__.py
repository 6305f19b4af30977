"""The object index: the objects of buckets in a database, fed by syncs and events; it changes no object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._lazy import lazy_names

if TYPE_CHECKING:
    from aios3sync.index.backfill import BackfillReport, IndexProgress, IndexSink
    from aios3sync.index.feed import IndexFeed
    from aios3sync.index.follow.queue import Queue, QueuedMessage
    from aios3sync.index.follow.report import FollowKeywords, FollowOptions, FollowReport
    from aios3sync.index.object_index import ObjectIndex
    from aios3sync.index.reconcile import ReconcileReport
    from aios3sync.index.rows import (
        Folder,
        Group,
        Grouping,
        IndexUnavailableError,
        ObjectIndexError,
        ObjectRow,
        Order,
        Page,
        Removal,
        Selection,
        Totals,
        Upsert,
    )
    from aios3sync.index.staleness import Stale
    from aios3sync.inventory.files import InventoryError

__all__ = (
    "BackfillReport",
    "Folder",
    "FollowKeywords",
    "FollowOptions",
    "FollowReport",
    "Group",
    "Grouping",
    "IndexFeed",
    "IndexProgress",
    "IndexSink",
    "IndexUnavailableError",
    "InventoryError",
    "ObjectIndex",
    "ObjectIndexError",
    "ObjectRow",
    "Order",
    "Page",
    "Queue",
    "QueuedMessage",
    "ReconcileReport",
    "Removal",
    "Selection",
    "Stale",
    "Totals",
    "Upsert",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.index.backfill": "BackfillReport IndexProgress IndexSink",
            "aios3sync.index.feed": "IndexFeed",
            "aios3sync.index.follow.queue": "Queue QueuedMessage",
            "aios3sync.index.follow.report": "FollowKeywords FollowOptions FollowReport",
            "aios3sync.index.object_index": "ObjectIndex",
            "aios3sync.index.reconcile": "ReconcileReport",
            "aios3sync.index.rows": (
                "Folder Group Grouping IndexUnavailableError ObjectIndexError ObjectRow Order Page Removal "
                "Selection Totals Upsert"
            ),
            "aios3sync.index.staleness": "Stale",
            "aios3sync.inventory.files": "InventoryError",
        },
    )
