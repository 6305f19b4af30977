"""TreeWriter: writes the files of a download below a directory, and removes files there.

A file is written under a temporary name in its own directory and renamed when it is whole, so that a reader
sees the old file or the new one. A file that is replaced or removed must still have the stat that was seen,
so that local changes are never lost.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import SourceEntry
from aios3sync.core.local_names import TEMPORARY_PREFIX, is_temporary, parents
from aios3sync.local.digest import entry_of
from aios3sync.local.directories import Directories

__all__ = ("MOST_AT_ONCE", "NO_ROOM", "ChangedHereError", "NewFile", "TreeWriter", "Written")

MOST_AT_ONCE: Final = 128
"""Files of one batch: each is open until the batch is renamed, and a process may have 1,024 open files."""
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The ``errno`` of a write for which the disk, or the quota of the user, has no space."""
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NUMBERED: Final = 1000
_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class ChangedHereError(Exception):
    """The file that was to be replaced or removed is not the one that was compared."""


class NewFile(NamedTuple):
    """One small file to write.

    Attributes:
        key: its path below the root; it has no problem by :func:`~aios3sync.core.local_names.path_problem`.
        body: its bytes.
        mtime_ns: nanoseconds since the epoch.
        replaces: the file in its place, ``None`` for none.
    """

    key: str
    body: bytes
    mtime_ns: int
    replaces: SourceEntry | None = None


Written = SourceEntry | Exception
"""The entry of the file, or why it was not written: an OSError or a ChangedHereError."""


