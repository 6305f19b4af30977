"""What the downloads of small and of large objects share: reads of one version, and how each of them ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aios3sync.core.actions import KEPT, Download
from aios3sync.core.entries import SourceEntry, TargetEntry
from aios3sync.core.etag import same_etag
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.events import Adopted, Archived, Downloaded, NotDone, Outcome
from aios3sync.local.digest import is_settled
from aios3sync.local.write import NO_ROOM, ChangedHereError
from aios3sync.store.protocol import GetResult, HeadResult, ObjectStore
from aios3sync.sync.archives import ARCHIVED, ask_for
from aios3sync.sync.stored_checksum import StoredChecksum, head_with_checksum, stored_checksum
from aios3sync.sync.transfers.received import WrongBytesError

if TYPE_CHECKING:
    from aios3sync.sync.run import Run

__all__ = (
    "ATTEMPTS",
    "ChangedObjectError",
    "DifferentFileError",
    "adopted",
    "checksum_of_version",
    "current",
    "downloaded",
    "outcome_of_failure",
    "outcome_of_refusal",
    "read_version",
    "read_version_into",
)

ATTEMPTS: Final = 3
"""How often an object is read that changes while it is read, or whose bytes are wrong."""


class ChangedObjectError(Exception):
    """The object is not the one that was listed any more."""


class DifferentFileError(Exception):
    """The file has another content than the object, and may not be replaced."""


async def read_version_into(
    store: ObjectStore, full_key: str, source: TargetEntry, start: int, buffer: memoryview
) -> HeadResult:
    """Fill a buffer with a range of the listed version of an object; see :func:`read_version`."""
    try:
        size, head = await store.read_into(
            full_key, buffer, start=start, if_match=source.etag, version_id=source.version_id
        )
    except PreconditionFailedError:
        raise ChangedObjectError from None
    _refuse_other(head, source, size, len(buffer))
    return head


async def read_version(
    store: ObjectStore, full_key: str, source: TargetEntry, start: int, length: int
) -> GetResult:
    """Read a range of the listed version of an object, which a listing may show without an ETag.

    Raises:
        ChangedObjectError: it is another version now.
        WrongBytesError: the answer has another number of bytes.
        StoreError: it cannot be read.
    """
    try:
        result = await store.get(
            full_key, start=start, length=length, if_match=source.etag, version_id=source.version_id
        )
    except PreconditionFailedError:
        raise ChangedObjectError from None
    _refuse_other(result.head, source, len(result.body), length)
    return result


def _refuse_other(head: HeadResult, source: TargetEntry, received: int, length: int) -> None:
    # An endpoint may not know If-Match: what it sent is looked at as well.
    if head.size != source.size or (source.etag and not same_etag(source.etag, head.etag)):
        raise ChangedObjectError
    if received != length:
        raise WrongBytesError(f"{received} bytes came instead of {length}")


async def checksum_of_version(
    store: ObjectStore, full_key: str, source: TargetEntry
) -> StoredChecksum | None:
    """Return the checksum that the endpoint keeps of the listed version; ``None`` where it can prove nothing.

    Raises:
        ChangedObjectError: it is another version now.
        StoreError: it cannot be asked for.
    """
    head = await head_with_checksum(store, full_key, source.version_id)
    _refuse_other(head, source, 0, 0)
    return await stored_checksum(store, full_key, head, source.version_id)


async def current(store: ObjectStore, full_key: str, source: TargetEntry) -> TargetEntry:
    """Return the object as it is now."""
    head = await store.head(full_key, version_id=source.version_id)
    return source._replace(
        size=head.size, etag=head.etag, last_modified=head.last_modified, storage_class=head.storage_class
    )


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
    """Return the outcome of an object that is a file now.

    A download sets the mtime of its file last, so that a later write shows in the mtime as soon as that is
    older than the writing by what clocks may err.
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
    """Return the outcome of an object whose content the file has already."""
    file = download.replaces
    assert file is not None  # noqa: S101 - only a file has a digest to compare with
    settled = is_settled(file, run.started_ns, by_mtime=run.by_mtime)
    row = run.row(file, md5, source.etag, settled=settled, encoding=encoding)
    return Adopted(row._replace(part_size=part_size), source)


def outcome_of_failure(run: Run, source: TargetEntry, error: Exception) -> Outcome:
    """Return how a download ended that failed; one that filled the disk is the last one of the run.

    Raises:
        AioS3SyncError: nothing else can go on either; see :meth:`~aios3sync.sync.run.Run.outcome_of_error`.
    """
    key = source.key
    match error:
        case StoreError(code=code) if code == ARCHIVED:
            return Archived(key, source.size)
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


async def outcome_of_refusal(run: Run, store: ObjectStore, source: TargetEntry, error: Exception) -> Outcome:
    """Return how a download ended that failed; an object that proved to be in an archive is asked for.

    Raises:
        AioS3SyncError: see :func:`outcome_of_failure`.
    """
    if run.options.restore and isinstance(error, StoreError) and error.code == ARCHIVED:
        asked = await ask_for(run, store, source)
        if asked is not None:
            return asked
    return outcome_of_failure(run, source, error)


def _full(run: Run, key: str, error: OSError) -> NotDone:
    """End all downloads: no other file can be written either."""
    if run.refusals.end(f"the disk is full ({error.strerror})"):
        run.builder.aborted = (
            f"the disk is full: {escape_undecodable(key)!r} could not be written ({error.strerror}); nothing "
            "more is fetched, and the next run goes on where this one ended"
        )
    return NotDone(key, "cancelled", "download")
