"""Downloads one object to a file: atomically and verified; the next call continues a large one.

The file is written under a temporary name in the same directory, and renamed when its bytes are verified. An
existing file is replaced only if it has not changed since the download began.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import SourceEntry, TargetEntry
from aios3sync.core.local_names import path_problem
from aios3sync.core.mtimes import file_mtime
from aios3sync.errors import DestinationError, ObjectNotFoundError, PreconditionFailedError, UsageError
from aios3sync.local.digest import entry_of
from aios3sync.local.write import ChangedHereError, TreeWriter, set_mtime, write_all
from aios3sync.objects.reader import (
    READ_AHEAD,
    ObjectReader,
    changed_object,
    open_object,
    other_content,
    range_size_for,
)
from aios3sync.store.protocol import HeadResult, ObjectStore
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.transfers.object_version import ChangedObjectError, ObjectVersion
from aios3sync.sync.transfers.range_buffers import RangeBuffers
from aios3sync.sync.transfers.range_plan import plan_ranges
from aios3sync.sync.transfers.ranged_download import ATTEMPTS, RangedDownload, open_part_file
from aios3sync.sync.transfers.received import WrongBytesError

__all__ = ("Destination", "FileOptions", "WrittenFile", "destination_of", "download_object")


class Destination(NamedTuple):
    """The destination of a file.

    Attributes:
        directory: absolute, links resolved; created if missing.
        name: of the file in it.
        replaces: the existing file, ``None`` for none.
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
        decode: whether to restore the original of an object that a sync has compressed.
        fsync: whether it is on the disk before it gets its name.
        memory: bytes that may be read ahead.
        on_bytes: called with the number of bytes of each written piece, and the size of the whole (0 while
            unknown); with a negative number for bytes that have to be read again.
    """

    decode: bool = True
    fsync: bool = True
    memory: int = READ_AHEAD
    on_bytes: Callable[[int, int], None] = lambda _, __: None


class WrittenFile(NamedTuple):
    """The result of a download: the path and the size of the file, and what proved the bytes."""

    path: str
    size: int
    head: HeadResult
    verified: str


def destination_of(path: str, name: str) -> Destination:
    """Return the destination of an object that is copied to a path. Blocks.

    Args:
        path: of a file; or of a directory, which exists or ends in a slash.
        name: of the file where the path is that of a directory: the last part of the key.

    Raises:
        UsageError: it cannot be the path of a file.
        DestinationError: it cannot be checked.
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
    """Download one object; try again if it is replaced meanwhile.

    Raises:
        StoreError: it cannot be read, or its bytes are wrong.
        DestinationError: the file cannot be written, or was changed by another program meanwhile.
    """
    download = _Download(store, key, place, options)
    for _ in range(ATTEMPTS - 1):
        try:
            return await download.run()
        except PreconditionFailedError:
            pass
        except _WrongRangesError:
            pass  # of an earlier run; they are read again
    return await download.run()


class _WrongRangesError(Exception):
    """The bytes that an earlier run has written are wrong."""


class _Download:
    """The download of an object, which may be attempted again."""

    def __init__(self, store: ObjectStore, key: str, place: Destination, options: FileOptions) -> None:
        self._store = store
        self._key = key
        self._place = place
        self._options = options

    async def run(self) -> WrittenFile:
        """Make one attempt: write the file and give it its name."""
        options, path = self._options, self._place.path
        writer = TreeWriter(self._place.directory, fsync=options.fsync)
        opened = open_object(self._store, self._key, memory=options.memory, decode=options.decode)
        try:
            async with opened as reader:
                await to_thread.run_sync(writer.open)
                try:
                    if self._is_large(reader):
                        return await self._in_ranges(writer, reader)
                    return await self._in_one(writer, reader)
                finally:
                    writer.close()
        except ChangedHereError as error:
            raise DestinationError(f"{path!r} was not replaced: {error}") from None
        except OSError as error:
            raise _failed(path, error) from None

    def _is_large(self, reader: ObjectReader) -> bool:
        """Whether the object has more than one range, so that an interrupted download can be continued."""
        return not reader.decodes and reader.head.size > range_size_for(self._options.memory)

    async def _in_one(self, writer: TreeWriter, reader: ObjectReader) -> WrittenFile:
        """Write the chunks one after the other to a temporary file, which every error removes."""
        place, head = self._place, reader.head
        with writer.directories(make=True) as directories:
            path, descriptor = await to_thread.run_sync(writer.create, directories, place.name)
            try:
                async for chunk in reader:
                    await to_thread.run_sync(write_all, descriptor, chunk)
                    self._options.on_bytes(len(chunk), 0 if reader.decodes else head.size)
                await to_thread.run_sync(self._finish, descriptor, head)
                written = await to_thread.run_sync(
                    writer.commit, directories, path, place.name, place.replaces
                )
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(writer.discard, directories, path)
                raise
            finally:
                os.close(descriptor)
        return WrittenFile(place.path, written.size, head, reader.verified)

    def _finish(self, descriptor: int, head: HeadResult) -> None:
        set_mtime(descriptor, _mtime_ns(head))
        if self._options.fsync:
            os.fsync(descriptor)

    async def _in_ranges(self, writer: TreeWriter, reader: ObjectReader) -> WrittenFile:
        """Write ranges, several at a time, to a file that stays if the download is interrupted.

        Raises:
            _WrongRangesError: those that an earlier run has written are wrong; they are dropped now.
        """
        store, key, place, head = self._store, self._key, self._place, reader.head
        entry = TargetEntry(key, head.size, head.etag, head.last_modified)
        plan = plan_ranges(head.size, head.etag, largest=range_size_for(self._options.memory))
        buffers = RangeBuffers(ByteSemaphore(self._options.memory))
        resumed = 0
        try:
            async with open_part_file(writer, place.name, entry, plan.range_size) as part:
                ranges = RangedDownload(
                    ObjectVersion(store, key, entry),
                    part,
                    plan,
                    buffers,
                    opaque=store.capabilities.opaque_etags,
                    on_bytes=lambda size: self._options.on_bytes(size, head.size),
                )
                resumed = ranges.resumed
                async with ranges.fetched(first=(head, reader.first)) as verified:
                    written = await to_thread.run_sync(part.commit, _mtime_ns(head), place.replaces)
        except (ChangedObjectError, ObjectNotFoundError):
            raise changed_object(store, key) from None
        except WrongBytesError as error:
            if resumed:
                raise _WrongRangesError from None
            raise other_content(store, key, str(error)) from None
        return WrittenFile(place.path, written.size, head, verified.proof)


def _mtime_ns(head: HeadResult) -> int:
    return file_mtime(head.metadata, head.last_modified)


def _failed(path: str, error: OSError) -> DestinationError:
    reason = error.strerror or type(error).__name__
    return DestinationError(f"{path!r} cannot be written: {reason}")
