"""Reads small files whole, each as it was at one moment; imports only the standard library.

A file is opened once, and its stat is taken before and after the reading: a file that changed while it was
read is read again (C1), after a short read as well (C18). Upload processes use this module and have to start
quickly, so it imports nothing slow.
"""

from __future__ import annotations

import hashlib
import os
import resource
import stat
import time
from collections.abc import Sequence

from aios3sync._typing import Final
from aios3sync.core.digests import fed
from aios3sync.local.beneath import open_beneath

__all__ = (
    "ATTEMPTS",
    "READING",
    "FileRead",
    "Place",
    "ReadFailure",
    "ReadResult",
    "WholeFile",
    "open_place",
    "path_of",
    "place_of",
    "read_files",
    "read_same",
    "refuse_irregular",
)

ATTEMPTS: Final = 3
"""How often the reading of a file that changes meanwhile is tried."""
READING: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags of opening a file: a FIFO that has replaced it does not block."""

_SLOW_FILE: Final = 0.002
"""Seconds for opening and reading a small file, above which its storage counts as slow, as on a network."""
_COUNTS_BLOCKS: Final = hasattr(resource, "RUSAGE_THREAD")

Place = str | tuple[str, str, bool]
"""Where a file is: its path; or the source, the key, and whether links that stay in the source are followed.
A plain value, which can be sent through a pipe."""
WholeFile = tuple[bytes, bytes, str, int, int, int, int, int]
"""A file: bytes, MD5, SHA-256 in hexadecimal, size, mtime, ctime (ns), inode, start of the reading (ns)."""
ReadFailure = tuple[int | None, str]
"""Why a file could not be read: ``errno`` and message."""
FileRead = WholeFile | ReadFailure | Exception | None
"""``None`` for a file that changed at every attempt; an exception for others than failed system calls."""
ReadResult = FileRead | int
"""A number is the size of a file that has outgrown its limit."""


def place_of(root: str, key: str, symlinks: str) -> Place:
    """Return where the file of a key is; ``symlinks`` is ``follow``, ``skip`` or ``inside``."""
    return f"{root}/{key}" if symlinks == "follow" else (root, key, symlinks == "inside")


def path_of(place: Place) -> str:
    """Return the path of a place."""
    return place if isinstance(place, str) else f"{place[0]}/{place[1]}"


def open_place(place: Place) -> int:
    """Open a file for reading and return its descriptor; never blocks on a FIFO.

    Raises:
        OSError: it cannot be opened, or its path contains a link that must not be followed.
    """
    if isinstance(place, str):
        return os.open(place, READING)
    root, key, inside = place
    return open_beneath(root, key, READING, inside=inside)


def read_files(places: Sequence[Place], rooms: Sequence[int]) -> tuple[list[ReadResult], bool]:
    """Read files one after the other. Blocks.

    Args:
        places: of the files.
        rooms: bytes that each may have; a file that has become larger is not read.

    Returns:
        A result for each file, and whether the reads waited for the storage.
    """
    began, blocks = time.monotonic(), _blocks_read()
    read = list(map(_read_one, places, rooms))
    slow = time.monotonic() - began > _SLOW_FILE * len(places)
    return read, slow or _blocks_read() > blocks


def _blocks_read() -> int:
    """Return how many blocks this thread has read from devices; 0 on systems that do not count them."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock if _COUNTS_BLOCKS else 0


def _read_one(place: Place, room: int) -> ReadResult:
    try:
        return _read_whole(place, room)
    except OSError as error:
        return error.errno, error.strerror or str(error)
    except Exception as error:  # noqa: BLE001 - an error of this file alone; the others of the chunk are read
        return error


def _read_whole(place: Place, room: int) -> WholeFile | int | None:
    for _ in range(ATTEMPTS):
        started = time.time_ns()
        descriptor = open_place(place)
        try:
            before = os.fstat(descriptor)
            refuse_irregular(before, path_of(place))
            if before.st_size > room:
                return before.st_size
            body = _read_all(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        size, moment, change, inode = before.st_size, before.st_mtime_ns, before.st_ctime_ns, before.st_ino
        if len(body) == size == after.st_size and (moment, change, inode) == (
            after.st_mtime_ns,
            after.st_ctime_ns,
            after.st_ino,
        ):
            md5 = fed(hashlib.md5(usedforsecurity=False), body).digest()
            sha256 = fed(hashlib.sha256(), body).hexdigest()
            return body, md5, sha256, size, moment, change, inode, started
    return None


def read_same(place: Place, stat_then: tuple[int, int, int, int]) -> tuple[bytes, int] | None:
    """Return a file and when its reading began (ns), or ``None`` if it has changed since an earlier stat.

    Args:
        place: of the file.
        stat_then: its size, mtime and ctime (ns) and inode. That stat was taken before the reading, so one
            after it is enough to know that nothing changed in between.

    Raises:
        OSError: it cannot be read.
    """
    started = time.time_ns()
    descriptor = open_place(place)
    try:
        body = os.read(descriptor, stat_then[0] + 1)
        now = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    found = (len(body), now.st_mtime_ns, now.st_ctime_ns, now.st_ino)
    return (body, started) if found == stat_then and now.st_size == stat_then[0] else None


def refuse_irregular(found: os.stat_result, path: str) -> None:
    """Raise OSError unless it is a regular file."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "is no longer a regular file", path)


def _read_all(descriptor: int, size: int) -> bytes:
    """Return all bytes up to one more than ``size``, so that a file that grew is noticed."""
    first = os.read(descriptor, size + 1)
    if len(first) in (size, size + 1):
        return first
    pieces = [first]
    while pieces[-1] and sum(map(len, pieces)) <= size:
        pieces.append(os.read(descriptor, size + 1))
    return b"".join(pieces)
