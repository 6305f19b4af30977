"""Reads small files whole, each as it was at one moment; changes nothing, needs the standard library alone.

A file is opened once, its stat taken before and after, and what was read in between is what counts: a file
that moved while it was read is read again (C1), a short read as well (C18). Couriers do this in processes
of their own, which have to start quickly: therefore nothing is imported here that takes long.
"""

from __future__ import annotations

import hashlib
import os
import resource
import stat
import time
from collections.abc import Sequence
from typing import Final

from aios3sync.core.digests import fed

__all__ = (
    "ATTEMPTS",
    "READING",
    "Answer",
    "Failure",
    "Found",
    "read_files",
    "read_same",
    "refuse_irregular",
)

ATTEMPTS: Final = 3
"""How often a file that changes under our eyes is read before it is given up."""
READING: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""How files are opened: a FIFO that took the place of one does not block."""

_SLOW_FILE: Final = 0.002
"""Seconds for opening and reading a small file, above which its storage is far away."""
_TELLS_BLOCKS: Final = hasattr(resource, "RUSAGE_THREAD")

Found = tuple[bytes, bytes, str, int, int, int, int, int]
"""A file: bytes, MD5, SHA-256 in hexadecimal, size, mtime, ctime (ns), inode, start of the reading (ns)."""
Failure = tuple[int | None, str]
"""Why a file could not be read: ``errno`` and text."""
Answer = Found | Failure | Exception | None
"""``None`` is a file that changed at every attempt, an exception is anything but a failed system call."""


def read_files(paths: Sequence[str]) -> tuple[list[Answer], bool]:
    """Read files one after the other, and tell whether the storage was waited for. Blocks."""
    began, blocks = time.monotonic(), _blocks_read()
    read = [_answer(path) for path in paths]
    slow = time.monotonic() - began > _SLOW_FILE * len(paths)
    return read, slow or _blocks_read() > blocks


def _blocks_read() -> int:
    """How often this thread had to ask a device; on systems that do not tell, never."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock if _TELLS_BLOCKS else 0


def _answer(path: str) -> Answer:
    try:
        return _read_whole(path)
    except OSError as error:
        return error.errno, error.strerror or str(error)
    except Exception as error:  # noqa: BLE001 - of this file alone; the others of the chunk are read
        return error


def _read_whole(path: str) -> Found | None:
    for _ in range(ATTEMPTS):
        started = time.time_ns()
        descriptor = os.open(path, READING)
        try:
            before = os.fstat(descriptor)
            refuse_irregular(before, path)
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


def read_same(path: str, stat_then: tuple[int, int, int, int]) -> tuple[bytes, int] | None:
    """A file that is as it was at an earlier stat, ``None`` if it is not; and when its reading began (ns).

    Args:
        path: where it is.
        stat_then: its size, mtime and ctime (ns) and inode. That stat is the one before, so one after the
            reading is all that is needed to know that nothing moved in between.

    Raises:
        OSError: it cannot be read.
    """
    started = time.time_ns()
    descriptor = os.open(path, READING)
    try:
        body = os.read(descriptor, stat_then[0] + 1)
        now = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    found = (len(body), now.st_mtime_ns, now.st_ctime_ns, now.st_ino)
    return (body, started) if found == stat_then and now.st_size == stat_then[0] else None


def refuse_irregular(found: os.stat_result, path: str) -> None:
    """Raise OSError for what is no regular file."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "is no longer a regular file", path)


def _read_all(descriptor: int, size: int) -> bytes:
    """All bytes up to one more than ``size``, which tells a file that grew."""
    first = os.read(descriptor, size + 1)
    if len(first) in (size, size + 1):
        return first
    pieces = [first]
    while pieces[-1] and sum(map(len, pieces)) <= size:
        pieces.append(os.read(descriptor, size + 1))
    return b"".join(pieces)
