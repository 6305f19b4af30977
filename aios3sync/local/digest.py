"""Hashes files, which are only opened for reading.

A file is opened once, and its stat is taken before and after the reading: a file that changed while it was
read raises :class:`ChangedError` (C1), a short read as well (C18).
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Final, Protocol, TypeVar
from aios3sync.concurrency import CORES
from aios3sync.core.digests import PartDigests, fed
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import multipart_etag
from aios3sync.core.parts import plan_parts
from aios3sync.local.read import ATTEMPTS, FileRead, Place, open_place, path_of, refuse_irregular

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = (
    "CHUNK",
    "ChangedError",
    "FileDigest",
    "SmallFile",
    "descriptor_of",
    "digest_file",
    "digest_parts",
    "entry_of",
    "is_settled",
    "open_regular",
    "small_file",
)

CHUNK: Final = 1024 * 1024
_AT_ONCE: Final = 128 * 1024
"""Bytes of a file up to which it is hashed in one read: buffers and threads cost more than its digest."""
_PIECE: Final = 256 * 1024
"""Bytes that are read and hashed while they are in the cache of a core."""
_MAX_LAG_CHUNKS: Final = 8
"""Chunks by which the hashing of parts may lag: threads that wait for each other at each one lose a third."""
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
    """The digest of a file on disk, and those of its parts for some part sizes.

    ``md5`` is empty where only the parts were hashed, ``sha256`` where it was not requested.
    """

    entry: SourceEntry
    md5: str
    settled: bool
    parts: Mapping[int, Sequence[bytes]] = field(default_factory=dict)
    sha256: str = ""

    @property
    def part_etags(self) -> dict[int, str]:
        """The multipart ETags by part size."""
        return {size: multipart_etag(digests) for size, digests in self.parts.items()}


def is_settled(entry: SourceEntry, started_ns: int, *, by_mtime: bool = False) -> bool:
    """Return whether the stat of a file can be trusted later: the racy-clean rule of git.

    The file's ctime must be at least 2 s older than the start of its hashing. ``by_mtime`` uses the mtime,
    where the ctime is not part of the stat. A file with a time in the future is never settled.
    (https://git-scm.com/docs/racy-git)
    """
    changed = entry.mtime_ns if by_mtime else entry.ctime_ns
    return changed <= started_ns - SETTLING_NS


def entry_of(key: str, result: os.stat_result) -> SourceEntry:
    """Return a stat as an entry."""
    return SourceEntry(key, result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino)


@contextmanager
def open_regular(place: Place) -> Iterator[int]:
    """Yield a descriptor for reading; never blocks on a FIFO that has replaced a file.

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
        Exception: any other error of reading it.
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
    sha256: bool = False,
) -> FileDigest:
    """Hash a file of any size in one pass, in chunks. Blocks: call it through :func:`in_thread`.

    Args:
        place: of the file.
        key: its name in errors and in the entry.
        stop: ends it between two chunks when it is set.
        part_sizes: also hash the parts of each of these sizes (bytes), in a second thread.
        by_mtime: see :func:`is_settled`.
        sha256: compute its SHA-256 as well, in the second thread.

    Raises:
        OSError: it cannot be read.
        ChangedError: it changed at every attempt, or ``stop`` was set.
    """
    if not part_sizes and not stop.is_set():
        digest = _digest_at_once(place, key, by_mtime=by_mtime, sha256=sha256)
        if digest is not None:
            return digest

    def hash_open(descriptor: int, size: int) -> _Hashed | None:
        digests = _Digests(part_sizes, sha256=sha256)
        _hash_chunks(descriptor, size, digests, stop)
        if digests.size != size:
            return None
        return _Hashed(digests.whole.hexdigest(), digests.parts(), digests.sha256())

    return _hash_unchanged(place, key, stop, hash_open, by_mtime=by_mtime)


def digest_parts(
    place: Place, key: str, stop: threading.Event, part_size: int, *, by_mtime: bool = False
) -> FileDigest:
    """Hash the parts of a file, as many at once as there are cores, and not the whole. Blocks.

    Arguments and errors are those of :func:`digest_file`.
    """

    def hash_open(descriptor: int, size: int) -> _Hashed | None:
        digests = _hash_parts(descriptor, size, part_size, stop)
        return _Hashed("", {part_size: digests}, "") if all(digests) else None

    return _hash_unchanged(place, key, stop, hash_open, by_mtime=by_mtime)


class _Hashed(NamedTuple):
    """The digests of an open file, see :class:`FileDigest`."""

    md5: str
    parts: dict[int, list[bytes]]
    sha256: str


def _hash_unchanged(
    place: Place,
    key: str,
    stop: threading.Event,
    hash_open: Callable[[int, int], _Hashed | None],
    *,
    by_mtime: bool,
) -> FileDigest:
    """Hash a file as it is at one moment: again if it changes meanwhile.

    ``hash_open`` takes the descriptor and the size of the file, and returns ``None`` where it ends early.
    Other arguments, and errors, are those of :func:`digest_file`.
    """
    for _ in range(ATTEMPTS):
        started = time.time_ns()
        with open_regular(place) as descriptor:
            before = entry_of(key, os.fstat(descriptor))
            hashed = hash_open(descriptor, before.size)
            after = entry_of(key, os.fstat(descriptor))
        if stop.is_set():
            break
        if hashed is not None and before == after:
            settled = is_settled(before, started, by_mtime=by_mtime)
            return FileDigest(before, hashed.md5, settled, hashed.parts, hashed.sha256)
    raise ChangedError(key)


