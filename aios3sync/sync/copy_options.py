"""Checks the options of a sync between two buckets: what is impossible there is refused, not ignored."""

from __future__ import annotations

from typing import Final

from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions
from aios3sync.sync.download_options import check_restore_options

__all__ = ("check_copy_options", "check_places")

_OF_FILES: Final = (
    "accept_content",
    "gitignore",
    "gzip",
    "metadata_update",
    "thumbnails",
    "track_renames",
    "no_list",
)
_HEADERS: Final = (
    *("content_type", "cache_control", "content_disposition", "content_language", "expires"),
    *("metadata", "header_for"),
)


def check_copy_options(options: SyncOptions) -> None:
    """Check the options of a sync between two buckets.

    Raises:
        UsageError: one of them is about files, or contradicts another one.
    """
    for name in _OF_FILES:
        if getattr(options, name):
            raise UsageError(f"{name}: a sync between two buckets has no files to do that with; leave it out")
    if options.receipt is not None:
        raise UsageError(
            "receipt: the bytes of a copy do not pass by here, so nothing can be said of their SHA-256; sync "
            "one of the two with a directory for a receipt, and check the copy with 'verify --receipt'"
        )
    check_restore_options(options)
    if options.check == "content":
        raise UsageError("check: a sync between two buckets compares listings; 'verify' compares content")
    if options.metadata_directive == "copy":
        for name in _HEADERS:
            if getattr(options, name):
                raise UsageError(
                    f"{name}: a copy keeps the headers and metadata of its source; add "
                    "'--metadata-directive replace' to store it with others"
                )


def check_places(source: Location, target: Location, *, same_endpoint: bool) -> None:
    """Check where objects come from and where they go.

    Raises:
        UsageError: both places are the same, or one is inside the other.
    """
    if not same_endpoint or source.bucket != target.bucket:
        return
    if source.prefix == target.prefix:
        raise UsageError(f"{source} is both the source and the target; there is nothing to copy")
    if target.prefix.startswith(source.prefix):
        raise UsageError(f"the target {target} is in the source {source}: each run would copy its own copies")
    if source.prefix.startswith(target.prefix):
        raise UsageError(
            f"the source {source} is in the target {target}: what was copied would lie among what is copied"
        )
