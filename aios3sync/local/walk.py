"""Walks a local directory in key order and yields batches; reads names and stats, but no contents.

The only exception are ``.gitignore`` files, where filters need them. The walk runs in threads, one call for
each batch. Memory holds the names of one directory per depth. A place that cannot be read is reported as a
:class:`~aios3sync.core.entries.Problem`, because unknown is not absent: nothing at or below it may be deleted
(P2).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress

from aios3sync._dataclass import dataclass, field
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.concurrency import in_thread
from aios3sync.core.entries import Problem, ProblemKind, ScanBatch, SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.core.keys import MAX_KEY_BYTES, escaped, key_problem, unescaped
from aios3sync.core.local_names import TEMPORARY_PREFIX, is_temporary
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import SourceError
from aios3sync.local.mounts import DirectoryIdentity, MountTracker

if TYPE_CHECKING:
    from anyio.abc import ObjectSendStream

__all__ = (
    "BATCH_SIZE",
    "Walk",
    "check_root",
    "kind_of",
)


def check_root(root: str) -> os.stat_result:
    """Return the stat of the source root.

    Raises:
        SourceError: it is missing, not a directory, or cannot be read.
    """
    try:
        result = os.stat(root)
        if not stat.S_ISDIR(result.st_mode):
            raise SourceError(
                f"{escape_undecodable(root)!r} is not a directory; name the directory to sync "
                "('aios3sync cp' copies one file)"
            )
        os.scandir(root).close()
    except FileNotFoundError:
        raise SourceError(f"no such directory: {escape_undecodable(root)!r}") from None
    except OSError as error:
        raise SourceError(f"{escape_undecodable(root)!r} cannot be read: {error.strerror}") from error
    except ValueError:
        raise SourceError(f"no directory can have the path {escape_undecodable(root)!r}") from None
    return result


def kind_of(mode: int) -> str:
    """Return the kind of a file that is not regular, such as ``FIFO``."""
    kinds: Iterable[tuple[bool, str]] = (
        (stat.S_ISFIFO(mode), "FIFO"),
        (stat.S_ISSOCK(mode), "socket"),
        (stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "device"),
        (stat.S_ISDIR(mode), "directory"),
    )
    return next((name for matches, name in kinds if matches), "special file")


BATCH_SIZE: Final = 1024
"""Entries of one batch: a call in a thread costs 60 to 90 µs, a file about 2."""

_LOOP_ERRORS: Final = frozenset({errno.ELOOP})
_FORMAT: Final = 0o170000
_WORTH_A_DESCRIPTOR: Final = 32
_new_entry = tuple.__new__


@dataclass(slots=True)
class _Level:
    """One directory of the current path.

    Attributes:
        prefix: its key, ending in ``/``; empty for the root.
        left: names that are still to be read, directories with a ``/`` at the end.
        at: its identity.
        links: those of its names that are symbolic links.
        descriptor: open if it has many names: looking up a bare name is a fifth cheaper than a path.
        ended: whether no names are left.
    """

    prefix: str
    left: Iterator[str]
    at: DirectoryIdentity
    links: set[str] = field(default_factory=set)
    descriptor: int | None = None
    ended: bool = False

    def close(self) -> None:
        """Close the descriptor."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


