"""TreeRoot: the parts of a tree that need no open file: its walk, and whether it is still the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.concurrency import in_thread
from aios3sync.core.entries import RecordedEntry, SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.core.keys import unescaped
from aios3sync.local.walk import Walk, check_root

if TYPE_CHECKING:
    from aios3sync.local.forked_digests import HashedFile
    from aios3sync.local.read import Place

__all__ = ("TreeRoot",)

_PAUSE_S: Final = 0.2
"""Seconds that a walk may keep its consumer waiting."""
_WORTH_A_PROCESS: Final = 100
"""Files that take longer to read than a process to start."""


class TreeRoot:
    """A directory that is walked, or a list of files. The methods that are not asynchronous block.

    Args:
        root: absolute path of the directory; a mere name where ``files`` are given.
        symlinks: ``follow``, ``skip`` or ``inside``, see :class:`~aios3sync.local.walk.Walk`.
        on_bad_name: ``fail``, ``skip`` or ``escape``; see there.
        files: keys and absolute paths that are the whole source; all links are followed.
        key_range: the keys to which walks are limited.
        processes: how many :meth:`hash_now` may use; with more than 1 the caller has no threads.

    Attributes:
        is_absent: whether there was no such directory at :meth:`check`, and none was made since.
    """

    def __init__(
        self,
        root: str,
        *,
        symlinks: str = "follow",
        on_bad_name: str = "fail",
        files: Mapping[str, str] | None = None,
        key_range: KeyRange = EVERYTHING,
        processes: int = 1,
    ) -> None:
        self.root = root
        self._processes = processes
        self._key_range = key_range
        self._symlinks = symlinks
        self._on_bad_name = on_bad_name
        self._files = files
        self._root_stat: os.stat_result | None = None
        self.is_absent = False

    async def check(self, *, may_be_absent: bool = False) -> None:
        """Check the root, and remember its identity; a list of files has none.

        Raises:
            SourceError: the root is missing although it must exist, is not a directory, or cannot be read.
        """
        await in_thread(lambda: self.check_now(may_be_absent=may_be_absent))

    def check_now(self, *, may_be_absent: bool = False) -> None:
        """Do the same. Blocks."""
        if self._files is None:
            self.is_absent = may_be_absent and not os.path.lexists(self.root)
            self._root_stat = None if self.is_absent else check_root(self.root)

    @property
    def device(self) -> int | None:
        """The device that the root was on at :meth:`check`; ``None`` for a list of files."""
        return None if self._root_stat is None else self._root_stat.st_dev

    @property
    def identity(self) -> tuple[int, int] | None:
        """The device and inode that the root had at :meth:`check`; ``None`` for a list of files."""
        before = self._root_stat
        return None if before is None else (before.st_dev, before.st_ino)

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> Walk:
        """Return a walk over all visible files.

        Args:
            filters: what is visible.
            prefix: of the target, for the length of keys.
            mounts: directories that were mount points in earlier walks.
        """
        return Walk(
            self.root,
            filters,
            self._symlinks,
            prefix,
            mounts,
            self._files,
            on_bad_name=self._on_bad_name,
            key_range=self._key_range,
            pause_s=_PAUSE_S,
        )

    def roots(self) -> tuple[str, ...]:
        """Return the paths of the root: as it was given, and without symbolic links."""
        return self.root, os.path.realpath(self.root)

    def root_problem(self) -> str:
        """Return why the root is no longer the one of :meth:`check`; empty if it is (P3)."""
        before = self._root_stat
        if before is None:
            return ""
        try:
            now = os.stat(self.root)
        except OSError as error:
            return f"the directory {self.root!r} went away during the run: {error.strerror}"
        if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
            return f"another directory took the place of {self.root!r} during the run"
        return ""

    def may_be_swapped(self, device: int) -> bool:
        """Whether the root is on another device than ``device``, which is -1 where that is not known (P3)."""
        return self.device is not None and device not in (-1, self.device)

    # Single files.

    def path(self, key: str) -> str:
        """Return the path of the file of a key; empty where a list of files does not name it."""
        if self._files is not None:
            return self._files.get(key, "")
        return f"{self.root}/{self._below(key)}"

    def place(self, key: str) -> Place:
        """Return the place of the file of a key, for reading it."""
        if self._files is not None or self._symlinks == "follow":
            return self.path(key)
        from aios3sync.local.read import place_of

        return place_of(self.root, self._below(key), self._symlinks)

    def _below(self, key: str) -> str:
        return unescaped(key) if self._on_bad_name == "escape" else key

    def read_now(self, entry: SourceEntry) -> tuple[bytes, int] | None:
        """Return a small file and when its reading began (ns); ``None`` where it is not as it was walked.

        Raises:
            OSError: it cannot be read.
        """
        from aios3sync.local.read import read_same  # most walks are followed by no reading

        return read_same(self.place(entry.key), entry[1:])

    def hash_now(self, entries: Sequence[SourceEntry], until: float) -> Iterator[HashedFile | None]:
        """Yield the digests of files, see :func:`~aios3sync.local.forked_digests.hash_files`."""
        from aios3sync.local.forked_digests import hash_files

        enough = len(entries) >= _WORTH_A_PROCESS
        return hash_files(self.read_now, entries, self._processes if enough else 1, until)

    def is_unchanged(self, row: RecordedEntry) -> bool:
        """Whether the file of a row is still what was sent (P8); a file that is gone counts as unchanged.

        A file that is gone was sent as it was; the next run finds that it is missing.
        """
        try:
            now = os.stat(self.path(row.key))
        except (OSError, ValueError):
            return True
        return (now.st_size, now.st_mtime_ns, now.st_ino) == (row.size, row.mtime_ns, row.inode)