def _hash_parts(descriptor: int, size: int, part_size: int, stop: threading.Event) -> list[bytes]:
    """Return the digests of the parts; an empty one where the file ends before its part, or after a stop."""
    digests = [b""] * max(1, -(-size // part_size))
    left = iter(plan_parts(size, part_size))
    turn = threading.Lock()

    def work() -> None:
        buffer = memoryview(bytearray(min(_PIECE, max(1, size))))
        while not stop.is_set():
            with turn:
                part = next(left, None)
            if part is None:
                return
            digests[part.number - 1] = _md5_of_range(descriptor, part.offset, part.length, buffer, stop)

    from concurrent.futures import ThreadPoolExecutor  # logging and more, for large files alone

    count = min(CORES, len(digests))
    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(work) for _ in range(count)]:
            done.result()
    return digests


def _md5_of_range(
    descriptor: int, offset: int, length: int, buffer: memoryview, stop: threading.Event
) -> bytes:
    digest, end = hashlib.md5(usedforsecurity=False), offset + length
    while offset < end and not stop.is_set():
        count = os.preadv(descriptor, [buffer[: end - offset]], offset)
        if not count:
            return b""
        digest.update(buffer[:count])
        offset += count
    return digest.digest()


def _digest_at_once(place: Place, key: str, *, by_mtime: bool, sha256: bool) -> FileDigest | None:
    """Hash a small file in one read; return ``None`` for a larger one, or if it changed meanwhile.

    Raises:
        OSError: it cannot be read.
    """
    started = time.time_ns()
    descriptor = open_place(place)
    try:
        found = os.fstat(descriptor)
        refuse_irregular(found, path_of(place))
        if found.st_size > _AT_ONCE:
            return None
        body = os.read(descriptor, found.st_size + 1)  # one more, so that a file that grew is noticed
        after = entry_of(key, os.fstat(descriptor))
    finally:
        os.close(descriptor)
    before = entry_of(key, found)
    if before != after or len(body) != before.size:
        return None
    md5 = fed(hashlib.md5(usedforsecurity=False), body).hexdigest()
    other = fed(hashlib.sha256(), body).hexdigest() if sha256 else ""
    return FileDigest(before, md5, is_settled(before, started, by_mtime=by_mtime), sha256=other)


def _hash_chunks(descriptor: int, size: int, digests: _Digests, stop: threading.Event) -> None:
    """Read a file to its end and hash it; a second thread hashes the parts, some chunks later."""
    # The same buffers for all: the pages of new ones would cost as much as reading into them.
    buffers = deque([memoryview(bytearray(min(CHUNK, size + 1)))])
    hashing: deque[tuple[Future[None], memoryview]] = deque()
    from concurrent.futures import ThreadPoolExecutor  # logging and more, for large files alone

    with ThreadPoolExecutor(1) as second:
        while not stop.is_set():
            buffer = buffers.popleft()
            count = os.readv(descriptor, [buffer[: digests.room()]])
            if not count:
                break
            of_second = digests.of_second_thread()
            if of_second:
                hashing.append((second.submit(_update_all, of_second, buffer[:count]), buffer))
            else:
                buffers.append(buffer)
            digests.update(buffer[:count])
            if len(hashing) == _MAX_LAG_CHUNKS:
                hashed, buffer = hashing.popleft()
                hashed.result()
                buffers.append(buffer)
            elif not buffers:
                buffers.append(memoryview(bytearray(CHUNK)))
        for hashed, _ in hashing:
            hashed.result()


def _update_all(digests: Sequence[_Updatable], chunk: memoryview) -> None:
    for digest in digests:
        digest.update(chunk)


class _Updatable(Protocol):
    def update(self, chunk: memoryview, /) -> None: ...


class _Digests:
    """The MD5 of a file, and those of its parts for some part sizes.

    Up to the end of the first part, its digest is that of the file, so it is not hashed twice: a PartDigests
    begins with the second part.

    Attributes:
        whole: digest of all bytes so far.
        size: number of bytes so far.
    """

    def __init__(self, part_sizes: Sequence[int], *, sha256: bool) -> None:
        self.whole = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if sha256 else None
        self.size = 0
        self._parts = [PartDigests(size) for size in part_sizes]

    def room(self) -> int:
        """Return how many bytes the next chunk may have, so that no first part ends within it."""
        return min((part.size - self.size for part in self._parts if part.size > self.size), default=CHUNK)

    def of_second_thread(self) -> list[_Updatable]:
        """Return the other digests for the next chunk, except those of first parts."""
        parts: list[_Updatable] = [part for part in self._parts if part.size <= self.size]
        return parts if self._sha256 is None else [*parts, self._sha256]

    def sha256(self) -> str:
        """Return the SHA-256 of all bytes; empty where it was not requested."""
        return "" if self._sha256 is None else self._sha256.hexdigest()

    def update(self, chunk: memoryview) -> None:
        """Hash the next chunk as part of the whole."""
        self.whole.update(chunk)
        self.size += len(chunk)
        for part in self._parts:
            if part.size == self.size:
                part.digests.append(self.whole.digest())

    def parts(self) -> dict[int, list[bytes]]:
        """Return the digests of the parts by part size; called once, at the end of the file."""
        for part in self._parts:
            if not part.digests:  # all of the file is less than one part
                part.digests.append(self.whole.digest())
        return {part.size: part.finish() for part in self._parts}
