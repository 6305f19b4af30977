"""The manifest as a file with one JSON document; see :mod:`aios3sync.manifest.json_format`.

The file is written atomically: a temporary file, fsync, rename. The whole document is in memory: 1.1 GB for a
million files, where the SQLite manifest needs 16 MB.
"""

from __future__ import annotations

import bisect
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from anyio import to_thread

from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import ManifestError
from aios3sync.manifest.json_format import dump_document, kept_by_stat, load_document
from aios3sync.manifest.protocol import Binding, ManifestState, Stat

__all__ = ("DocumentManifest",)

_SAVE_INTERVAL: Final = 5.0
"""Seconds between two saves during a run; writing a large document takes a while."""


class DocumentManifest:
    """See :class:`~aios3sync.manifest.protocol.Manifest`."""

    def __init__(
        self,
        path: str,
        rows: dict[str, RecordedEntry],
        state: ManifestState,
        binding: Binding | None,
    ) -> None:
        self._path = path
        self._rows = rows
        self._keys: list[str] | None = None
        self._state = state
        self._binding = binding
        self._dirty = False
        self._saving = threading.Lock()
        self._saved_at = time.monotonic()

    @classmethod
    def open(cls, path: str) -> DocumentManifest:
        """Read the file, or create a new one. Blocks.

        Raises:
            ValueError: the file is no manifest (see :func:`load_document`).
            ManifestError: it cannot be read.
        """
        try:
            content = Path(path).read_bytes()
        except FileNotFoundError:
            return cls(path, {}, ManifestState(), None)
        except OSError as error:
            raise ManifestError(f"the manifest {path!r} cannot be read: {error.strerror}") from error
        return cls(path, *load_document(content))

    @property
    def place(self) -> str:
        """The path."""
        return self._path

    @property
    def binding(self) -> Binding | None:
        """The pair that the file is bound to."""
        return self._binding

    def bind(self, binding: Binding) -> None:
        """Bind the document to a pair; a document that was bound to none is not known to be complete."""
        self._binding = binding
        self._dirty = True

    async def state(self) -> ManifestState:
        """Return the state."""
        return self._state

    async def save_state(self, state: ManifestState) -> None:
        """Replace the state and save the document."""
        self._state = state
        self._dirty = True
        await to_thread.run_sync(self._save)

    async def page(self, after: str | None, limit: int) -> list[RecordedEntry]:
        """Return rows greater than ``after``."""
        return self.rows_after(after or "", limit)

    def rows_through(self, after: str, last: str) -> list[RecordedEntry]:
        """Return rows greater than ``after``, up to ``last``."""
        rows: list[RecordedEntry] = []
        while page := self.rows_after(after, 1000):
            rows += [row for row in page if row.key <= last]
            after = page[-1].key
            if after >= last:
                break
        return rows

    def stats_after(self, after: str, limit: int, headers: tuple[str, str] | None = None) -> list[Stat]:
        """Return stats of rows greater than ``after``."""
        return [
            (*row[:4], row.inode if kept_by_stat(row, headers) else -1)
            for row in self.rows_after(after, limit)
        ]

    def rows_after(self, after: str, limit: int) -> list[RecordedEntry]:
        """Return rows greater than ``after``."""
        if self._keys is None or not after:
            self._keys = sorted(self._rows)
        place = bisect.bisect_right(self._keys, after)
        page: list[RecordedEntry] = []
        while len(page) < limit and place < len(self._keys):
            row = self._rows.get(self._keys[place])
            place += 1
            if row is not None:
                page.append(row)
        return page

    async def key_after(self, after: str, rows: int) -> str | None:
        """Return the key ``rows`` rows after another one."""
        page = self.rows_after(after, rows)
        return page[-1].key if len(page) == rows else None

    async def get(self, key: str) -> RecordedEntry | None:
        """Return one row."""
        return self._rows.get(key)

    async def count(self) -> int:
        """Return how many rows there are."""
        return len(self._rows)

    async def lacks_headers(self) -> bool:
        """Return whether there is a row without a record of its headers."""
        return any(not row.headers for row in self._rows.values())

    async def record(self, rows: Sequence[RecordedEntry], gone: Sequence[str]) -> None:
        """Write and drop rows; saved every few seconds, and at the end."""
        self._rows.update((row.key, row) for row in rows)
        for key in gone:
            self._rows.pop(key, None)
        self._dirty = True
        if time.monotonic() - self._saved_at > _SAVE_INTERVAL:
            await to_thread.run_sync(self._save)

    async def clear(self) -> None:
        """Drop all rows and the state."""
        self._rows.clear()
        self._keys = None
        self._state = ManifestState()
        self._dirty = True

    async def close(self) -> None:
        """Save pending changes."""
        if self._dirty:
            await to_thread.run_sync(self._save)

    def _save(self) -> None:
        """Write the current document. Blocks; the event loop may record further rows meanwhile.

        Only one save at a time: an earlier save, with fewer rows, must never replace a later one.
        """
        with self._saving:
            self._dirty = False  # before the rows are copied: rows recorded from now on are for the next save
            try:
                self._write(dict(self._rows))  # one step of the interpreter
            except BaseException:
                self._dirty = True
                raise
            self._saved_at = time.monotonic()

    def _write(self, rows: Mapping[str, RecordedEntry]) -> None:
        root = self._binding.source if self._binding else ""
        content = dump_document(rows, self._state, self._binding, root)
        directory = os.path.dirname(os.path.abspath(self._path))
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            _replace(self._path, content)
        except OSError as error:
            raise ManifestError(f"the manifest {self._path!r} cannot be written: {error.strerror}") from error


def _replace(path: str, content: bytes) -> None:
    directory, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f"{name}.tmp-", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
