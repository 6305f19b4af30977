"""The directory of a manifest of several files, with its root document.

The files are in one directory, which several machines may share. The document is ``root.<generation>.json``;
the one with the highest number counts. It is replaced by compare-and-swap without any lock: link(2) creates
the file of the next generation only if there is none, so one of two writers learns that the other was first.
Old documents are removed, so a writer that was suspended for long may find a used generation free again: it
then reads the current document, which names its ancestors.
"""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from aios3sync._dataclass import dataclass, replace
from aios3sync.errors import ManifestError
from aios3sync.manifest.lock import SHARDS
from aios3sync.manifest.root import ATTEMPTS, Root, attempt_of

__all__ = ("RootDirectory", "shards_directory", "single_file", "synchronize")

_DOCUMENT: Final = re.compile(r"root\.(\d{1,18})\.json")
_KEPT: Final = 8
"""Documents that are kept: a reader may be about to open one that is no longer the last."""
_ANCESTORS: Final = 64
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def _is_left(file: str, named: set[str]) -> bool:
    """Whether a file is a layer that is not named, or belongs to one; other files are not ours.

    A journal of unfinished uploads stays: its content is not in the manifest, see :mod:`.unfinished`.
    """
    if file.endswith(".uploads"):
        return False
    base = re.sub(r"\.sqlite.*", ".sqlite", file, flags=re.DOTALL)
    found = attempt_of(base)
    return found is not None and base not in named and f"{found[0]}{ATTEMPTS}" not in named


def shards_directory(manifest_path: str) -> str:
    """Return the directory of a manifest in several files."""
    return f"{manifest_path}{SHARDS}"


def single_file(directory: str) -> str:
    """Return the name of the former manifest in one file, relative to the directory."""
    return os.path.join("..", os.path.basename(directory).removesuffix(SHARDS))


@dataclass(frozen=True, slots=True)
class RootDirectory:
    """The directory with the document and the files. All methods block.

    Attributes:
        path: absolute.
    """

    path: str

    def read(self) -> Root | None:
        """Return the current document; ``None`` where there is none.

        Raises:
            ManifestError: the directory cannot be read.
            ValueError: the document cannot be used.
        """
        for _ in range(_KEPT + 1):
            numbers = self._generations()
            if not numbers:
                return None
            try:
                with open(self._document(numbers[-1]), "rb") as file:
                    return Root.decoded(file.read())
            except FileNotFoundError:
                continue  # replaced since, twice
            except OSError as error:
                raise self._failed(error) from error
        raise ManifestError(f"the manifest in {self.path!r} changes faster than it can be read; try again")

    def swap(self, root: Root) -> Root | None:
        """Make a document the one that counts, and return it as written; ``None`` if another was first.

        Durable when it returns.

        Raises:
            ManifestError: the directory cannot be written.
        """
        own = uuid.uuid4().hex
        root = replace(root, history=(own, *root.history[: _ANCESTORS - 1]))
        temporary = os.path.join(self.path, f".root.{own}")
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            _write(temporary, root.encoded())
            try:
                made = self._link(temporary, self._document(root.generation))
            finally:
                os.unlink(temporary)
            if not made or not self._counts(root.generation, own):
                return None
            synchronize(self.path)
            self._drop_old(root.generation)
        except OSError as error:
            raise self._failed(error) from error
        return root

    def _counts(self, generation: int, own: str) -> bool:
        """Whether a new document, or one that was made from it, is the current one; if not, remove it."""
        if self._generations()[-1] <= generation:
            return True
        last = self.read()
        if last is not None and own in last.history:
            return True
        os.unlink(self._document(generation))
        return False

    def update(self, change: Callable[[Root | None], Root | None]) -> Root | None:
        """Replace the document by the result of ``change``, again whenever another writer was first.

        Args:
            change: returns the next document, whose generation is set here; ``None`` for no change.

        Raises:
            ManifestError: as :meth:`read` and :meth:`swap`.
            ValueError: as :meth:`read`.
        """
        while True:
            before = self.read()
            wanted = change(before)
            if wanted is None:
                return before
            wanted = replace(wanted, generation=before.generation + 1 if before else 1)
            if (written := self.swap(wanted)) is not None:
                return written

    def file(self, name: str) -> str:
        """Return the absolute path of a finished layer; empty where there is none."""
        path = os.path.normpath(os.path.join(self.path, name))
        return path if os.path.exists(path) else ""

    def attempts(self, name: str) -> list[str]:
        """Return the absolute paths of all attempts at a layer, the latest first.

        Raises:
            ManifestError: the directory cannot be read.
        """
        found = self._attempts(name)
        return [found[number] for number in sorted(found, reverse=True)]

    def next_attempt(self, name: str) -> str:
        """Create the empty file of a further attempt at a layer, and return its path.

        Only one process on any machine can create the file, so each has one writer.

        Raises:
            ManifestError: the directory cannot be written.
        """
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        number = max(self._attempts(name), default=0)
        while True:
            number += 1
            path = os.path.join(self.path, f"{name}.{number}.sqlite")
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                continue
            except OSError as error:
                raise self._failed(error) from error
            return path

    def unnamed(self) -> list[str]:
        """Return the names of files that the document does not name now: no run will read them.

        A run is named before it creates its first file, and the directory is read before the document: so no
        file of a working run is taken for an abandoned one. While runs are open nothing is: they read what
        was named when they began.

        Raises:
            ManifestError: as :meth:`read`.
            ValueError: as :meth:`read`.
        """
        files, single = self._listed(), single_file(self.path)
        root = self.read()
        if root is not None and root.open_runs:
            return []
        named = set() if root is None else root.names()
        return [
            *(file for file in files if _is_left(file, named)),
            *([single] if root is not None and single not in named else ()),
        ]

    def drop(self, files: Iterable[str]) -> None:
        """Remove files; those that cannot be removed stay."""
        for file in files:
            with suppress(OSError):
                os.unlink(os.path.join(self.path, file))

    def _attempts(self, name: str) -> dict[int, str]:
        found = map(attempt_of, self._listed())
        return {
            number: os.path.join(self.path, f"{stem}.{number}.sqlite")
            for stem, number in filter(None, found)
            if stem == name
        }

    def _generations(self) -> list[int]:
        found = filter(None, map(_DOCUMENT.fullmatch, self._listed()))
        return sorted(int(name[1]) for name in found)

    def _listed(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(error) from error

    def _document(self, generation: int) -> str:
        return os.path.join(self.path, f"root.{generation}.json")

    def _link(self, temporary: str, document: str) -> bool:
        """Give a file its name, if the name is free."""
        try:
            os.link(temporary, document)
        except FileExistsError:
            # A repeated request of NFS finds the link that its first attempt made (link(2), BUGS).
            return os.stat(temporary).st_nlink == 2
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise ManifestError(
                f"the filesystem of {self.path!r} has no hard links, which the manifest of a cluster needs; "
                "name a place on another one with --manifest"
            ) from error
        return True

    def _drop_old(self, generation: int) -> None:
        for old in self._generations():
            if old <= generation - _KEPT:
                with suppress(OSError):
                    os.unlink(self._document(old))

    def _failed(self, error: OSError) -> ManifestError:
        return ManifestError(f"the manifest in {self.path!r} cannot be used: {error.strerror}")


def synchronize(directory: str) -> None:
    """Wait until the entries of a directory are on the disk. Blocks.

    Raises:
        OSError: they are not.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
