"""Checks the options of an upload: what is only for a source that is a bucket is refused."""

from __future__ import annotations

from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions

__all__ = ("check_upload_options",)


def check_upload_options(options: SyncOptions) -> None:
    """Check the options of an upload.

    Raises:
        UsageError: one of them is about reading objects.
    """
    for name, given in (("restore", options.restore), ("restore_tier", options.restore_tier != "standard")):
        if given:
            raise UsageError(
                f"{name}: only objects of a bucket that is the source are restored; leave it out"
            )
    if options.source_listing:
        raise UsageError("source_listing: the source is no bucket; leave it out")
    if options.as_of is not None:
        raise UsageError("as_of: a directory has no versions; only a bucket as the source has them")
    if options.track_renames and options.delete == "off":
        raise UsageError("track_renames: say with delete that the objects of the old names go")
