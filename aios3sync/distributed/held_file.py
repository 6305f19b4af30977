"""Keeps the held deletes of a shard in a file of JSON lines for another process; it is complete or absent.

The first line names the sync and the range, each further line is a delete, and the last line has their count
and a digest of all lines before. The file gets its name once it is on disk.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from typing import IO, Any, Final

from aios3sync._dataclass import asdict, dataclass
from aios3sync.concurrency import in_thread
from aios3sync.errors import ManifestError
from aios3sync.manifest.root_directory import synchronize
from aios3sync.sync.deferred import DeferredAction
from aios3sync.sync.request import SyncRequest

__all__ = ("HeldFileReader", "HeldFileWriter", "HeldSummary")

_FORMAT: Final = "aios3sync held deletes"
_VERSION: Final = 1
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSummary:
    """The facts at the end of the run that held the deletes.

    Attributes:
        known_since: see :attr:`~aios3sync.sync.pipeline.Pipeline.known_since`.
        root: device and inode of the directory, ``None`` where there is none.
        markers: keys for which directories are to be made.
        temporaries: unfinished files of downloads before that run.
    """

    known_since: float = 0.0
    root: tuple[int, int] | None = None
    markers: Sequence[str] = ()
    temporaries: Sequence[str] = ()


class HeldFileWriter:
    """Writes such a file. All methods block.

    Args:
        path: of the file, in a directory that exists.
        request: the sync, with the range.
    """

    def __init__(self, path: str, request: SyncRequest) -> None:
        self._path = path
        self._temporary = f"{path}.{secrets.token_hex(4)}"
        self._header = _header(request)
        self._file: IO[bytes] | None = None
        self._digest = sha256()
        self._count = 0

    def begin(self) -> None:
        """Begin the file; a file that was begun before is dropped.

        Raises:
            ManifestError: it cannot be written.
        """
        self.drop()
        self._digest, self._count = sha256(), 0
        try:
            descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._file = os.fdopen(descriptor, "wb")
        self._write([self._header])

    def add(self, actions: Sequence[DeferredAction]) -> None:
        """Add deletes, in key order.

        Raises:
            ManifestError: they cannot be written.
        """
        self._write([[*action[:1], *action[2:]] for action in actions])
        self._count += len(actions)

    def finish(self, summary: HeldSummary) -> None:
        """Conclude the file and give it its name; a file of that name is replaced.

        Raises:
            ManifestError: it cannot be written.
        """
        file = self._file
        assert file is not None  # noqa: S101 - begin() was called
        end = {"deletes": self._count, "sha256": self._digest.hexdigest(), **asdict(summary)}
        self._write([end])
        try:
            with file:
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._temporary, self._path)
            synchronize(os.path.dirname(self._path) or ".")
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._file = None

    def drop(self) -> None:
        """Drop a file that was begun but not finished."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                os.unlink(self._temporary)
            self._file = None

    def _write(self, lines: Sequence[Any]) -> None:
        assert self._file is not None  # noqa: S101 - begin() was called
        text = "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")
        self._digest.update(text)
        try:
            self._file.write(text)
        except OSError as error:
            raise _unwritable(self._path, error) from error


class HeldFileReader:
    """Reads such a file.

    Args:
        path: of the file.
        request: the sync whose deletes it must hold.
    """

    def __init__(self, path: str, request: SyncRequest) -> None:
        self._path = path
        self._header = _header(request)

    async def summary(self) -> HeldSummary:
        """Check that the file is complete and of this sync, and return its summary.

        Raises:
            ManifestError: it is not, or cannot be read.
        """
        return await in_thread(self._summary)

    def _summary(self) -> HeldSummary:
        digest, count, last = sha256(), 0, b""
        with self._opened() as file:
            header = file.readline()
            if _values(header) != json.loads(json.dumps(self._header)):
                raise self._unusable("it is of another sync, another range or another version")
            digest.update(header)
            for line in file:
                if last:
                    digest.update(last)
                    count += 1
                last = line
        end = _values(last)
        whole = (count, digest.hexdigest())
        if not isinstance(end, dict) or (end.get("deletes"), end.get("sha256")) != whole:
            raise self._unusable("it is not whole")
        root = end["root"]
        return HeldSummary(
            known_since=end["known_since"],
            root=None if root is None else (root[0], root[1]),
            markers=end["markers"],
            temporaries=end["temporaries"],
        )

    async def pages(self) -> AsyncIterator[list[DeferredAction]]:
        """Yield the deletes in key order.

        Raises:
            ManifestError: the file cannot be read.
        """
        pages = self._pages()
        while (page := await in_thread(next, pages, None)) is not None:
            yield page

    def _pages(self) -> Iterator[list[DeferredAction]]:
        with self._opened() as file:
            file.readline()
            while page := [_action(line) for line in islice(file, _PAGE) if line.startswith(b"[")]:
                yield page

    def _opened(self) -> IO[bytes]:
        try:
            return open(self._path, "rb")
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def _unusable(self, reason: str) -> ManifestError:
        return ManifestError(f"the held deletes {self._path!r} cannot be used: {reason}; nothing is deleted")


def _header(request: SyncRequest) -> dict[str, Any]:
    options = request.options
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "direction": request.direction,
        "source": request.source,
        "target": request.target,
        "endpoint": request.endpoint,
        "range": [*request.key_range],
        "delete": options.delete,
    }


def _action(line: bytes) -> DeferredAction:
    key, etag, size, tracked, reason, stat = json.loads(line)
    return DeferredAction(key, "delete", etag, size, tracked, reason, tuple(stat))


def _values(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _unwritable(path: str, error: OSError) -> ManifestError:
    return ManifestError(f"the held deletes {path!r} cannot be written: {error.strerror or error}")
