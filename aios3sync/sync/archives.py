"""Objects in an archive cannot be read until they are restored: they are counted, and restored on request.

A restore takes hours: a later run sees in the listing that the object is restored, and reads it
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from aios3sync.core.actions import CopyObject, Download
from aios3sync.core.entries import TargetEntry
from aios3sync.core.text import count, size_text
from aios3sync.errors import StoreError
from aios3sync.events import Archived, NotDone, Outcome
from aios3sync.report import ReportBuilder, SyncReport
from aios3sync.store.protocol import RestoreRequest
from aios3sync.sync.transfers.object_version import ObjectVersion

if TYPE_CHECKING:
    from aios3sync.sync.request import SyncRequest
    from aios3sync.sync.run import Run

__all__ = ("ARCHIVED", "archive_warning", "ask_for", "is_archived", "outcome_of_archived", "readable")

ARCHIVED: Final = "InvalidObjectState"
"""The code of a refused read of an object in an archive, and of a restore of one that is in none."""
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes whose objects cannot be read before they are restored; GLACIER_IR can:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html"""
_ACTIVE: Final = frozenset({ARCHIVED, "ObjectAlreadyInActiveTierError"})
_UNDER_WAY: Final = "RestoreAlreadyInProgress"
_TIERING: Final = "INTELLIGENT_TIERING"

T = TypeVar("T", bound=Download | CopyObject)


def is_archived(entry: TargetEntry) -> bool:
    """Return whether an object cannot be read now, as far as the listing tells."""
    return entry.storage_class in _ARCHIVES and entry.restore != "done"


def readable(run: Run, transfers: Sequence[T], *, planned: bool = False) -> list[T]:
    """Return the transfers that can go on; of the others, request a restore or count them.

    Args:
        run: the run.
        transfers: out of a bucket.
        planned: they are counted as planned already.
    """
    left = [item.source for item in transfers if is_archived(item.source) and not _is_asked_for(run, item)]
    if not left:
        return list(transfers)
    if not planned:
        run.builder.plan(len(left))
    run.recorder.add_all([Archived(entry.key, entry.size, entry.restore == "ongoing") for entry in left])
    return [item for item in transfers if not is_archived(item.source) or _is_asked_for(run, item)]


def _is_asked_for(run: Run, transfer: Download | CopyObject) -> bool:
    return bool(run.options.restore) and not transfer.source.restore


async def outcome_of_archived(run: Run, version: ObjectVersion) -> Outcome:
    """Return the outcome of a transfer whose object turned out to be in an archive; request its restore.

    Raises:
        StoreError: the run cannot go on; see :meth:`~aios3sync.sync.run.Run.outcome_of_error`.
    """
    asked = await ask_for(run, version) if run.options.restore else None
    return asked or Archived(version.entry.key, version.entry.size)


async def ask_for(run: Run, version: ObjectVersion) -> Outcome | None:
    """Request the restore of an archived object; return ``None`` where it can be read now.

    Raises:
        StoreError: the run cannot go on; see :meth:`~aios3sync.sync.run.Run.outcome_of_error`.
    """
    entry, tier = version.entry, run.options.restore_tier
    if tier == "expedited" and entry.storage_class == "DEEP_ARCHIVE":
        text = "DEEP_ARCHIVE knows no expedited restore; ask with '--restore-tier standard' or 'bulk'"
        return NotDone(entry.key, "failed", "restore", text)
    # An object of Intelligent-Tiering moves back for good: a number of days is refused there.
    days = 0 if entry.storage_class == _TIERING else run.options.restore
    try:
        done = await version.store.restore(
            version.key, RestoreRequest(tier, days, version_id=entry.version_id)
        )
    except StoreError as error:
        if error.code == _UNDER_WAY:
            return Archived(entry.key, entry.size, restoring=True)
        if error.code in _ACTIVE:
            return None
        return run.outcome_of_error(entry.key, "restore", error)
    return None if done else Archived(entry.key, entry.size, restoring=True)


def archive_warning(counts: ReportBuilder | SyncReport, request: SyncRequest) -> str:
    """Return the warning about objects that are in an archive.

    Args:
        counts: say how many.
        request: of the run.
    """
    verb = "copies" if request.direction == "copy" else "downloads"
    asked = request.options.restore > 0
    number = counts.archived + counts.restoring
    skipped = (
        f"skipped {count(number, 'object')} ({size_text(counts.archived_bytes)}) in an archive "
        "(GLACIER, DEEP_ARCHIVE), which cannot be read"
    )
    if counts.restoring:
        are = "would be" if request.options.dry_run and asked else "are being"
        skipped += f"; {counts.restoring:,} of them {are} restored, and a later run {verb} them"
    if counts.archived and not asked:
        skipped += f"; '--restore DAYS' restores them for some days, and a later run {verb} them"
    return skipped
