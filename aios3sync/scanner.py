"""Walks a local directory in key order and hands out batches; reads names and stats, never contents.

The only contents it reads are the ``.gitignore`` files that filters ask for. It runs in a thread, one batch
per hop. Memory is the names of one directory per depth. What cannot be seen is reported as a
:class:`Problem`, because unknown is not absent: nothing at or below it may be deleted (P2).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from aios3sync.core.entries import SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.core.keys import MAX_KEY_BYTES, key_problem
from aios3sync.errors import SourceError

__all__ = ("BATCH_SIZE", "Problem", "ProblemKind", "ScanBatch", "Walk", "check_root", "shown")

BATCH_SIZE: Final = 512
"""Entries of one batch: a thread hop costs 60 to 90 µs, a file about 3."""

_LOOP_ERRORS: Final = frozenset({errno.ELOOP})
ProblemKind = Literal["unreadable", "skipped", "vanished", "hidden"]


class Problem(NamedTuple):
    """A place of the source that the walk could not, or must not, see.

    Attributes:
        path: relative, with ``/``; may hold surrogate escapes.
        kind: ``unreadable`` is a failure, ``skipped`` a warning, ``vanished`` was there a moment ago,
            ``hidden`` is as asked for and worth no line.
        error: one line.
    """

    path: str
    kind: ProblemKind
    error: str


class ScanBatch(NamedTuple):
    """What the walk saw since the batch before, entries ascending."""

    entries: list[SourceEntry]
    problems: list[Problem]


def shown(path: str) -> str:
    """A path as text that any terminal and any JSON can hold: undecodable bytes are escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def check_root(root: str) -> os.stat_result:
    """The stat of the source root.

    Raises:
        SourceError: it is missing, not a directory, or cannot be read.
    """
    try:
        result = os.stat(root)
        if not stat.S_ISDIR(result.st_mode):
            raise SourceError(f"{shown(root)!r} is not a directory; name the directory to sync")
        os.scandir(root).close()
    except FileNotFoundError:
        raise SourceError(f"no such directory: {shown(root)!r}") from None
    except OSError as error:
        raise SourceError(f"{shown(root)!r} cannot be read: {error.strerror}") from error
    return result


@dataclass(slots=True)
class _Level:
    """One directory on the way down: what is left of it, and what identifies it."""

    prefix: str
    left: Iterator[tuple[str, os.DirEntry[str], bool]]
    device: int
    inode: int


