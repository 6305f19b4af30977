"""Hashes many small files in several processes, for a run that has no threads.

Each process is a copy of the caller, made by fork(2): it starts at once, as nothing has to be loaded, and may
do nothing but read files. What it finds goes through memory that all of them share.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final, NoReturn
from aios3sync.core.entries import SourceEntry

__all__ = ("HashedFile", "hash_files")

_RECORD: Final = struct.Struct("=16sq")

Reader = Callable[[SourceEntry], tuple[bytes, int] | None]


class HashedFile(NamedTuple):
    """A file that was hashed: its MD5, and when its reading began (ns)."""

    md5: bytes
    started_ns: int


def hash_files(
    read: Reader, entries: Sequence[SourceEntry], processes: int, until: float
) -> Iterator[HashedFile | None]:
    """Yield the digests of files in the order of the entries, when all of them are hashed. Blocks.

    The process must have no threads: another one might hold a lock while it is copied, which the copy could
    never acquire.

    Args:
        read: returns a file and when its reading began (ns), ``None`` if it is another one; it may raise
            OSError.
        entries: the files.
        processes: how many share the work; 1 for this one alone.
        until: time of the monotonic clock at which they stop.

    Yields:
        A digest, or ``None`` for a file that could not be read as it was, or was not reached in time.
    """
    share = -(-len(entries) // processes) if entries else 0
    with mmap.mmap(-1, max(1, len(entries) * _RECORD.size)) as shared:
        children: list[int] = []
        try:
            for number in range(1, processes):
                if (child := os.fork()) == 0:
                    _hash_and_exit(read, entries, range(number * share, (number + 1) * share), until, shared)
                children.append(child)
            _hash(read, entries, range(share), until, shared)
        except BaseException:
            for child in children:
                os.kill(child, signal.SIGKILL)
            raise
        finally:
            for child in children:
                with suppress(ChildProcessError):  # where the caller ignores SIGCHLD
                    os.waitpid(child, 0)
        for place in range(len(entries)):
            md5, started_ns = _RECORD.unpack_from(shared, place * _RECORD.size)
            yield HashedFile(md5, started_ns) if started_ns else None


def _hash(
    read: Reader, entries: Sequence[SourceEntry], places: range, until: float, shared: mmap.mmap
) -> None:
    for place in places:
        if place >= len(entries) or time.monotonic() > until:  # the last share may be a smaller one
            return
        with suppress(OSError):
            if (found := read(entries[place])) is not None:
                md5 = hashlib.md5(found[0], usedforsecurity=False).digest()
                _RECORD.pack_into(shared, place * _RECORD.size, md5, found[1])


def _hash_and_exit(
    read: Reader, entries: Sequence[SourceEntry], places: range, until: float, shared: mmap.mmap
) -> NoReturn:
    """Do a share of the work and end the process, without anything that a copy must not do."""
    try:
        _hash(read, entries, places, until, shared)
    finally:
        os._exit(0)
