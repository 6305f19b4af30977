"""Finds mount points, and detects mounts that are missing now.

The device of a directory alone does not show a mount: a bind mount has the device of its file system. So the
mount points are read from ``/proc``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from aios3sync._lazy import lazy_pattern
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final

__all__ = ("DirectoryIdentity", "MountTracker", "mount_of", "mount_points")

_OCTAL: Final = lazy_pattern(rb"\\([0-7]{3})")
_MOUNT_POINT = 4
"""Field of a line of mountinfo (proc_pid_mountinfo(5)), counted from 0."""


class DirectoryIdentity(NamedTuple):
    """The identity of a directory, whatever path leads to it.

    Attributes:
        device, inode: of its stat.
        real: its path without symbolic links.
        mount: the mount point at or above it; empty where the system does not say.
    """

    device: int
    inode: int
    real: str
    mount: str

    def is_apart(self, above: DirectoryIdentity) -> bool:
        """Return whether it is on another mount than the directory from which it is reached."""
        return self.device != above.device or self.mount != above.mount


class MountTracker:
    """Notes the mounts that one walk meets. Its creation blocks: it reads the mount points.

    Args:
        known: directories (ending in ``/``) that were mount points in an earlier walk.
        mounts: receives the current mounts, and the known ones that are missing.
    """

    def __init__(self, known: frozenset[str], mounts: set[str]) -> None:
        self._known = known
        self._mounts = mounts
        self._points = mount_points()
        self._met: dict[str, DirectoryIdentity] = {}

    def identify(self, found: os.stat_result, real: str) -> DirectoryIdentity:
        """Return the identity of a directory with this stat and this path without symbolic links."""
        return DirectoryIdentity(found.st_dev, found.st_ino, real, mount_of(real, self._points))

    def is_missing(self, key: str, at: DirectoryIdentity, above: DirectoryIdentity) -> bool:
        """Return whether a directory was a mount point before but is none now; note it if it is one."""
        if at.is_apart(above):
            self._mounts.add(key)
            self._met[key] = at
            return False
        return key in self._known

    def miss(self, key: str) -> None:
        """Note a missing mount.

        It stays among the mounts: otherwise, after one run without it, the next run would delete what is
        below.
        """
        self._mounts.add(key)

    def went_away(self, path_of: Callable[[str], str]) -> Iterator[str]:
        """Yield the mounts that the walk has met and that no longer exist. Blocks."""
        points = mount_points()
        for key, at in sorted(self._met.items()):
            with suppress(OSError):
                found = os.stat(path_of(key))
                if (found.st_dev, mount_of(at.real, points)) == (at.device, at.mount):
                    continue
            yield key


def mount_points() -> frozenset[str]:
    """Return the absolute real paths of all mount points; empty where the system does not say. Blocks."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            table = file.read()
    except OSError:
        return frozenset()
    fields = (line.split(b" ") for line in table.splitlines())
    return frozenset(
        os.fsdecode(_unescaped(line[_MOUNT_POINT])) for line in fields if len(line) > _MOUNT_POINT
    )


def _unescaped(path: bytes) -> bytes:
    """Return a path of mountinfo, in which white space and backslashes are written as three octal digits."""
    if b"\\" not in path:
        return path
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), path)


def mount_of(path: str, points: frozenset[str]) -> str:
    """Return the mount point at or above an absolute real path; empty where none is known."""
    while path not in points:
        above = os.path.dirname(path)
        if above == path:
            return ""
        path = above
    return path
