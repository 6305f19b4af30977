"""Downloads one object to a file: whole or not at all, verified; a large one is continued by the next call.

The file is written under a temporary name next to its place, and renamed when its bytes are verified. What is
in its place must still be what was there when the download began.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import SourceEntry
from aios3sync.core.local_names import path_problem
from aios3sync.core.mtimes import file_mtime
from aios3sync.errors import DestinationError, IntegrityError, PreconditionFailedError, UsageError
from aios3sync.local.digest import entry_of
from aios3sync.local.part_file import PartFile
from aios3sync.local.write import ChangedHereError, TreeWriter, set_mtime, write_all
from aios3sync.objects.reader import READ_AHEAD, ObjectReader, open_object, range_size_for
from aios3sync.store.protocol import HeadResult, ObjectStore

__all__ = ("Destination", "FileOptions", "WrittenFile", "destination_of", "download_object")

_ATTEMPTS: Final = 3


class Destination(NamedTuple):
    """Where a file goes.

    Attributes:
        directory: absolute, links resolved; it is made if it is missing.
        name: of the file in it.
        replaces: what is there now, ``None`` for nothing.
    """

    directory: str
    name: str
    replaces: SourceEntry | None

    @property
    def path(self) -> str:
        """The path of the file."""
        return os.path.join(self.directory, self.name)


class FileOptions(NamedTuple):
    """How a file is written.

    Attributes:
        decode: restore the original of an object that a sync has compressed.
        fsync: it is on the disk before it gets its name.
        memory: bytes that may be read ahead.
        on_bytes: called with the bytes of each piece that was written, and the size of the whole (0 while it
            is not known).
    """

    decode: bool = True
    fsync: bool = True
    memory: int = READ_AHEAD
    on_bytes: Callable[[int, int], None] = lambda _, __: None


class WrittenFile(NamedTuple):
    """What was written: the path and the size of the file, and what proved the bytes of the object."""

    path: str
    size: int
    head: HeadResult
    verified: str


def destination_of(path: str, name: str) -> Destination:
    """Return where an object goes that is copied to a path. Blocks.

    Args:
        path: of a file; or of a directory, which is there or ends in a slash.
        name: of the file where the path is that of a directory: the last part of the key.

    Raises:
        UsageError: it cannot be a file.
        DestinationError: it cannot be looked at.
    """
    if "\0" in path:
        raise UsageError(f"no file can have the path {path!r}")
    if path.endswith(("/", os.sep)) or os.path.isdir(path):
        if problem := path_problem(name):
            raise UsageError(
                f"the file of the key {name!r} needs another name: the key {problem}; name a file"
            )
        path = os.path.join(path, name)
    path = os.path.realpath(path)
    directory, name = os.path.split(path)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return Destination(directory, name, None)
    except OSError as error:
        raise _failed(path, error) from None
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{path!r} is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path!r} is no regular file; - writes to standard output")
    return Destination(directory, name, entry_of(name, found))


async def download_object(
    store: ObjectStore, key: str, place: Destination, options: FileOptions
) -> WrittenFile:
    """Download one object; again, if it is replaced meanwhile.

    Raises:
        StoreError: it cannot be read, or its bytes are not the right ones.
        DestinationError: the file cannot be written, or was changed by another program meanwhile.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with open_object(store, key, memory=options.memory, decode=options.decode) as reader:
                return await _Download(reader, place, options).run()
        except PreconditionFailedError:
            if attempt == _ATTEMPTS:
                raise
        except _WrongRangesError:
            pass  # of an earlier run; they are read again
    raise AssertionError("the last attempt returns or raises")


class _WrongRangesError(Exception):
    """The bytes that an earlier run has left are wrong."""


class _Download:
    """One attempt to download an object."""

    def __init__(self, reader: ObjectReader, place: Destination, options: FileOptions) -> None:
        self._reader = reader
        self._head = reader.head
        self._place = place
        self._options = options
        self._writer = TreeWriter(place.directory, fsync=options.fsync)

    async def run(self) -> WrittenFile:
        """Write the file and give it its name."""
        try:
            await to_thread.run_sync(self._writer.open)
            try:
                written = await (self._in_ranges() if self._is_large() else self._in_one())
            finally:
                self._writer.close()
        except ChangedHereError as error:
            raise DestinationError(f"{self._place.path!r} was not replaced: {error}") from None
        except OSError as error:
            raise _failed(self._place.path, error) from None
        return WrittenFile(self._place.path, written.size, self._head, self._reader.verified)

    def _is_large(self) -> bool:
        """Whether it is worth continuing after an interruption: more than one range."""
        return not self._reader.decodes and self._head.size > range_size_for(self._options.memory)

    @property
    def _mtime_ns(self) -> int:
        return file_mtime(self._head.metadata, self._head.last_modified)

    async def _in_one(self) -> SourceEntry:
        """Write the chunks one after the other to a temporary file, which no error leaves behind."""
        writer, place = self._writer, self._place
        with writer.directories(make=True) as directories:
            path, descriptor = await to_thread.run_sync(writer.create, directories, place.name)
            try:
                async for chunk in self._reader:
                    await to_thread.run_sync(write_all, descriptor, chunk)
                    self._options.on_bytes(len(chunk), 0 if self._reader.decodes else self._head.size)
                await to_thread.run_sync(self._finish, descriptor)
                written = await to_thread.run_sync(
                    writer.commit, directories, path, place.name, place.replaces
                )
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(writer.discard, directories, path)
                raise
            finally:
                os.close(descriptor)
        return written

    def _finish(self, descriptor: int) -> None:
        set_mtime(descriptor, self._mtime_ns)
        if self._options.fsync:
            os.fsync(descriptor)

    async def _in_ranges(self) -> SourceEntry:
        """Write the ranges to a file that stays, with a journal, where the download is interrupted."""
        head, range_size = self._head, range_size_for(self._options.memory)
        part = await to_thread.run_sync(
            PartFile.open, self._writer, self._place.name, head.size, head.etag, range_size
        )
        continued = set(part.finished)
        try:
            self._reader.use_saved(continued, lambda start, length: _read_back(part, start, length))
            start = 0
            async for chunk in self._reader:
                if start not in continued:
                    await to_thread.run_sync(part.write, start, chunk)
                start += len(chunk)
                self._options.on_bytes(len(chunk), head.size)
            return await to_thread.run_sync(part.commit, self._mtime_ns, self._place.replaces)
        except (IntegrityError, PreconditionFailedError, ChangedHereError) as error:
            await to_thread.run_sync(part.discard)
            if continued and isinstance(error, IntegrityError):
                raise _WrongRangesError from None
            raise
        finally:
            part.close()


async def _read_back(part: PartFile, start: int, length: int) -> bytes:
    buffer = bytearray(length)

    def read() -> None:
        done = 0
        with memoryview(buffer) as view:
            while done < length and (count := part.read_into(start + done, view[done:])):
                done += count

    await to_thread.run_sync(read)
    return bytes(buffer)


def _failed(path: str, error: OSError) -> DestinationError:
    reason = error.strerror or type(error).__name__
    return DestinationError(f"{path!r} cannot be written: {reason}")