class TreeWriter:
    """Writes below one directory. All methods block; several threads may call them at once.

    Args:
        root: the directory, absolute; links in its own path are followed, but none below it.
        fsync: whether files are on disk before they are renamed, so that a power failure leaves no partial
            file.
        trash: an absolute path of a directory on the same filesystem: removed files are moved into it.
    """

    def __init__(self, root: str, *, fsync: bool = True, trash: str | None = None) -> None:
        self.root = root
        self.fsync = fsync
        self._trash = trash
        self._root = -1

    def open(self) -> None:
        """Open the root, and make it if it is missing.

        Raises:
            OSError: it cannot be made or opened.
        """
        os.makedirs(self.root, exist_ok=True)
        self._root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def identity(self) -> tuple[int, int]:
        """Return device and inode of the root."""
        found = os.fstat(self._root)
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Close the root; idempotent."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def directories(self, *, make: bool) -> Directories:
        """Return the directories below the root, for one batch of work."""
        return Directories(self._root, make=make)

    def sync_all(self) -> None:
        """Wait until all written files are on disk: one call instead of one for each file."""
        if self.fsync:
            _sync_filesystem(self._root)

    def write_many(self, files: Sequence[NewFile]) -> list[Written]:
        """Write some small files, at most MOST_AT_ONCE; one that fails does not stop the rest."""
        with self.directories(make=True) as directories:
            temporaries = [self._written(directories, file) for file in files]
            try:
                self.sync_all()
            except OSError as error:
                temporaries = [self._given_up(directories, temporary, error) for temporary in temporaries]
            return [
                self._committed(directories, file, temporary)
                for file, temporary in zip(files, temporaries, strict=True)
            ]

    def _written(self, directories: Directories, file: NewFile) -> tuple[str, int] | Exception:
        """Write a temporary file; return its path and its descriptor, which holds its lock."""
        try:
            path, descriptor = self.create(directories, file.key)
        except OSError as error:
            return error
        try:
            write_all(descriptor, file.body)
            set_mtime(descriptor, file.mtime_ns)
        except OSError as error:
            self.discard(directories, path, descriptor)
            return OSError(error.errno, error.strerror, file.key)
        return path, descriptor

    def _given_up(
        self, directories: Directories, temporary: tuple[str, int] | Exception, error: OSError
    ) -> Exception:
        """Remove a temporary file that could not be written to disk; return the error."""
        if isinstance(temporary, Exception):
            return temporary
        self.discard(directories, *temporary)
        return error

    def _committed(
        self, directories: Directories, file: NewFile, temporary: tuple[str, int] | Exception
    ) -> Written:
        if isinstance(temporary, Exception):
            return temporary
        path, descriptor = temporary
        try:
            return self.commit(directories, path, file.key, file.replaces)
        except (OSError, ChangedHereError) as error:
            self.discard(directories, path)
            return error
        finally:
            os.close(descriptor)

    def create(self, directories: Directories, key: str) -> tuple[str, int]:
        """Create a temporary file in the directory of a file; return its path and its descriptor.

        It is locked (flock(2)) while the descriptor is open: :meth:`sweep` leaves it alone.

        Raises:
            OSError: it cannot be created.
        """
        parent, name = directories.parent(key)
        temporary = f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}.part"
        try:
            descriptor = os.open(temporary, _CREATE, 0o666, dir_fd=parent)
        except OSError as error:
            raise OSError(error.errno, error.strerror, key) from None
        lock(descriptor)
        return key[: len(key) - len(name)] + temporary, descriptor

    def commit(
        self, directories: Directories, temporary: str, key: str, replaces: SourceEntry | None
    ) -> SourceEntry:
        """Give a temporary file its name, and return the entry of the file.

        Raises:
            ChangedHereError: the file in its place is not ``replaces``.
            OSError: it cannot be renamed.
        """
        parent, name = directories.parent(key)
        source = temporary.rpartition("/")[2]
        try:
            if replaces is None:
                _rename_to_free_name(parent, source, name)
            else:
                _refuse_other(parent, name, replaces)
                os.replace(source, name, src_dir_fd=parent, dst_dir_fd=parent)
            return entry_of(key, os.stat(name, dir_fd=parent, follow_symlinks=False))
        except FileExistsError:
            raise ChangedHereError("another file has its name since the comparison") from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, key) from None

    def discard(self, directories: Directories, temporary: str, descriptor: int = -1) -> None:
        """Remove a temporary file that is no longer needed."""
        with suppress(OSError):
            parent, name = directories.parent(temporary)
            os.unlink(name, dir_fd=parent)
        if descriptor >= 0:
            os.close(descriptor)

    def find(self, key: str, size: int, md5: str) -> SourceEntry | None:
        """Return the file of a key if its bytes have this size and hex MD5."""
        with self.directories(make=False) as directories, suppress(OSError):
            parent, name = directories.parent(key)
            with open(os.open(name, _READ, dir_fd=parent), "rb") as file:
                found = os.fstat(file.fileno())
                if stat.S_ISREG(found.st_mode) and found.st_size == size:
                    digest = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False))
                    return entry_of(key, found) if digest.hexdigest() == md5 else None
        return None

    def remove_many(self, entries: Sequence[SourceEntry]) -> list[Exception | None]:
        """Remove files, or move them into the trash; each must have the stat of its entry.

        A missing file counts as removed.
        """
        with self.directories(make=False) as directories:
            return [self._removed(directories, entry) for entry in entries]

    def _removed(self, directories: Directories, entry: SourceEntry) -> Exception | None:
        try:
            parent, name = directories.parent(entry.key)
            _refuse_other(parent, name, entry)
            if self._trash is None:
                os.unlink(name, dir_fd=parent)
            else:
                self._move_to_trash(parent, name, entry.key)
        except FileNotFoundError:
            return None
        except ChangedHereError as error:
            return error
        except OSError as error:
            return OSError(error.errno, error.strerror, entry.key)
        return None

    def _move_to_trash(self, parent: int, name: str, key: str) -> None:
        assert self._trash is not None  # noqa: S101 - the caller asked
        os.makedirs(self._trash, exist_ok=True)
        root = os.open(self._trash, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with Directories(root, make=True) as below:
                place, wanted = below.parent(key)
                _move_to_numbered_name(parent, name, place, wanted)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not _exists(parent, name):
                raise  # it is gone already
            reason = error.strerror
            if error.errno == errno.EXDEV:
                reason = "it is on another filesystem; name a place on that of the directory"
            raise OSError(errno.EIO, f"the trash {self._trash!r} cannot take it: {reason}") from None
        finally:
            os.close(root)

    def remove_empty(self, keys: Sequence[str]) -> list[str]:
        """Remove directories above these keys that have become empty, deepest first; return their paths."""
        gone = []
        with self.directories(make=False) as directories:
            for path in sorted({above for key in keys for above in parents(key)}, reverse=True):
                with suppress(OSError):  # not empty, or gone already
                    parent, name = directories.parent(path)
                    os.rmdir(name, dir_fd=parent)
                    gone.append(path)
        return gone

    def make_directory(self, key: str) -> None:
        """Make the directory of a key that ends in ``/``.

        Raises:
            OSError: it cannot be made.
        """
        with self.directories(make=True) as directories:
            directories.parent(key)

    def sweep(self, temporaries: Sequence[str]) -> int:
        """Remove temporary files that no process has locked; return how many.

        Args:
            temporaries: paths below the root, as a walk met them.
        """
        removed = 0
        with self.directories(make=False) as directories:
            for path in temporaries:
                with suppress(OSError):
                    parent, name = directories.parent(path)
                    removed += is_temporary(name) and _remove_unlocked(parent, name)
        return removed


def lock(descriptor: int) -> bool:
    """Lock a file without waiting; return whether that worked; True where locks are not supported."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network filesystems have no locks
        return True
    return True


def has_name(descriptor: int, parent: int, name: str) -> bool:
    """Whether a name in a directory still leads to an open file."""
    try:
        now = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(now, os.fstat(descriptor))


def write_all(descriptor: int, body: bytes) -> None:
    """Write bytes at the current position.

    Raises:
        OSError: the disk is full, or another error.
    """
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def set_mtime(descriptor: int, mtime_ns: int) -> None:
    """Set the mtime of an open file; a time that the filesystem cannot store is not set."""
    with suppress(OverflowError):
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))


def _refuse_other(parent: int, name: str, expected: SourceEntry) -> None:
    now = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISREG(now.st_mode):
        raise ChangedHereError("it is no regular file any more")
    if (now.st_size, now.st_mtime_ns, now.st_ino) != (expected.size, expected.mtime_ns, expected.inode):
        raise ChangedHereError("it was changed since the comparison")


def _rename_to_free_name(parent: int, source: str, name: str) -> None:
    """Rename a file in its directory to a free name.

    Raises:
        FileExistsError: the name is taken.
    """
    _move_to_free_name(parent, source, parent, name)


def _move_to_free_name(parent: int, name: str, place: int, wanted: str) -> None:
    """Move a file to a free name; link(2) fails where rename(2) would replace.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(name, wanted, src_dir_fd=parent, dst_dir_fd=place, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
    else:
        os.unlink(name, dir_fd=parent)
        return
    # A filesystem without hard links (FAT, some FUSE): the moment between these two calls stays open.
    with suppress(FileNotFoundError):
        os.stat(wanted, dir_fd=place, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), wanted)
    os.rename(name, wanted, src_dir_fd=parent, dst_dir_fd=place)


def _exists(parent: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=parent, follow_symlinks=False)
        return True
    return False


def _move_to_numbered_name(parent: int, name: str, place: int, wanted: str) -> None:
    """Move a file to a name, or if that is taken, to the first free one of ``name.1``, ``name.2``, …."""
    for number in range(_NUMBERED):
        try:
            _move_to_free_name(parent, name, place, f"{wanted}.{number}" if number else wanted)
        except FileExistsError:
            continue
        return
    raise OSError(errno.EEXIST, f"the trash has {_NUMBERED} files of this name already", wanted)


def _remove_unlocked(parent: int, name: str) -> bool:
    descriptor = os.open(name, _READ, dir_fd=parent)
    try:
        if not (lock(descriptor) and has_name(descriptor, parent, name)):
            return False  # in use, or committed meanwhile, and the name is that of another download
        os.unlink(name, dir_fd=parent)
    finally:
        os.close(descriptor)
    return True


def _sync_filesystem(descriptor: int) -> None:
    """Flush the filesystem of a file (syncfs(2)); where there is no such call, all filesystems.

    Raises:
        OSError: something could not be written.
    """
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    import ctypes  # loaded where it is needed: a process that writes starts in milliseconds

    library = ctypes.CDLL(None, use_errno=True)
    if library.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
