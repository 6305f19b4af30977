"""The outcomes of downloads, of small and of large objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync.core.actions import KEPT, Download
from aios3sync.core.entries import SourceEntry, TargetEntry
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import ObjectNotFoundError, StoreError
from aios3sync.events import Adopted, Downloaded, NotDone, Outcome
from aios3sync.local.digest import is_settled
from aios3sync.local.write import NO_ROOM, ChangedHereError
from aios3sync.sync.archives import ARCHIVED, outcome_of_archived
from aios3sync.sync.transfers.object_version import ChangedObjectError, ObjectVersion
from aios3sync.sync.transfers.ranged_download import ATTEMPTS
from aios3sync.sync.transfers.received import WrongBytesError

if TYPE_CHECKING:
    from aios3sync.sync.run import Run

__all__ = (
    "DifferentFileError",
    "adopted",
    "downloaded",
    "outcome_of_failure",
    "outcome_of_refusal",
)


class DifferentFileError(Exception):
    """The file differs from the object, and may not be replaced."""


def downloaded(  # noqa: PLR0913 - the facts of one row
    run: Run,
    download: Download,
    written: SourceEntry,
    etag: str,
    md5: str,
    received: int,
    started_ns: int,
    *,
    encoding: str = "",
    part_size: int = 0,
    sha256: str = "",
) -> Downloaded:
    """Return the outcome of an object that was written to its file.

    A download sets the mtime of its file as its last step: if that mtime is old enough, beyond the error of
    clocks, every later write changes it.
    """
    by_mtime = "mtime" in run.options.stat_fields
    settled = is_settled(written, started_ns, by_mtime=by_mtime)
    row = run.row(written, md5, etag, settled=settled, encoding=encoding, sha256=sha256)
    if part_size:
        row = row._replace(part_size=part_size)
    return Downloaded(row, received, download.reason)


def adopted(
    run: Run, download: Download, source: TargetEntry, md5: str, *, encoding: str, part_size: int
) -> Adopted:
    """Return the outcome of an object whose file already has its content."""
    file = download.replaces
    assert file is not None  # noqa: S101 - only a file has a digest to compare with
    settled = is_settled(file, run.started_ns, by_mtime=run.by_mtime)
    row = run.row(file, md5, source.etag, settled=settled, encoding=encoding)
    return Adopted(row._replace(part_size=part_size), source)


def outcome_of_failure(run: Run, source: TargetEntry, error: Exception) -> Outcome:
    """Return the outcome of a failed download; a full disk ends all downloads.

    Raises:
        AioS3SyncError: nothing else can continue either; see
            :meth:`~aios3sync.sync.run.Run.outcome_of_error`.
    """
    key = source.key
    match error:
        case ObjectNotFoundError():
            return NotDone(key, "vanished", "download")
        case ChangedObjectError():
            return NotDone(key, "failed", "download", "changed while it was read")
        case WrongBytesError():
            text = f"these are not the bytes of the object, after {ATTEMPTS} attempts: {error}"
            return NotDone(key, "failed", "download", text)
        case DifferentFileError():
            return NotDone(key, "conflicts", "conflict", f"the file differs from the object{KEPT}")
        case ChangedHereError():
            return NotDone(key, "conflicts", "conflict", f"{error}; kept")
        case OSError() if error.errno in NO_ROOM:
            return _full(run, key, error)
        case OSError():
            return NotDone(key, "failed", "download", error.strerror or str(error))
        case _:
            return run.outcome_of_error(key, "download", error)


async def outcome_of_refusal(run: Run, version: ObjectVersion, error: Exception) -> Outcome:
    """Return the outcome of a failed download; for an object in an archive a restore is requested.

    Raises:
        AioS3SyncError: see :func:`outcome_of_failure`.
    """
    if isinstance(error, StoreError) and error.code == ARCHIVED:
        return await outcome_of_archived(run, version)
    return outcome_of_failure(run, version.entry, error)


def _full(run: Run, key: str, error: OSError) -> NotDone:
    """End all downloads: no other file can be written either."""
    if run.refusals.end(f"the disk is full ({error.strerror})"):
        run.builder.aborted = (
            f"the disk is full: {escape_undecodable(key)!r} could not be written ({error.strerror}); nothing "
            "more is fetched, and the next run goes on where this one ended"
        )
    return NotDone(key, "cancelled", "download")
