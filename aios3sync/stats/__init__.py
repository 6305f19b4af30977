"""Statistics of a bucket or a prefix, cached in the bucket itself; they change no other object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._lazy import lazy_names

if TYPE_CHECKING:
    from aios3sync.stats.cache_admin import CacheEntry, StatsCache
    from aios3sync.stats.html import write_page
    from aios3sync.stats.model import (
        Bin,
        Breakdown,
        BucketStats,
        CacheFacts,
        DeltaGliderStats,
        FolderTotals,
        GroupTotals,
        HeadCounts,
        Histogram,
        ListedObject,
        Number,
        ObjectKind,
        UploadTotals,
        VersionTotals,
    )
    from aios3sync.stats.options import StatsOptions

__all__ = (
    "Bin",
    "Breakdown",
    "BucketStats",
    "CacheEntry",
    "CacheFacts",
    "DeltaGliderStats",
    "FolderTotals",
    "GroupTotals",
    "HeadCounts",
    "Histogram",
    "ListedObject",
    "Number",
    "ObjectKind",
    "StatsCache",
    "StatsOptions",
    "UploadTotals",
    "VersionTotals",
    "write_page",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.stats.cache_admin": "CacheEntry StatsCache",
            "aios3sync.stats.html": "write_page",
            "aios3sync.stats.model": (
                "Bin Breakdown BucketStats CacheFacts DeltaGliderStats FolderTotals GroupTotals HeadCounts "
                "Histogram ListedObject Number ObjectKind UploadTotals VersionTotals"
            ),
            "aios3sync.stats.options": "StatsOptions",
        },
    )
