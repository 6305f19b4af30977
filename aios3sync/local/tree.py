"""LocalTree: a tree on the local filesystem, its entries and files, and whether they have changed."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Final

from aios3sync.concurrency import in_thread
from aios3sync.core.entries import SourceEntry
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import SourceError, UsageError
from aios3sync.local.compress import compress_file
from aios3sync.local.digest import (
    FileDigest,
    SmallFile,
    descriptor_of,
    digest_file,
    digest_parts,
    entry_of,
    open_regular,
    small_file,
)
from aios3sync.local.open_file import OpenFile
from aios3sync.local.read import ReadResult, read_files
from aios3sync.local.root import TreeRoot

if TYPE_CHECKING:
    from aios3sync.local.folding import Folding
    from aios3sync.local.write import TreeWriter

__all__ = ("LocalTree",)

_IGNORE_FILE: Final = ".gitignore"


class LocalTree(TreeRoot):
    """A source directory, or a list of files: see :class:`~aios3sync.local.root.TreeRoot` for its arguments.

    The methods that are not asynchronous block, except :meth:`path`, :meth:`place` and :meth:`is_missing`.
    """

    def has_name(self, key: str) -> bool:
        """Whether the tree has an entry of this name, even a broken link."""
        return os.path.lexists(self.path(key))

    async def entry(self, key: str) -> SourceEntry | str:
        """Return the file of a key as it is now, or why there is none."""
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
            path = os.path.join(self.path(directory), _IGNORE_FILE)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found.append((directory, file.read()))
        return found

    # The target of a download.

    def writer(self, *, fsync: bool, trash: str | None) -> TreeWriter:
        """Make the root if it is missing, and return an open writer for it.

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
        """Return how the filesystem of the root folds names."""
        from aios3sync.local.folding import folding_of

        return folding_of(self.root)

    def below_links(self, keys: Sequence[str]) -> set[str]:
        """Return the keys that are below a symbolic link, or are symbolic links themselves."""
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
            For each key a file, the error that it cannot be read, or the size of a file that has become
            larger; and whether the reads waited for the storage.
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
        self,
        key: str,
        stop: threading.Event,
        *,
        part_sizes: Sequence[int] = (),
        by_mtime: bool = False,
        sha256: bool = False,
        whole: bool = True,
    ) -> FileDigest:
        """Hash a file of any size, see :func:`~aios3sync.local.digest.digest_file`.

        Without ``whole``, its parts of the one given size alone.

        Raises:
            OSError: it cannot be read.
            ChangedError: it changed at every attempt, or ``stop`` was set.
        """
        place = self.place(key)
        if not whole:
            return digest_parts(place, key, stop, part_sizes[0], by_mtime=by_mtime)
        return digest_file(place, key, stop, part_sizes=part_sizes, by_mtime=by_mtime, sha256=sha256)

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
