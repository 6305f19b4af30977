"""Hashes files; opens them for reading and does nothing else to them.

A file is opened once, and its stat is taken before and after the reading: a file that changed while it was
read raises :class:`ChangedError` (C1), a short read as well (C18).
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

from aios3sync._dataclass import dataclass, field
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import multipart_etag
from aios3sync.local.read import ATTEMPTS, FileRead, Place, open_place, path_of, refuse_irregular

__all__ = (
    "CHUNK",
    "ChangedError",
    "FileDigest",
    "SmallFile",
    "descriptor_of",
    "digest_file",
    "entry_of",
    "is_settled",
    "open_regular",
    "small_file",
)

CHUNK: Final = 1024 * 1024
SETTLING_NS: Final = 2_000_000_000
"""With coarse clocks and NFS, a ctime younger than this at the hashing may hide a later write."""

T = TypeVar("T")


class ChangedError(Exception):
    """The file changed while it was read or sent."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key}: changed while it was read")


class SmallFile(NamedTuple):
    """A whole file in memory, with the digest of exactly these bytes.

    Attributes:
        entry: the file as of the reading.
        body: its bytes.
        md5: digest, 16 bytes.
        sha256: digest, in hexadecimal digits.
        settled: whether the stat can be trusted later, see :func:`is_settled`.
    """

    entry: SourceEntry
    body: bytes
    md5: bytes
    sha256: str
    settled: bool


@dataclass(frozen=True, slots=True)
class FileDigest:
    """The digest of a file that stays on disk, and its multipart ETags for some part sizes."""

    entry: SourceEntry
    md5: str
    settled: bool
    part_etags: dict[int, str] = field(default_factory=dict)


def is_settled(entry: SourceEntry, started_ns: int, *, by_mtime: bool = False) -> bool:
    """Return whether the stat of a file can be trusted later: the racy-clean rule of git.

    The file's ctime must be at least 2 s older than the start of its hashing. ``by_mtime`` uses the mtime,
    where the ctime is not part of the stat. A time in the future is never settled.
    (https://git-scm.com/docs/racy-git)
    """
    changed = entry.mtime_ns if by_mtime else entry.ctime_ns
    return changed <= started_ns - SETTLING_NS


def entry_of(key: str, result: os.stat_result) -> SourceEntry:
    """Return a stat as an entry."""
    return SourceEntry(key, result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino)


@contextmanager
def open_regular(place: Place) -> Iterator[int]:
    """Yield a descriptor for reading; never blocks on a FIFO that took the place of a file.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = descriptor_of(place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def descriptor_of(place: Place) -> int:
    """Return a descriptor for reading, for the caller to close; never blocks on a FIFO.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = open_place(place)
    try:
        refuse_irregular(os.fstat(descriptor), path_of(place))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def small_file(path: str, key: str, result: FileRead, *, by_mtime: bool = False) -> SmallFile:
    """Return the file that :func:`~aios3sync.local.read.read_files` has read, or raise its error.

    Raises:
        OSError: it cannot be read.
        ChangedError: it changed at every attempt.
        Exception: any other error of its reading.
    """
    if result is None:
        raise ChangedError(key)
    if isinstance(result, Exception):
        raise result
    if len(result) == 2:
        raise OSError(*result, path)
    body, md5, sha256, size, mtime_ns, ctime_ns, inode, started = result
    entry = SourceEntry(key, size, mtime_ns, ctime_ns, inode)
    return SmallFile(entry, body, md5, sha256, is_settled(entry, started, by_mtime=by_mtime))


def digest_file(
    place: Place,
    key: str,
    stop: threading.Event,
    *,
    part_sizes: Sequence[int] = (),
    by_mtime: bool = False,
) -> FileDigest:
    """Hash a file of any size in one pass, in chunks. Blocks: call it through :func:`in_thread`.

    Args:
        place: where it is.
        key: its name in errors and in the entry.
        stop: set to make it give up between two chunks.
        part_sizes: also compute the multipart ETag for each of these part sizes (bytes).
        by_mtime: see :func:`is_settled`.

    Raises:
        OSError: it cannot be read.
        ChangedError: it changed at every attempt, or ``stop`` was set.
    """
    for _ in range(ATTEMPTS):
        started = time.time_ns()
        with open_regular(place) as descriptor:
            before = entry_of(key, os.fstat(descriptor))
            # One buffer for all: the pages of a new one would cost as much as reading into it.
            buffer = bytearray(min(CHUNK, before.size + 1))
            whole = hashlib.md5(usedforsecurity=False)
            parts = {size: _PartDigests(size) for size in part_sizes}
            read = 0
            while not stop.is_set() and (count := os.readv(descriptor, [buffer])):
                chunk = memoryview(buffer)[:count]
                whole.update(chunk)
                for part in parts.values():
                    part.update(chunk)
                read += count
            after = entry_of(key, os.fstat(descriptor))
        if stop.is_set():
            break
        if before == after and read == before.size:
            etags = {size: part.etag() for size, part in parts.items()}
            return FileDigest(
                before, whole.hexdigest(), is_settled(before, started, by_mtime=by_mtime), etags
            )
    raise ChangedError(key)


class _PartDigests:
    """Cuts a stream of chunks at part borders and digests each part."""

    def __init__(self, part_size: int) -> None:
        self._part_size = part_size
        self._digests: list[bytes] = []
        self._current = hashlib.md5(usedforsecurity=False)
        self._filled = 0

    def update(self, chunk: memoryview) -> None:
        rest = chunk
        while rest:
            piece = rest[: self._part_size - self._filled]
            self._current.update(piece)
            self._filled += len(piece)
            rest = rest[len(piece) :]
            if self._filled == self._part_size:
                self._finish()

    def _finish(self) -> None:
        self._digests.append(self._current.digest())
        self._current = hashlib.md5(usedforsecurity=False)
        self._filled = 0

    def etag(self) -> str:
        """Return the ETag; called once, at the end."""
        if self._filled or not self._digests:
            self._finish()
        return multipart_etag(self._digests)
