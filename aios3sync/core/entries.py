"""The entries of the three sides: a file of the source, a row of the manifest, an object of the target.

Pure values. They are named tuples because a sync makes millions of them: one costs a third of a frozen
dataclass. Keys are relative to the target's prefix unless a docstring says "full key".
"""

from __future__ import annotations

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Generic, Literal, TypeVar

__all__ = (
    "Problem",
    "ProblemKind",
    "RecordedEntry",
    "Restore",
    "ScanBatch",
    "SourceEntry",
    "TargetEntry",
)

E = TypeVar("E")

Restore = Literal["", "ongoing", "done"]

ProblemKind = Literal["unreadable", "skipped", "vanished", "hidden", "same name"]


class SourceEntry(NamedTuple):
    """One file of the source, as the walk saw it.

    Attributes:
        key: path below the source root with ``/`` between the parts.
        size: bytes.
        mtime_ns, ctime_ns: nanoseconds since the epoch.
        inode: the file's number, 0 where the source has none.
    """

    key: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Problem(NamedTuple):
    """A place of the source that could not, or must not, be seen.

    Attributes:
        path: relative, with ``/``; may hold surrogate escapes.
        kind: ``unreadable`` (or without a key) is a failure, ``skipped`` a warning, ``vanished`` was there a
            moment ago, ``hidden`` is hidden by the options and is not reported, ``same name`` is another name
            to the filesystem that it would be written to.
        error: one line.
        elsewhere: the run of another key range reports it as well; it counts there.
    """

    path: str
    kind: ProblemKind
    error: str
    elsewhere: bool = False


class ScanBatch(NamedTuple, Generic[E]):
    """The entries and problems that a source met since the batch before; entries ascend."""

    entries: list[E]
    problems: list[Problem]


class RecordedEntry(NamedTuple):
    """One row of the manifest: an object that we uploaded or adopted, and the file that it came from.

    Attributes:
        key, size, mtime_ns, ctime_ns, inode: the file as of its hashing; the first five fields equal
            those of :class:`SourceEntry`, so that two slices compare.
        md5: hex digest of the original content (before gzip); empty where the ETag proves the content: it is
            computed from the MD5s of its parts, of ``part_size`` bytes each.
        etag: as the endpoint returned it, without quotes; empty where it is not known.
        part_size: bytes of a part of a multipart upload, 0 for a single put.
        encoding: ``gzip`` or empty.
        settled: False when the file was so young at its hashing that a later write may leave the
            same stat (the racy-clean rule of git); such a row is hashed again.
        uploaded_at: seconds since the epoch.
        run: number of the run that wrote the row.
        headers: a short digest of the headers that it was stored with; empty where they are not known (rows
            of older versions, objects that were found in the target).
        sha256: hex digest of the original content; empty where no receipt was asked for yet.
    """

    key: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    md5: str
    etag: str
    part_size: int = 0
    encoding: str = ""
    settled: bool = True
    uploaded_at: float = 0.0
    run: int = 0
    headers: str = ""
    sha256: str = ""

    def with_stat(self, source: SourceEntry, *, settled: bool, run: int) -> RecordedEntry:
        """Return the row for a file of the same content that has another stat now.

        Args:
            source: the file.
            settled: whether its stat can be trusted.
            run: number of the run that writes the row.
        """
        size, mtime_ns, ctime_ns, inode = source[1:]
        return self._replace(
            size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, inode=inode, settled=settled, run=run
        )


class TargetEntry(NamedTuple):
    """One object of the target, as a listing shows it.

    Attributes:
        key: relative to the prefix, or the full key where it comes straight from a store.
        size: bytes as stored.
        etag: without quotes.
        last_modified: seconds since the epoch; listings of different servers differ below a second.
        storage_class: empty where the listing has none.
        version_id: of an object of another time than now, else empty.
        restore: of an archived object: ``ongoing`` while it is restored, ``done`` while it can be read; empty
            where it is not, or where that was not asked for.
    """

    key: str
    size: int
    etag: str
    last_modified: float = 0.0
    storage_class: str = ""
    version_id: str = ""
    restore: Restore = ""
