"""PartFile: one large file that is written in ranges, in any order, and continued by a later run.

The ranges that are written are noted in a journal next to the temporary file, bound to the ETag of the
object. The journal only says which ranges need not be fetched again: the bytes are checked when the whole
file is verified.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aios3sync.core.local_names import TEMPORARY_PREFIX
from aios3sync.local.write import TreeWriter, has_name, lock, set_mtime, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aios3sync.core.entries import SourceEntry

__all__ = ("PartFile",)

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK: Final = 64 * 1024
_ZEROS: Final = bytes(_BLOCK)
_GLANCE: Final = 16
"""Bytes at the start of a block that are checked first: they are zero in hardly any other block."""
_ATTEMPTS: Final = 10
"""Attempts after which a file of another name is made, if the name leads to another file each time."""


class PartFile:
    """A file that is being downloaded. All methods block; :meth:`write` may be called by several threads.

    Invariant: a range is in the journal only after its bytes were handed to the system. If the process is
    killed, at most some ranges are fetched again. After a power failure noted ranges may be missing; the
    verification of the whole detects that, and :meth:`restart` begins anew.

    Attributes:
        finished: the starts of the written ranges.
    """

    def __init__(self, writer: TreeWriter, key: str, path: str, descriptor: int, journal: int) -> None:
        self._writer = writer
        self._key = key
        self._path = path
        self._descriptor = descriptor
        self._journal = journal
        self._turn = threading.Lock()
        self.finished: set[int] = set()

    @classmethod
    def open(cls, writer: TreeWriter, key: str, size: int, etag: str, range_size: int) -> PartFile:
        """Open the temporary file of an object: the one of an earlier run if it is of the same object.

        Args:
            writer: of the directory.
            key: path below its root.
            size: bytes of the object.
            etag: of the object.
            range_size: bytes of one range, the last one excepted.

        Raises:
            OSError: it cannot be created, or the disk has no space for it.
        """
        facts = json.dumps({"key": key, "size": size, "etag": etag, "range": range_size})
        name = f"{TEMPORARY_PREFIX}{hashlib.sha256(facts.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
        with writer.directories(make=True) as directories:
            parent, last = directories.parent(key)
            path = key[: len(key) - len(last)] + name
            try:
                descriptor = _claimed(parent, f"{name}.part")
                if descriptor < 0:  # another process downloads the same object to the same place
                    path, descriptor = writer.create(directories, key)
                    path = path.removesuffix(".part")
                journal = _opened_journal(parent, f"{path.rpartition('/')[2]}.ranges", descriptor)
            except OSError as error:
                raise OSError(error.errno, error.strerror, key) from None
        part = cls(writer, key, path, descriptor, journal)
        try:
            part._continue(facts, size)
        except OSError as error:
            part.close()
            raise OSError(error.errno, error.strerror, key) from None
        return part

    def _continue(self, facts: str, size: int) -> None:
        content = _read_all(self._journal)
        whole = content[: content.rfind(b"\n") + 1]  # the last line may be cut
        lines = whole.decode("utf-8", "replace").split("\n")
        if lines[0] == facts and os.fstat(self._descriptor).st_size == size:
            os.ftruncate(self._journal, len(whole))  # else the next number would continue the cut one
            self.finished = {int(line) for line in lines[1:] if line.isdecimal()}
            return
        os.ftruncate(self._journal, 0)
        os.ftruncate(self._descriptor, 0)
        os.ftruncate(self._descriptor, size)  # a hole: what is zero need not be written
        os.write(self._journal, f"{facts}\n".encode())

    def restart(self) -> None:
        """Forget all ranges: the file as a whole is wrong."""
        size = os.fstat(self._descriptor).st_size
        first = _read_all(self._journal).split(b"\n", 1)[0]
        os.ftruncate(self._journal, 0)
        os.write(self._journal, first + b"\n")
        os.ftruncate(self._descriptor, 0)
        os.ftruncate(self._descriptor, size)
        self.finished.clear()

    def write(self, start: int, body: bytes | memoryview) -> None:
        """Write one range and note it. Blocks of zeros stay holes.

        Threads take turns: the system lets only one of them write to a file at a time, and threads that wait
        inside the call use processor time that others need for digests.

        Args:
            start: of the range.
            body: its bytes.

        Raises:
            OSError: the disk is full, or another error.
        """
        whole = memoryview(body)
        with self._turn:
            for first, last in _not_zero(whole):
                _write_at(self._descriptor, whole[first:last], start + first)
            os.write(self._journal, b"%d\n" % start)
        self.finished.add(start)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read bytes back for verification; return how many."""
        return os.preadv(self._descriptor, [buffer], offset)

    def commit(self, mtime_ns: int, replaces: SourceEntry | None) -> SourceEntry:
        """Give the file its name, and return its entry.

        Raises:
            ChangedHereError: the file in its place is not ``replaces``.
            OSError: it cannot be renamed, or cannot be written to the disk.
        """
        set_mtime(self._descriptor, mtime_ns)
        if self._writer.fsync:
            os.fsync(self._descriptor)
        with self._writer.directories(make=True) as directories:
            written = self._writer.commit(directories, f"{self._path}.part", self._key, replaces)
            with suppress(OSError):
                parent, name = directories.parent(f"{self._path}.ranges")
                os.unlink(name, dir_fd=parent)
        return written

    def commit_other(
        self, content: Iterable[bytes], mtime_ns: int, replaces: SourceEntry | None
    ) -> SourceEntry:
        """Write what was made from these bytes, such as their decompressed content, and give it the name.

        Raises:
            ChangedHereError: the file in its place is not ``replaces``.
            OSError: the disk is full, or another error.
        """
        writer = self._writer
        with writer.directories(make=True) as directories:
            path, descriptor = writer.create(directories, self._key)
            try:
                for piece in content:
                    write_all(descriptor, piece)
                set_mtime(descriptor, mtime_ns)
                if writer.fsync:
                    os.fsync(descriptor)
                written = writer.commit(directories, path, self._key, replaces)
            except BaseException:
                writer.discard(directories, path)
                raise
            finally:
                os.close(descriptor)
        self.discard()
        return written

    def discard(self) -> None:
        """Remove the file and its journal: the object changed, or its bytes are wrong."""
        with self._writer.directories(make=False) as directories:
            for suffix in (".part", ".ranges"):
                self._writer.discard(directories, f"{self._path}{suffix}")

    def close(self) -> None:
        """Close it; an uncommitted file stays for a later run. Idempotent."""
        for descriptor in (self._descriptor, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._journal = -1


def _claimed(parent: int, name: str) -> int:
    """Open and lock the temporary file of this name, made if missing; -1 where another process has it.

    Invariant: the returned file has this name and no other. The process that had it locked may have committed
    it before it released the lock, or may have been killed between link(2) and unlink(2): the opened file is
    then also the finished file, perhaps changed since, and must not be written.
    """
    for _ in range(_ATTEMPTS):
        descriptor = os.open(name, _FLAGS, 0o666, dir_fd=parent)
        try:
            if not lock(descriptor):
                break
            if has_name(descriptor, parent, name):
                if os.fstat(descriptor).st_nlink <= 1:
                    claimed, descriptor = descriptor, -1
                    return claimed
                os.unlink(name, dir_fd=parent)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    return -1


def _opened_journal(parent: int, name: str, part: int) -> int:
    """Open the journal of a file; ``part``, the descriptor of the file, is closed if that fails."""
    try:
        return os.open(name, _FLAGS | os.O_APPEND, 0o600, dir_fd=parent)
    except OSError:
        os.close(part)
        raise


def _read_all(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _not_zero(piece: memoryview) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the data between blocks of zeros."""
    first = 0
    for offset in range(0, len(piece), _BLOCK):
        if piece[offset : offset + _GLANCE] == _ZEROS[:_GLANCE]:
            block = bytes(piece[offset : offset + _BLOCK])
            if block == _ZEROS[: len(block)]:
                if first < offset:
                    yield first, offset
                first = offset + _BLOCK
    if first < len(piece):
        yield first, len(piece)


def _write_at(descriptor: int, block: memoryview, offset: int) -> None:
    while block:
        written = os.pwrite(descriptor, block, offset)
        block, offset = block[written:], offset + written
