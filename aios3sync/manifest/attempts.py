"""AttemptNotes: what an attempt at a part of a run records for the next one, in addition to the rows.

The counts are in the manifest, written in the transaction of the rows that they count. The keys of transfers
that are about to begin are in a file next to it: one write is enough for many keys, and needs no transaction.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from aios3sync.concurrency import in_thread
from aios3sync.manifest.root import attempt_of
from aios3sync.manifest.sqlite import SqliteManifest

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry
    from aios3sync.manifest.protocol import Manifest

__all__ = ("AttemptNotes",)

_IN_HAND: Final = ".handed"
_END: Final = b"\0"
"""Ends each key in such a file: no key contains it, and a truncated key has none."""
_PAGE: Final = 500
_CHUNK: Final = 2**20


class AttemptNotes:
    """The notes of one attempt, which begin with those of earlier attempts.

    Args:
        manifest: the file of this attempt, with what the one before had recorded.
        run: names the whole run; counts of other runs are ignored.
        number: of the run in the rows.

    Attributes:
        counts: the counts recorded so far.
        continued: whether an earlier attempt has recorded some.
        in_hand: keys that an earlier attempt was about to transfer, and has not recorded.
    """

    def __init__(self, manifest: Manifest, run: str, number: int) -> None:
        """Blocks."""
        assert isinstance(manifest, SqliteManifest)  # noqa: S101 - as the files of shards are
        self._manifest = manifest
        self._run = run
        self._number = number
        kept = manifest.counts_now()
        self.continued = kept.get("of") == run
        self.counts: Mapping[str, int] = kept["counts"] if self.continued else {}
        self._path = f"{manifest.place}{_IN_HAND}" if manifest.place else ""
        self.in_hand = set(self._not_recorded())

    async def record(
        self, rows: Sequence[RecordedEntry], gone: Sequence[str], counts: Mapping[str, int]
    ) -> None:
        """Write and drop rows, and replace the counts, all or nothing.

        Raises:
            ManifestError: it cannot be written.
        """
        kept = {"of": self._run, "counts": dict(counts)}
        await in_thread(self._manifest.record_now, rows, gone, kept)
        self.counts = counts

    async def take_in_hand(self, keys: Sequence[str]) -> None:
        """Note the keys of transfers that are about to begin; this attempt records their outcomes itself."""
        self.in_hand.difference_update(keys)
        if self._path:
            await in_thread(self._append, b"".join(os.fsencode(key) + _END for key in keys))

    def _append(self, noted: bytes) -> None:
        with suppress(OSError):  # then what is sent counts as found there, if this attempt is broken off
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, noted)
            finally:
                os.close(descriptor)

    def _not_recorded(self) -> Iterator[str]:
        """Yield the keys that were noted but are not recorded."""
        noted = self._noted()
        while page := list(islice(noted, _PAGE)):
            marks = ", ".join("?" * len(page))
            sql = f"SELECT key FROM entries WHERE run = ? AND key IN ({marks})"  # noqa: S608
            done = {key for (key,) in self._manifest.select(sql, (self._number, *page))}
            yield from (key for key in page if key not in done)

    def _noted(self) -> Iterator[str]:
        """Yield the keys that all attempts so far have noted."""
        directory, name = os.path.split(self._path)
        stem = _stem(name)
        if not stem:
            return
        for file in sorted(os.listdir(directory)):
            if _stem(file) == stem:
                rest = b""
                with open(os.path.join(directory, file), "rb") as noted:
                    while chunk := noted.read(_CHUNK):
                        *whole, rest = (rest + chunk).split(_END)
                        yield from map(os.fsdecode, whole)


def _stem(file: str) -> str:
    """Return the name of the layer whose attempt wrote a file of keys; empty for other files."""
    found = attempt_of(file.removesuffix(_IN_HAND)) if file.endswith(_IN_HAND) else None
    return "" if found is None else found[0]