@dataclass(slots=True)
class Walk:
    """One walk over a source, to be consumed once, in a thread.

    Args:
        root: absolute path of the directory.
        filters: what is visible; its IgnoreTree is filled on the way.
        symlinks: ``follow``, ``skip`` or ``inside`` (follow only what stays below the root).
        prefix: the target's prefix, for the length of keys.
        known_mounts: directories (ending in ``/``) that were mount points when the source was walked
            before; one that is no mount point now makes its subtree unknown.
        files: keys and paths that are the whole source, in place of what is below the root. Links are
            followed, and a file that is not there is a failure: it was asked for by name.

    Attributes:
        mounts: mount points met (directories ending in ``/``), complete when the walk has ended.
    """

    root: str
    filters: Filters
    symlinks: str = "follow"
    prefix: str = ""
    known_mounts: frozenset[str] = frozenset()
    files: Mapping[str, str] | None = None
    mounts: set[str] = field(default_factory=set)
    _problems: list[Problem] = field(default_factory=list)
    _entries: list[SourceEntry] = field(default_factory=list)
    _real_root: str = ""
    _limit: int = 0

    def batches(self) -> Iterator[ScanBatch]:
        """The batches in key order; the last may be short, none is empty.

        Raises:
            SourceError: the root itself cannot be read.
        """
        self._limit = (MAX_KEY_BYTES - len(self.prefix.encode())) // 4
        self._real_root = os.path.realpath(self.root)
        if self.files is not None:
            walk = self._placed(self.files)
        else:
            walk = self._named() if self.filters.files is not None else self._tree()
        for _ in walk:
            if len(self._entries) >= BATCH_SIZE:
                yield self._batch()
        gone = (mount for mount in self.known_mounts if not os.path.lexists(self._path(mount)))
        for mount in sorted(gone):
            self._unmounted(mount)
        if self._entries or self._problems:
            yield self._batch()

    def _batch(self) -> ScanBatch:
        batch = ScanBatch(self._entries, self._problems)
        self._entries, self._problems = [], []
        return batch

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"

    def _problem(self, path: str, kind: ProblemKind, error: str | OSError) -> None:
        text = error if isinstance(error, str) else (error.strerror or str(error))
        self._problems.append(Problem(path, kind, text))

    # The whole tree, depth first, without recursion: a tree can be deeper than Python's stack.

    def _tree(self) -> Iterator[None]:
        root = check_root(self.root)
        levels = [self._level("", root.st_dev, root.st_ino)]
        while levels:
            level = levels[-1]
            following = next(level.left, None)
            if following is None:
                levels.pop()
                continue
            key, entry, is_directory = following
            if not is_directory:
                self._file(key, entry)
                yield
            elif (below := self._descend(key, entry, levels)) is not None:
                levels.append(below)

    def _level(self, prefix: str, device: int, inode: int) -> _Level:
        return _Level(prefix, self._sorted_names(prefix), device, inode)

    def _sorted_names(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str], bool]]:
        """The visible names of one directory in key order: a directory sorts as its name and ``/``."""
        found = []
        try:
            with os.scandir(self._path(prefix) if prefix else self.root) as entries:
                listed = list(entries)
        except OSError as error:
            if not prefix:
                raise SourceError(f"{shown(self.root)!r} cannot be read: {error.strerror}") from error
            self._problem(prefix, "unreadable", error)
            return iter(())
        if self.filters.ignored is not None and any(e.name == ".gitignore" for e in listed):
            self._read_gitignore(prefix)
        for entry in listed:
            key = prefix + entry.name
            is_directory = self._is_directory(entry)
            if self._has_key(key, entry.name):
                found.append((key + "/" if is_directory else key, entry, is_directory))
        found.sort(key=lambda item: item[0])
        return iter(found)

    def _has_key(self, key: str, name: str) -> bool:
        if (name.isascii() and len(key) <= self._limit) or (
            problem := key_problem(self.prefix + key)
        ) is None:
            return True
        self._problem(key, "skipped", f"the name {problem}")
        return False

    def _is_directory(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir(follow_symlinks=self.symlinks != "skip")
        except OSError:
            return False  # its stat will fail again, and be reported there

    def _read_gitignore(self, prefix: str) -> None:
        name = prefix + ".gitignore"
        try:
            text = Path(self._path(name)).read_text("utf-8", "surrogateescape")
        except OSError as error:
            # Without its rules nothing below can be judged, so nothing below may be deleted.
            self._problem(prefix, "unreadable", f"{name}: {error.strerror}")
        else:
            if self.filters.ignored is not None:
                self.filters.ignored.add(prefix, text.removeprefix("\ufeff").split("\n"))

    def _file(self, key: str, entry: os.DirEntry[str]) -> None:
        if not (self.filters.trivial or self.filters.visible(key)):
            return
        is_link = entry.is_symlink()
        if is_link and not self._may_follow(key):
            return
        try:
            result = entry.stat(follow_symlinks=True)
        except OSError as error:
            self._unstatable(key, error, is_link=is_link)
            return
        self._add(key, result)

    def _add(self, key: str, result: os.stat_result) -> None:
        if not stat.S_ISREG(result.st_mode):
            self._problem(key, "skipped", f"a {_kind_of(result.st_mode)}, not a regular file")
            return
        self._entries.append(
            SourceEntry(key, result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino)
        )

    def _unstatable(self, key: str, error: OSError, *, is_link: bool) -> None:
        if error.errno in _LOOP_ERRORS:
            self._problem(key, "skipped", "a symbolic link that leads to itself")
        elif isinstance(error, FileNotFoundError):
            text = "a symbolic link that leads nowhere" if is_link else "gone during the walk"
            self._problem(key, "skipped" if is_link else "vanished", text)
        else:
            self._problem(key, "unreadable", error)

    def _may_follow(self, key: str) -> bool:
        if self.symlinks == "skip":
            self._problem(key, "hidden", "a symbolic link")
            return False
        if self.symlinks == "inside":
            real = os.path.realpath(self._path(key))
            if real != self._real_root and not real.startswith(self._real_root + os.sep):
                self._problem(key, "skipped", "a symbolic link that leads out of the source")
                return False
        return True

    def _descend(self, key: str, entry: os.DirEntry[str], levels: list[_Level]) -> _Level | None:
        if not (self.filters.trivial or self.filters.may_contain(key)):
            return None
        is_link = entry.is_symlink()
        if is_link and not self._may_follow(key[:-1]):
            return None
        try:
            result = entry.stat(follow_symlinks=True)
        except OSError as error:
            self._unstatable(key[:-1], error, is_link=is_link)
            return None
        if is_link and any((up.device, up.inode) == (result.st_dev, result.st_ino) for up in levels):
            self._problem(key[:-1], "skipped", "a symbolic link to a directory above it (a loop)")
            return None
        if not is_link and not self._mounted(key, result.st_dev != levels[-1].device):
            return None
        return self._level(key, result.st_dev, result.st_ino)

    def _mounted(self, key: str, is_mount: bool) -> bool:
        if is_mount:
            self.mounts.add(key)
        elif key in self.known_mounts:
            self._unmounted(key)
            return False
        return True

    def _unmounted(self, key: str) -> None:
        # Remembered as a mount point, or one unmounted run would make the next one delete.
        self.mounts.add(key)
        text = "was a mount point and is not mounted now; 'aios3sync manifest forget' if that is meant"
        self._problem(key, "unreadable", text)

    # Files that were given with their keys: they are the source, wherever they lie.

    def _placed(self, files: Mapping[str, str]) -> Iterator[None]:
        for key in sorted(files):
            if not (self.filters.visible(key) and self._has_key(key, key)):
                continue
            try:
                self._add(key, os.stat(files[key]))
            except OSError as error:
                self._problem(key, "unreadable", error)
            yield

    # Only the named files (``--files-from``): a stat each instead of a walk.

    def _named(self) -> Iterator[None]:
        check_root(self.root)
        for key in sorted(self.filters.files or ()):
            if not self.filters.visible(key):
                continue
            path = self._path(key)
            is_link = os.path.islink(path)
            if is_link and not self._may_follow(key):
                continue
            try:
                self._add(key, os.stat(path))
            except (FileNotFoundError, NotADirectoryError) as error:
                if is_link:
                    self._unstatable(key, error, is_link=True)
                else:
                    self._problem(key, "unreadable", "named, but there is no such file")
            except OSError as error:
                self._unstatable(key, error, is_link=is_link)
            yield


def _kind_of(mode: int) -> str:
    kinds: Iterable[tuple[bool, str]] = (
        (stat.S_ISFIFO(mode), "FIFO"),
        (stat.S_ISSOCK(mode), "socket"),
        (stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "device"),
        (stat.S_ISDIR(mode), "directory"),
    )
    return next((name for matches, name in kinds if matches), "special file")
