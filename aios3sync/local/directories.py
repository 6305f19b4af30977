"""Opens the directories of a tree one below another, never through a symbolic link, and makes missing ones.

A file that is written by the descriptor of a directory is written to that directory, whatever its path leads
to meanwhile: even if a directory is replaced by a link, no file leaves the tree (openat(2), O_NOFOLLOW).
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from typing import Final

__all__ = ("Directories",)

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT: Final = 64
"""Open directories of one batch; further ones are closed and opened again."""


class Directories:
    """The directories below a root. Blocks; not for several threads at once.

    A directory stays open only until :meth:`close`: use one object for one batch of work.

    Args:
        root: descriptor of the root; it is not closed.
        make: make directories that are missing.
    """

    def __init__(self, root: int, *, make: bool) -> None:
        self._root = root
        self._make = make
        self._opened: OrderedDict[str, int] = OrderedDict()

    def __enter__(self) -> Directories:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all open directories; idempotent."""
        while self._opened:
            os.close(self._opened.popitem()[1])

    def parent(self, path: str) -> tuple[int, str]:
        """Return the descriptor of the directory that a path lies in, and the name of the path there.

        The descriptor is valid until the next call.

        Raises:
            OSError: a directory of the path is a link or a file, or is missing and must not be made.
        """
        directory, _, name = path.rpartition("/")
        _refuse_steps(name, path)
        return (self._descriptor(directory) if directory else self._root), name

    def _descriptor(self, path: str) -> int:
        if (known := self._opened.get(path)) is not None:
            self._opened.move_to_end(path)
            return known
        above, _, name = path.rpartition("/")
        _refuse_steps(name, path)
        parent = self._descriptor(above) if above else self._root
        descriptor = self._open(parent, name, path)
        if len(self._opened) >= _KEPT:
            os.close(self._opened.popitem(last=False)[1])
        self._opened[path] = descriptor
        return descriptor

    def _open(self, parent: int, name: str, path: str) -> int:
        try:
            return os.open(name, _OPEN, dir_fd=parent)
        except FileNotFoundError:
            if not self._make:
                raise
        except OSError as error:
            raise _explained(error, path, parent, name) from None
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:  # another thread made it, or something took the name: opening it tells
            pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        try:
            return os.open(name, _OPEN, dir_fd=parent)
        except OSError as error:
            raise _explained(error, path, parent, name) from None


def _refuse_steps(name: str, path: str) -> None:
    """Refuse parts of a path that are not names, above all ``..``, which leads out of the tree.

    Keys that have them are skipped long before; but writing does not rely on that.

    Raises:
        OSError: the part is not a name.
    """
    if name in (".", ".."):
        raise OSError(errno.EINVAL, "it has a part that is no name of a file", path)


def _explained(error: OSError, path: str, parent: int, name: str) -> OSError:
    """Return an error that says why the directory cannot be made or opened."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        try:
            os.readlink(name, dir_fd=parent)
        except OSError:
            return OSError(errno.ENOTDIR, "a file has the name of this directory", path)
        return OSError(
            errno.ELOOP, "a symbolic link has the name of this directory, and is not followed", path
        )
    return OSError(error.errno, error.strerror, path)
