"""Objects in an archive, which cannot be read before they are restored: they are counted and left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aios3sync.core.actions import Download
from aios3sync.core.text import count, size_text
from aios3sync.events import Archived
from aios3sync.sync.run import Run

__all__ = ("ARCHIVES", "archive_warning", "readable")

ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes whose objects cannot be read before they are restored; GLACIER_IR can:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html"""


def readable(run: Run, downloads: Sequence[Download], *, planned: bool = False) -> list[Download]:
    """Return the transfers whose objects can be read; count those in an archive.

    Args:
        run: the run.
        downloads: some transfers.
        planned: they are counted as planned already.
    """
    read = [download for download in downloads if download.source.storage_class not in ARCHIVES]
    if len(read) < len(downloads):
        archived = [item.source for item in downloads if item.source.storage_class in ARCHIVES]
        if not planned:
            run.builder.plan(len(archived))
        run.recorder.add_all([Archived(entry.key, entry.size) for entry in archived])
    return read


def archive_warning(archived: int, size: int) -> str:
    """Return the line about objects that were left in an archive."""
    return (
        f"skipped {count(archived, 'object')} ({size_text(size)}) in an archive (GLACIER, DEEP_ARCHIVE), "
        "which cannot be read; restore them ('aws s3api restore-object'), copy them to another storage "
        "class, and sync again"
    )
