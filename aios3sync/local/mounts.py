"""Which directories are mount points, as the kernel tells it; reads one file of /proc and nothing else.

The device of a directory alone does not tell: a bind mount has that of the file system that it shows.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ("mount_of", "mount_points")

_MOUNT_POINT = 4
"""Field of a line of mountinfo (proc_pid_mountinfo(5)), counted from 0."""


def mount_points() -> frozenset[str]:
    """Return the absolute real paths of all mount points; empty where the system does not tell. Blocks."""
    try:
        table = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return frozenset()
    fields = (line.split(b" ") for line in table.splitlines())
    return frozenset(
        os.fsdecode(_unescaped(line[_MOUNT_POINT])) for line in fields if len(line) > _MOUNT_POINT
    )


def _unescaped(path: bytes) -> bytes:
    """A path of mountinfo, in which white space and backslashes are three octal digits."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), path)


def mount_of(path: str, points: frozenset[str]) -> str:
    """Return the mount point that an absolute real path is at or below; empty where none is known."""
    while path not in points:
        above = os.path.dirname(path)
        if above == path:
            return ""
        path = above
    return path
