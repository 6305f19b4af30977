"""The list of a receipt on disk: the names of the source as they are compared, then the lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

from anyio.abc import ObjectSendStream
from anyio.streams.memory import MemoryObjectSendStream

from aios3sync.concurrency import in_thread
from aios3sync.core.entries import RecordedEntry, ScanBatch
from aios3sync.local.temporary import drop, temporary_file, temporary_space
from aios3sync.sync.prefetch import Producer

if TYPE_CHECKING:
    from aios3sync.manifest.protocol import Manifest

__all__ = ("ReceiptList",)

_GROUP: Final = 1000
_GROUP_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of files to hash after which the digests are recorded: a killed run is continued there."""
_CHUNK: Final = 1024 * 1024
_END: Final = b"\0"
"""Ends each noted name: no file name contains it."""


class ReceiptList:
    """The list of one run, on disk while it grows.

    Attributes:
        lines: the list, once :attr:`problem` is empty.
        files: how many it names.
        problem: why there is no list; empty where there is one.
        recorded: whether digests were added to the manifest.
    """

    def __init__(self) -> None:
        self._names: IO[bytes] = temporary_file()
        self.lines: IO[bytes] = temporary_file()
        self.files = 0
        self.problem = "the run failed"
        self.recorded = False

    def close(self) -> None:
        """Drop all of it. Blocks."""
        drop(self._names)
        drop(self.lines)

    def noting(self, produce: Producer) -> Producer:
        """Return a producer of the source that notes every name; a new beginning drops the names."""

        async def produce_noted(out: MemoryObjectSendStream[Any]) -> None:
            await in_thread(_restart, self._names)
            noted: Any = _NotingStream(out, self._names)
            await produce(noted)

        return produce_noted

    def restart(self) -> None:
        """Begin the list anew. Blocks."""
        _restart(self.lines)
        self.files = 0

    def add(self, lines: Sequence[bytes]) -> None:
        """Add lines. Blocks."""
        with temporary_space():
            self.lines.writelines(lines)
            self.lines.flush()  # a full disk is found here, and not where the list is read again
        self.files += len(lines)

    def groups(self, manifest: Manifest) -> Iterator[list[RecordedEntry]]:
        """Yield the rows of the noted names, in key order. Blocks."""
        rows = _rows(manifest)
        row = next(rows, None)
        group: list[RecordedEntry] = []
        unhashed = 0
        for key in self._keys():
            while row is not None and row.key < key:
                row = next(rows, None)
            if row is None or row.key != key or key.endswith("/"):
                continue
            group.append(row)
            unhashed += 0 if row.sha256 else row.size
            if len(group) >= _GROUP or unhashed >= _GROUP_BYTES:
                yield group
                group, unhashed = [], 0
        if group:
            yield group

    def _keys(self) -> Iterator[str]:
        with temporary_space():
            self._names.seek(0)
            rest = b""
            while chunk := self._names.read(_CHUNK):
                *names, rest = (rest + chunk).split(_END)
                yield from map(bytes.decode, names)


class _NotingStream(ObjectSendStream[Any]):
    """Notes the keys of the batches that pass through."""

    def __init__(self, out: ObjectSendStream[Any], names: IO[bytes]) -> None:
        self._out = out
        self._names = names

    async def send(self, item: ScanBatch[Any]) -> None:
        """Note the keys of a batch, and send it on."""
        await in_thread(self._note, item.entries)
        await self._out.send(item)

    async def aclose(self) -> None:
        """Leave the stream open: its owner closes it."""

    def _note(self, entries: Sequence[Any]) -> None:
        with temporary_space():
            self._names.writelines(entry.key.encode() + _END for entry in entries)


def _restart(file: IO[bytes]) -> None:
    with temporary_space():
        file.seek(0)
        file.truncate()


def _rows(manifest: Manifest) -> Iterator[RecordedEntry]:
    after = ""
    while page := manifest.rows_after(after, _GROUP):
        yield from page
        after = page[-1].key