@dataclass(slots=True)
class Walk:
    """One walk over a source, to be consumed once, in a thread.

    Args:
        root: absolute path of the directory.
        filters: what is visible; its IgnoreTree is filled during the walk.
        symlinks: ``follow``, ``skip`` or ``inside`` (follow only what stays below the root).
        prefix: the target's prefix, for the length of keys.
        known_mounts: directories (ending in ``/``) that were mount points in an earlier walk; one that is no
            mount point now makes its subtree unknown.
        files: keys and paths that are the whole source, instead of the files below the root. Links are
            followed, and a missing file is a failure, because it was named.
        on_bad_name: how a name that cannot be a key is treated: as a failure (``fail``), as a warning
            (``skip``), or escaped (``escape``, see :func:`~aios3sync.core.keys.escaped`) and a failure where
            that is not enough.
        key_range: the keys to look for: only the directories that can hold some are entered.
        pause_s: seconds after which a batch ends, even if it is empty: so a consumer can show progress and
            stop, however many names are hidden and however slow the storage is.

    Attributes:
        mounts: directories (ending in ``/``) that are on another mount than their parent, whether mount
            points or links to one; and the known ones that are not mounted now. Complete when the walk has
            ended.
        temporaries: paths of the files of unfinished downloads, which are never synced.
    """

    root: str
    filters: Filters
    symlinks: str = "follow"
    prefix: str = ""
    known_mounts: frozenset[str] = frozenset()
    files: Mapping[str, str] | None = None
    on_bad_name: str = "fail"
    key_range: KeyRange = EVERYTHING
    pause_s: float = float("inf")
    mounts: set[str] = field(default_factory=set)
    temporaries: list[str] = field(default_factory=list)
    _problems: list[Problem] = field(default_factory=list)
    _entries: list[SourceEntry] = field(default_factory=list)
    _real_root: str = ""
    _limit: int = 0
    _all_visible: bool = False
    _escapes: bool = False
    _tracker: MountTracker = field(init=False, repr=False)
    _directories: dict[str, DirectoryIdentity | None] = field(default_factory=dict)
    _named_keys: list[str] = field(default_factory=list)

    def batches(self) -> Iterator[ScanBatch[SourceEntry]]:
        """Yield the batches in key order; the last may be short, and only ``pause_s`` makes empty ones.

        Raises:
            SourceError: the root itself cannot be read.
        """
        self._limit = (MAX_KEY_BYTES - len(self.prefix.encode())) // 4
        self._real_root = os.path.realpath(self.root)
        self._escapes = self.on_bad_name == "escape" and self.files is None
        self._all_visible = self.filters.trivial and not self._escapes
        self._tracker = MountTracker(self.known_mounts, self.mounts)
        if self.files is not None:
            walk = self._given(self.files)
        else:
            walk = self._named() if self.filters.files is not None else self._tree()
        began = time.monotonic()
        for _ in walk:
            if len(self._entries) >= BATCH_SIZE or time.monotonic() - began > self.pause_s:
                yield self._batch()
                began = time.monotonic()
        self._look_for_mounts_again()
        if self._entries or self._problems:
            yield self._batch()

    async def stream(self) -> AsyncGenerator[ScanBatch[SourceEntry], None]:
        """Yield :meth:`batches`, each made in a thread.

        Raises:
            SourceError: the root itself cannot be read.
        """
        batches = self.batches()
        while (batch := await in_thread(next, batches, None)) is not None:
            yield batch

    async def send_batches(self, out: ObjectSendStream[ScanBatch[SourceEntry]]) -> None:
        """Send what :meth:`stream` yields."""
        async with aclosing(self.stream()) as batches:
            async for batch in batches:
                await out.send(batch)

    def _batch(self) -> ScanBatch[SourceEntry]:
        batch = ScanBatch(self._entries, self._problems)
        self._entries, self._problems = [], []
        return batch

    def _path(self, key: str) -> str:
        return f"{self.root}/{unescaped(key) if self._escapes else key}"

    def _problem(
        self, path: str, kind: ProblemKind, error: str | OSError, position: str | None = None
    ) -> None:
        """Report a problem. Walks of other ranges may meet it too: it counts in the range of ``position``.

        The position is a key, by default the path; a walk with the position in its range must reach the
        place.
        """
        text = error if isinstance(error, str) else (error.strerror or str(error))
        elsewhere = not self.key_range.holds(path if position is None else position)
        self._problems.append(Problem(path, kind, text, elsewhere))

    # The whole tree, depth first, without recursion: a tree can be deeper than Python's stack.

    def _tree(self) -> Iterator[None]:
        root = check_root(self.root)
        levels = [self._level("", self._tracker.identify(root, self._real_root))]
        try:
            while levels:
                level = levels[-1]
                name = self._plain_files(level)
                if name is None:
                    if level.ended:
                        levels.pop().close()
                elif name[-1] != "/":
                    self._file(level.prefix + name, is_link=name in level.links)
                elif (below := self._descend(level.prefix + name, levels)) is not None:
                    levels.append(below)
                yield
        finally:
            for level in levels:
                level.close()

    def _plain_files(self, level: _Level) -> str | None:
        """Add the files of one directory, until a name needs a closer check; that name is returned.

        ``None`` means that the batch is full or that the directory has ended. This loop is half of the work
        of a run without changes, so it is not split into functions.
        """
        if not self._all_visible:
            name = next(level.left, None)
            level.ended = name is None
            return name
        entries, prefix, links, directory = self._entries, level.prefix, level.links, level.descriptor
        room = BATCH_SIZE - len(entries)
        for name in level.left:
            if name[-1] == "/" or name in links:
                return name
            key = prefix + name
            try:
                result = os.stat(self._path(key) if directory is None else name, dir_fd=directory)
            except OSError as error:
                self._unstatable(key, error, is_link=False)
                continue
            if result.st_mode & _FORMAT == stat.S_IFREG:
                found = (key, result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino)
                entries.append(_new_entry(SourceEntry, found))
            else:
                self._add(key, result)
            room -= 1
            if room <= 0:
                return None
        level.ended = True
        return None

    def _real(self, key: str, above: DirectoryIdentity, *, is_link: bool) -> str:
        """Return the path without symbolic links of a directory in ``above``."""
        name = self._path(key[:-1]).rpartition("/")[2]
        return os.path.realpath(self._path(key)) if is_link else f"{above.real.rstrip('/')}/{name}"

    def _level(self, prefix: str, at: DirectoryIdentity) -> _Level:
        """Read one directory, with its names in key order: directories end in ``/``, and are sorted with it.

        Only strings are kept: a directory entry of the system is five times as large, and a directory may
        have a million.
        """
        names: list[str] = []
        level = _Level(prefix, iter(names), at)
        place = self._path(prefix) if prefix else self.root
        try:
            with os.scandir(place) as entries:
                self._collect(prefix, entries, names, level.links)
            names.sort()
            if len(names) >= _WORTH_A_DESCRIPTOR:
                level.descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if not prefix:
                raise SourceError(
                    f"{escape_undecodable(self.root)!r} cannot be read: {error.strerror}"
                ) from error
            self._problem(prefix, "unreadable", error)
            names.clear()
        for own in self.filters.own:
            if own.directory == (at.device, at.inode):
                names[:] = [name for name in names if not own.name.fullmatch(name)]
        self._set_temporaries_aside(prefix, names)
        if self.filters.ignored is not None and ".gitignore" in names:
            self._read_gitignore(prefix)
        if not self.key_range.is_everything:
            names[:] = names[self.key_range.of_names(prefix, names)]
        return level

    def _set_temporaries_aside(self, prefix: str, names: list[str]) -> None:
        """Remove the names of unfinished downloads from sorted names."""
        start = end = bisect_left(names, TEMPORARY_PREFIX)
        while end < len(names) and names[end].startswith(TEMPORARY_PREFIX):
            end += 1
        if start < end:
            own = [name for name in names[start:end] if is_temporary(name)]
            self.temporaries += filter(self.key_range.holds, (prefix + name for name in own))
            names[start:end] = [name for name in names[start:end] if not is_temporary(name)]

    def _collect(
        self, prefix: str, entries: Iterable[os.DirEntry[str]], names: list[str], links: set[str]
    ) -> None:
        follow, room = self.symlinks != "skip", self._limit - len(prefix)
        for entry in entries:
            name = entry.name
            if not (name.isascii() and len(name) <= room):
                name = escaped(name) if self._escapes else name
                if not self._has_key(prefix + name, entry):
                    continue
            try:
                is_directory = entry.is_dir(follow_symlinks=follow)
            except OSError:
                is_directory = False  # its stat will fail again, and be reported there
            if is_directory:
                name += "/"
            if entry.is_symlink():
                links.add(name)
            names.append(name)

    def _has_key(self, key: str, entry: os.DirEntry[str] | None = None) -> bool:
        problem = key_problem(self.prefix + key)
        if problem is not None:
            kind = self._kind_without_key(key, entry)
            way_out = "; --on-bad-name says what else to do" if kind == "unreadable" else ""
            self._problem(key, kind, f"the name {problem}{way_out}")
        return problem is None

    def _kind_without_key(self, key: str, entry: os.DirEntry[str] | None) -> ProblemKind:
        """Return the kind of problem: only data that cannot be stored is a failure."""
        is_directory, holds_data = False, True
        if entry is not None:
            if self.symlinks == "skip" and entry.is_symlink():
                return "hidden"
            with suppress(OSError):
                is_directory = entry.is_dir()
                holds_data = is_directory or entry.is_file()
        if not (self.filters.may_contain(f"{key}/") if is_directory else self.filters.visible(key)):
            return "hidden"
        return "unreadable" if holds_data and self.on_bad_name != "skip" else "skipped"

    def _read_gitignore(self, prefix: str) -> None:
        name = prefix + ".gitignore"
        try:
            with open(self._path(name), "rb") as file:
                content = file.read()
        except OSError as error:
            # Without its rules it is not known what is ignored below, so nothing below may be deleted.
            self._problem(prefix, "unreadable", f"{name}: {error.strerror}")
        else:
            if self.filters.ignored is not None:
                self.filters.ignored.read(prefix, content)

    def _file(self, key: str, *, is_link: bool) -> None:
        if not (self.filters.trivial or self.filters.visible(key)):
            return
        if not is_link or self._may_follow(key):
            self._stat(key, is_link=is_link)

    def _stat(self, key: str, *, is_link: bool) -> None:
        try:
            result = os.stat(self._path(key))
        except OSError as error:
            self._unstatable(key, error, is_link=is_link)
        else:
            self._add(key, result)

    def _add(self, key: str, result: os.stat_result) -> None:
        if result.st_mode & _FORMAT == stat.S_IFREG:
            found = (key, result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino)
            # What SourceEntry(...) does after sorting out its arguments, in half the time, for every file.
            self._entries.append(_new_entry(SourceEntry, found))
        else:
            self._problem(key, "skipped", f"a {kind_of(result.st_mode)}, not a regular file")

    def _unstatable(self, key: str, error: OSError, *, is_link: bool, position: str | None = None) -> None:
        if error.errno in _LOOP_ERRORS:
            self._problem(key, "skipped", "a symbolic link that leads to itself", position)
        elif isinstance(error, FileNotFoundError):
            text = "a symbolic link that leads nowhere" if is_link else "gone during the walk"
            self._problem(key, "skipped" if is_link else "vanished", text, position)
        else:
            self._problem(key, "unreadable", error, position)

    def _may_follow(self, key: str, position: str | None = None) -> bool:
        if self.symlinks == "skip":
            self._problem(key, "hidden", "a symbolic link", position)
            return False
        if self.symlinks == "inside":
            real = os.path.realpath(self._path(key))
            if real != self._real_root and not real.startswith(self._real_root + os.sep):
                self._problem(key, "skipped", "a symbolic link that leads out of the source", position)
                return False
        return True

    def _descend(self, key: str, levels: list[_Level]) -> _Level | None:
        if not (self.filters.trivial or self.filters.may_contain(key)):
            return None
        is_link = key[len(levels[-1].prefix) :] in levels[-1].links
        if is_link and not self._may_follow(key[:-1], key):
            return None
        try:
            result = os.stat(self._path(key))
        except OSError as error:
            self._unstatable(key[:-1], error, is_link=is_link, position=key)
            return None
        at = self._tracker.identify(result, self._real(key, levels[-1].at, is_link=is_link))
        if is_link and any(up.at[:2] == at[:2] for up in levels):
            self._problem(key[:-1], "skipped", "a symbolic link to a directory above it (a loop)", key)
            return None
        return self._level(key, at) if self._is_mounted(key, at, levels[-1].at) else None

    def _is_mounted(self, key: str, at: DirectoryIdentity, above: DirectoryIdentity) -> bool:
        """Return whether a directory is the same as before: a former mount must still be one."""
        if self._tracker.is_missing(key, at, above):
            self._unmounted(key)
            return False
        return True

    def _unmounted(self, key: str) -> None:
        self._tracker.miss(key)
        text = "was a mount point and is not mounted now; 'aios3sync manifest forget' if that is meant"
        self._problem(key, "unreadable", text, self._position_of(key))

    def _look_for_mounts_again(self) -> None:
        """Report known mounts whose directory is gone, and mounts that went away during the walk."""
        for key in self._tracker.went_away(self._path):
            self._unmounted(key)
        may_hold_below = self.key_range.may_hold_below
        if self.filters.files is None:  # of named files those below a mount were looked for one by one
            for key in sorted(self.known_mounts):
                in_sight = may_hold_below(key) and self._in_sight(key)
                if in_sight and not os.path.lexists(self._path(key)):
                    self._unmounted(key)

    def _in_sight(self, directory: str) -> bool:
        """Return whether the filters allow the walk to enter a directory."""
        parts = directory.split("/")[:-1]
        return all(self.filters.may_contain("/".join(parts[:end]) + "/") for end in range(1, len(parts) + 1))

    # Files that were given with their keys: they are the source, wherever they are.

    def _given(self, files: Mapping[str, str]) -> Iterator[None]:
        for key in filter(self.key_range.holds, sorted(files)):
            if not (self.filters.visible(key) and self._has_key(key)):
                continue
            try:
                self._add(key, os.stat(files[key]))
            except OSError as error:
                self._problem(key, "unreadable", error)
            except ValueError:  # the path has a zero byte, or a character that cannot be encoded
                self._problem(key, "unreadable", "no file can have this path")
            yield

    def _is_own(self, key: str) -> bool:
        """Return whether a named file is one of the run itself, whatever path leads to it."""
        directory, _, name = self._path(key).rpartition("/")
        for own in self.filters.own:
            if own.name.fullmatch(name):
                with suppress(OSError):
                    found = os.stat(directory)
                    return own.directory == (found.st_dev, found.st_ino)
        return False

    # Only the named files (``--files-from``): a stat each instead of a walk.

    def _named(self) -> Iterator[None]:
        self._directories[""] = self._tracker.identify(check_root(self.root), self._real_root)
        self._named_keys = sorted(filter(self.filters.visible, self.filters.files or ()))
        for key in filter(self.key_range.holds, self._named_keys):
            if self._is_own(key) or not self._has_key(key):
                continue
            if self._is_reached(key):
                self._named_file(key)
            yield

    def _named_file(self, key: str) -> None:
        is_link = os.path.islink(self._path(key))
        if is_link and not self._may_follow(key):
            return
        try:
            self._add(key, os.stat(self._path(key)))
        except ValueError:
            self._problem(key, "unreadable", "no file can have this path")
        except (FileNotFoundError, NotADirectoryError) as error:
            if is_link:
                self._unstatable(key, error, is_link=True)
            else:
                self._problem(key, "unreadable", "named, but there is no such file")
        except OSError as error:
            self._unstatable(key, error, is_link=is_link)

    def _is_reached(self, key: str) -> bool:
        """Return whether a walk would come to a named file; report the reason if it would not.

        Every directory of the path is checked once, as a walk does: links by the options, and known mounts
        that are missing.
        """
        end = key.find("/") + 1
        above = self._directories.get("")
        while end and above is not None:
            directory = key[:end]
            if directory not in self._directories:
                self._directories[directory] = self._directory(directory, above)
            above = self._directories[directory]
            end = key.find("/", end) + 1
        return above is not None

    def _position_of(self, directory: str) -> str:
        """Return where a problem of a directory counts: at its first named file, if files are named."""
        place = bisect_left(self._named_keys, directory)
        return self._named_keys[place] if place < len(self._named_keys) else directory

    def _directory(self, key: str, above: DirectoryIdentity) -> DirectoryIdentity | None:
        """Return a directory in the path of a named file; ``None`` where no file below it may be read.

        A directory that cannot be read is left to the stat of the file, which fails for the same reason.
        """
        path = self._path(key[:-1])
        is_link = os.path.islink(path)
        if is_link and not self._may_follow(key[:-1], self._position_of(key)):
            return None
        try:
            at = self._tracker.identify(os.stat(path), self._real(key, above, is_link=is_link))
        except OSError:
            return above
        return at if self._is_mounted(key, at, above) else None
