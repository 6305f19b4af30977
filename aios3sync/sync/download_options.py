"""Checks the options of a download: what is only for uploads is refused, not ignored."""

from __future__ import annotations

import os
from typing import Final

from aios3sync.core.keys import SCHEME
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions

__all__ = ("check_download_options", "check_restore_options")

_OF_UPLOADS: Final = (
    *(
        "accept_content",
        "content_type",
        "cache_control",
        "content_disposition",
        "content_language",
        "expires",
    ),
    *("metadata", "storage_class", "sse", "sse_kms_key_id", "acl", "header_for", "metadata_update", "tags"),
    *("checksum", "thumbnails", "track_renames"),
)


def check_download_options(options: SyncOptions, root: str) -> None:
    """Check the options of a download into a directory. Blocks: a relative path is resolved.

    Raises:
        UsageError: one of them says how objects are written, or is impossible in this direction.
    """
    for name in _OF_UPLOADS:
        if getattr(options, name):
            raise UsageError(f"{name}: a download writes no objects; leave it out")
    if options.no_list:
        raise UsageError("no_list: what a download fetches is known from the listing alone; leave it out")
    if options.target_listing:
        raise UsageError("target_listing: the target is no bucket; leave it out, or give source_listing")
    check_restore_options(options)
    if options.gitignore:
        raise UsageError("gitignore: a download does not read rules in its own target; use exclude rules")
    if options.on_bad_name == "escape":
        raise UsageError(
            "on_bad_name: names of files are only escaped on their way to a bucket; leave it out"
        )
    if options.trash is not None:
        if options.trash.startswith(SCHEME):
            raise UsageError(
                f"trash: files are moved within their filesystem, so {options.trash} cannot take them; "
                "name a directory"
            )
        trash = os.path.abspath(os.fspath(options.trash))
        if trash == root or trash.startswith(f"{root.rstrip('/')}/"):
            raise UsageError("trash: it is below the target, where it would be synced; name another place")


def check_restore_options(options: SyncOptions) -> None:
    """Check the options for archived objects of a source that is a bucket.

    Raises:
        UsageError: they say how objects are restored, but not that they are.
    """
    if options.restore_tier != "standard" and not options.restore:
        raise UsageError("restore_tier: say with restore for how many days objects are restored")
