"""LocalTree: a source on the local filesystem, its entries and files, and whether they are the same."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from aios3sync.concurrency import in_thread
from aios3sync.core.entries import RecordedEntry, SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.core.keys import unescaped
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import SourceError, UsageError
from aios3sync.local.compress import compress_file
from aios3sync.local.digest import (
    FileDigest,
    SmallFile,
    descriptor_of,
    digest_file,
    entry_of,
    open_regular,
    small_file,
)
from aios3sync.local.open_file import OpenFile
from aios3sync.local.read import Place, ReadResult, place_of, read_files
from aios3sync.local.walk import Walk, check_root

if TYPE_CHECKING:
    from aios3sync.local.folding import Folding
    from aios3sync.local.write import TreeWriter

__all__ = ("LocalTree",)

_IGNORE_FILE: Final = ".gitignore"
_PAUSE_S: Final = 0.2
"""How long a walk may keep its consumer waiting."""


class LocalTree:
    """A source directory, or a list of files.

    The methods that are not asynchronous block, but for :meth:`path`, :meth:`place` and :meth:`is_missing`.

    Args:
        root: absolute path of the directory; a mere name where ``files`` are given.
        symlinks: ``follow``, ``skip`` or ``inside``, see :class:`~aios3sync.local.walk.Walk`.
        on_bad_name: ``fail``, ``skip`` or ``escape``, see there.
        files: keys and absolute paths that are the whole source, all of their links followed.
        key_range: the keys that walks look for.

    Attributes:
        is_absent: there was no such directory at :meth:`check`, and none was made since.
    """

    def __init__(
        self,
        root: str,
        *,
        symlinks: str = "follow",
        on_bad_name: str = "fail",
        files: Mapping[str, str] | None = None,
        key_range: KeyRange = EVERYTHING,
    ) -> None:
        self.root = root
        self._key_range = key_range
        self._symlinks = symlinks
        self._links_when_read = "follow" if files is not None else symlinks
        self._on_bad_name = on_bad_name
        self._files = files
        self._root_stat: os.stat_result | None = None
        self.is_absent = False

    async def check(self, *, may_be_absent: bool = False) -> None:
        """Look at the root, and remember which directory it is; a list of files has none.

        Raises:
            SourceError: the root is missing and may not be, is not a directory, or cannot be read.
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

    def path(self, key: str) -> str:
        """Return the path of the file of a key; empty where a list of files does not name it."""
        if self._files is not None:
            return self._files.get(key, "")
        return f"{self.root}/{self._below(key)}"

    def place(self, key: str) -> Place:
        """Return where the file of a key is, for its reading."""
        if self._links_when_read == "follow":
            return self.path(key)
        return place_of(self.root, self._below(key), self._links_when_read)

    def _below(self, key: str) -> str:
        return unescaped(key) if self._on_bad_name == "escape" else key

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> Walk:
        """Return a walk over what the filters show.

        Args:
            filters: what is visible.
            prefix: of the target, for the length of keys.
            mounts: directories that were mount points in walks before.
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
        """Return the paths that the root has: as it was given, and without symbolic links."""
        return self.root, os.path.realpath(self.root)

    def is_unchanged(self, row: RecordedEntry) -> bool:
        """Whether the file of a row is still what was sent (P8); one that is gone now counts as unchanged.

        It was sent as it was; the next run finds that it is gone.
        """
        try:
            now = os.stat(self.path(row.key))
        except (OSError, ValueError):
            return True
        return (now.st_size, now.st_mtime_ns, now.st_ino) == (row.size, row.mtime_ns, row.inode)

    def has_name(self, key: str) -> bool:
        """Whether the tree has an entry of this name, be it a link that leads nowhere."""
        return os.path.lexists(self.path(key))

    def root_problem(self) -> str:
        """Return why the root is not the one of :meth:`check` any more; empty if it is (P3)."""
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
        """Whether the root is on another device than it was on before; -1 where that is not known (P3)."""
        return self.device is not None and device not in (-1, self.device)

    async def entry(self, key: str) -> SourceEntry | str:
        """Return the file of a key as it is now, or why it is none."""
        return await in_thread(self._entry, key)

    def _entry(self, key: str) -> SourceEntry | str:
        try:
            result = os.stat(self.path(key))
        except OSError as error:
            return error.strerror or str(error)
        return entry_of(key, result) if stat.S_ISREG(result.st_mode) else "not a regular file"

    async def ignore_files(self, key: str) -> list[tuple[str, bytes]]:
        """Return the directories above a key that have a ``.gitignore``, with its content.

        Raises:
            OSError: one of the files cannot be read.
        """
        return await in_thread(self._ignore_files, key)

    def _ignore_files(self, key: str) -> list[tuple[str, bytes]]:
        found = []
        parts = key.split("/")[:-1]
        for depth in range(len(parts) + 1):
            directory = "".join(f"{part}/" for part in parts[:depth])
            file = Path(self.path(directory), _IGNORE_FILE)
            if file.is_file():
                found.append((directory, file.read_bytes()))
        return found

    # The target of a download.

    def writer(self, *, fsync: bool, trash: str | None) -> TreeWriter:
        """Make the root if it is missing, and return what writes below it, opened.

        Raises:
            SourceError: it cannot be made or opened.
            UsageError: the trash is below it.
        """
        from aios3sync.local.write import TreeWriter

        place = None if trash is None else os.path.abspath(trash)
        if place is not None and f"{os.path.realpath(place)}/".startswith(f"{os.path.realpath(self.root)}/"):
            raise UsageError("trash: a link leads it below the target, where it would be synced")
        writer = TreeWriter(self.root, fsync=fsync, trash=place)
        try:
            writer.open()
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise SourceError(
                f"the directory {escape_undecodable(self.root)!r} cannot be made: {reason}"
            ) from None
        try:
            self.check_now()
        except SourceError:
            writer.close()
            raise
        return writer

    def folding(self) -> Folding:
        """Return what the filesystem of the root folds in names."""
        from aios3sync.local.folding import folding_of

        return folding_of(self.root)

    def below_links(self, keys: Sequence[str]) -> set[str]:
        """Return which keys are below a directory that is a symbolic link, or are such links themselves."""
        links: dict[str, bool] = {"": False}
        return {key for key in keys if self._is_below_link(key, links) or os.path.islink(self.path(key))}

    def _is_below_link(self, path: str, links: dict[str, bool]) -> bool:
        above = path.rpartition("/")[0]
        if above not in links:
            links[above] = os.path.islink(self.path(above)) or self._is_below_link(above, links)
        return links[above]

    # The files.

    def is_missing(self, key: str, error: OSError) -> bool:
        """Whether an error says that the file of a key is gone."""
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        return gone and error.filename == self.path(key)

    def open(self, key: str) -> OpenFile:
        """Open a file for reading; never blocks on a FIFO that took its place.

        Raises:
            OSError: it cannot be opened, or is no regular file.
        """
        return OpenFile(key, descriptor_of(self.place(key)))

    def head(self, key: str, size: int) -> bytes:
        """Return at most the first ``size`` bytes of a file.

        Raises:
            OSError: it cannot be read, or is no regular file.
        """
        with open_regular(self.place(key)) as descriptor:
            return os.read(descriptor, size)

    def read_small(
        self, keys: Sequence[str], rooms: Sequence[int], *, by_mtime: bool
    ) -> tuple[list[SmallFile | Exception | int], bool]:
        """Read files one after the other, each as it was at one moment.

        Args:
            keys: of the files.
            rooms: bytes that each may have; a file that has become larger is not read.
            by_mtime: see :func:`~aios3sync.local.digest.is_settled`.

        Returns:
            For each a file, why it cannot be read, or the size of a file that has become larger; and whether
            the storage was waited for.
        """
        read, waited = read_files([self.place(key) for key in keys], rooms)
        return [self._small(key, result, by_mtime) for key, result in zip(keys, read, strict=True)], waited

    def _small(self, key: str, result: ReadResult, by_mtime: bool) -> SmallFile | Exception | int:
        if isinstance(result, int):
            return result
        try:
            return small_file(self.path(key), key, result, by_mtime=by_mtime)
        except Exception as error:  # noqa: BLE001 - it becomes the outcome of this file
            return error

    def digest(
        self, key: str, stop: threading.Event, *, part_sizes: Sequence[int] = (), by_mtime: bool = False
    ) -> FileDigest:
        """Hash a file of any size, see :func:`~aios3sync.local.digest.digest_file`.

        Raises:
            OSError: it cannot be read.
            ChangedError: it changed at every attempt, or ``stop`` was set.
        """
        return digest_file(self.place(key), key, stop, part_sizes=part_sizes, by_mtime=by_mtime)

    def compress(
        self, key: str, copy: IO[bytes], stop: threading.Event, *, by_mtime: bool
    ) -> tuple[FileDigest, str, int]:
        """Compress a file into ``copy``, see :func:`~aios3sync.local.compress.compress_file`.

        Raises:
            OSError: it cannot be read.
            ChangedError: it changed while it was read, or ``stop`` was set.
            TemporarySpaceError: the copy cannot be written.
        """
        return compress_file(self.place(key), key, copy, stop, by_mtime=by_mtime)
