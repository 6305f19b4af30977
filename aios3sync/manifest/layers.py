"""LayeredManifest: several files as one manifest: the top one is written, those below are only read.

A run on several machines writes one file for each range of keys. The next run writes a file of its own on top
of them, so that no file ever has two writers, and none is rewritten because the ranges change. The file
itself names the layers below (table ``layers``), the newest first. A row of a layer hides those of older
ones, and so does a key in its table ``gone``.

Invariants:

* A layer that is only read was closed by its writer: a file that a dead run left open is copied first
  (:func:`.layer_files.copy_file`), by SQLite, which rolls back an incomplete transaction.
* All of the layers below belong to the pair of the file on top; nothing else names them there.
"""

from __future__ import annotations

import os
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import in_thread
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.key_range import KeyRange
from aios3sync.manifest.protocol import Stat
from aios3sync.manifest.sqlite import SqliteManifest

__all__ = ("Layer", "LayeredManifest")

_LAYERS: Final = "SELECT path, first, end FROM layers ORDER BY position"
_HAS: Final = "SELECT 1 FROM {} LIMIT 1"
_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
_GONE: Final = "SELECT key FROM gone WHERE key > ? AND key <= ?"
_IS_GONE: Final = "SELECT 1 FROM gone WHERE key = ?"
_WITHOUT_HEADERS: Final = "SELECT 1 FROM entries WHERE headers = '' LIMIT 1"
_PAGE: Final = 2000

ItemT = TypeVar("ItemT", bound=tuple[Any, ...])
_Fetch = Callable[[SqliteManifest, str, str, int, bool], Sequence[ItemT]]
"""Reads items that begin with their key, from a file: low key, end, limit, and whether low is exclusive."""


class Layer(NamedTuple):
    """A file that is read, and the range of keys for which it counts.

    Attributes:
        path: absolute, or relative to the directory of the file that names it.
        first: the least key.
        end: exclusive; empty for no end.
    """

    path: str
    first: str = ""
    end: str = ""

    @property
    def key_range(self) -> KeyRange:
        """The range of keys."""
        return KeyRange(self.first, self.end)


class _Files(NamedTuple):
    """The files that count between two keys, the newest first."""

    first: str
    end: str
    files: tuple[SqliteManifest, ...]


class LayeredManifest(SqliteManifest):
    """See :class:`~aios3sync.manifest.protocol.Manifest`; the top file and all layers below it."""

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        """Blocks."""
        self._below: dict[str, SqliteManifest] = {}
        self._layers: tuple[Layer, ...] = ()
        self._spans = [_Files("", "", (self,))]
        self._starts = [""]
        self._filled: set[SqliteManifest] = set()
        self._hiding: set[SqliteManifest] = set()
        super().__init__(connection, place)
        self._tables = ["entries"]
        if self.select(_TABLE, ("layers",)):
            self.open_below(place)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The files below, by absolute paths, the newest first."""
        return self._layers

    @property
    def written(self) -> bool:
        """Whether the top file has rows or hides some. Blocks."""
        return any(self.select(_HAS.format(table)) for table in self._tables)

    def open_below(self, place: str) -> None:
        """Open the layers that the file names; ``place`` is the path of the manifest. Blocks."""
        self._place = place
        self._tables = ["entries", "gone"]
        directory = os.path.dirname(os.path.abspath(place))
        named = [Layer(*row) for row in self.select(_LAYERS)]
        self._layers = tuple(
            layer._replace(path=os.path.normpath(os.path.join(directory, layer.path))) for layer in named
        )
        try:
            for path in dict.fromkeys(layer.path for layer in self._layers):
                self._below[path] = SqliteManifest.open(path, read_only=True)
            self._look()
        except BaseException:
            self._close_below()
            raise
        edges = sorted({"", *(layer.first for layer in self._layers), *(layer.end for layer in self._layers)})
        self._spans = [
            _Files(first, end, (self, *self._used(first)))
            for first, end in zip(edges, [*edges[1:], ""], strict=True)
        ]
        self._starts = edges

    def _look(self) -> None:
        """Find out which files have rows, and which hide some: only those are read."""
        for file in (self, *self._below.values()):
            if file.select(_HAS.format("entries")):
                self._filled.add(file)
            if file.select(_TABLE, ("gone",)) and file.select(_HAS.format("gone")):
                self._hiding.add(file)

    def _used(self, key: str) -> Iterator[SqliteManifest]:
        """Yield the files below that count for a key; those without any content are left out."""
        for layer in self._layers:
            file = self._below[layer.path]
            if layer.key_range.holds(key) and (file in self._filled or file in self._hiding):
                yield file

    def _change(self, rows: Sequence[RecordedEntry], gone: Sequence[str]) -> None:
        super()._change(rows, gone)
        if self._layers:
            self._connection.executemany("DELETE FROM gone WHERE key = ?", ((row.key,) for row in rows))
            self._connection.executemany("INSERT OR IGNORE INTO gone VALUES (?)", ((key,) for key in gone))
            if gone:
                self._hiding.add(self)
        if rows:
            self._filled.add(self)

    def _clear(self) -> None:
        super()._clear()
        if "gone" in self._tables:
            self._connection.execute("DELETE FROM gone")
            self._connection.execute("DELETE FROM layers")
        self._layers, self._spans, self._starts = (), [_Files("", "", (self,))], [""]

    # Reading: each span of keys has its files; where one alone has anything, it is asked alone.

    def rows_after(self, after: str, limit: int) -> list[RecordedEntry]:
        """Return rows greater than ``after``."""
        return self._merged(_read_rows, after, "", limit, exclusive=True)

    def rows_from(self, low: str, end: str, limit: int, *, exclusive: bool) -> list[RecordedEntry]:
        """Return up to ``limit`` rows between two keys; see :meth:`rows_within`. Blocks."""
        return self._merged(_read_rows, low, end, limit, exclusive=exclusive)

    def rows_through(self, after: str, last: str) -> list[RecordedEntry]:
        """Return rows greater than ``after``, up to ``last``."""
        found: list[RecordedEntry] = []
        low, end = after, f"{last}\0"  # the least text that is greater than the last key
        while page := self._merged(_read_rows, low, end, _PAGE, exclusive=True):
            found += page
            low = page[-1].key
        return found

    def stats_after(self, after: str, limit: int, headers: tuple[str, str] | None = None) -> list[Stat]:
        """Return stats of rows greater than ``after``."""

        def read(file: SqliteManifest, low: str, end: str, most: int, exclusive: bool) -> Sequence[Stat]:
            return file.stats_within(low, end, most, headers, exclusive=exclusive)

        return self._merged(read, after, "", limit, exclusive=True)

    async def key_after(self, after: str, rows: int) -> str | None:
        """Return the key ``rows`` rows after another one."""
        return await in_thread(self.key_after_now, after, rows)

    def key_after_now(self, after: str, rows: int) -> str | None:
        """Return the same. Blocks."""
        while rows > 0 and (keys := self._merged(_read_keys, after, "", min(rows, _PAGE), exclusive=True)):
            after, rows = keys[-1][0], rows - len(keys)
        return None if rows > 0 else after

    def has_more_rows(self, rows: int) -> bool:
        """Whether there are more than ``rows`` rows. Blocks."""
        return self.key_after_now("", rows + 1) is not None

    async def get(self, key: str) -> RecordedEntry | None:
        """Return one row."""
        return await in_thread(self._get, key)

    def _get(self, key: str) -> RecordedEntry | None:
        for file in self._span_of(key).files:
            rows = file.rows_within(key, "", 1, exclusive=False)
            if rows and rows[0].key == key:
                return rows[0]
            if file in self._hiding and file.select(_IS_GONE, (key,)):
                return None
        return None

    async def count(self) -> int:
        """Return how many rows there are."""
        return await in_thread(self._count)

    def _count(self) -> int:
        found, after = 0, ""
        while keys := self._merged(_read_keys, after, "", _PAGE, exclusive=True):
            found, after = found + len(keys), keys[-1][0]
        return found

    async def lacks_headers(self) -> bool:
        """Return whether there is a row without a record of its headers."""
        return await in_thread(self._lacks_headers)

    def _lacks_headers(self) -> bool:
        if not any(file.select(_WITHOUT_HEADERS) for file in (self, *self._below.values())):
            return False
        after = ""
        while rows := self.rows_after(after, _PAGE):
            if any(not row.headers for row in rows):
                return True
            after = rows[-1].key
        return False

    def close_now(self) -> None:
        """Close the files. Blocks."""
        super().close_now()
        self._close_below()

    def finish(self) -> None:
        """Write the contents of a journal to the file itself: others read only the file. Blocks."""
        self.select("PRAGMA journal_mode = DELETE")

    def _close_below(self) -> None:
        for file in self._below.values():
            file.close_now()

    def _span_of(self, key: str) -> _Files:
        place = bisect_left(self._starts, key)
        here = place < len(self._starts) and self._starts[place] == key
        return self._spans[place if here else max(place - 1, 0)]

    def _merged(
        self, fetch: _Fetch[ItemT], low: str, end: str, limit: int, *, exclusive: bool
    ) -> list[ItemT]:
        """Return up to ``limit`` items of all files between two keys, ascending."""
        found: list[ItemT] = []
        while len(found) < limit:
            span = self._span_of(low)
            bound = min(filter(None, (span.end, end)), default="")
            found += self._merged_in(fetch, span, low, bound, limit - len(found), exclusive=exclusive)
            if len(found) >= limit or not bound or bound == end:
                break
            low, exclusive = bound, False
        return found

    def _merged_in(
        self, fetch: _Fetch[ItemT], span: _Files, low: str, end: str, limit: int, *, exclusive: bool
    ) -> list[ItemT]:
        """Return up to ``limit`` items within one span.

        ``limit`` items are read from each file. Items after the last key of a file that may have more are
        left out, since a smaller key of that file could be missing: they are read again in the next stretch.
        """
        files = [file for file in span.files if file in self._filled or file in self._hiding]
        if len(files) == 1:
            return list(fetch(files[0], low, end, limit, exclusive))
        found: list[ItemT] = []
        while len(found) < limit:
            parts = [fetch(file, low, end, limit, exclusive) for file in files]
            horizon = min((part[-1][0] for part in parts if len(part) == limit), default=None)
            found += self._overlaid(files, parts, low, horizon)
            if horizon is None:
                break
            low, exclusive = horizon, True
        return found[:limit]

    def _overlaid(
        self,
        files: Sequence[SqliteManifest],
        parts: Sequence[Sequence[ItemT]],
        low: str,
        horizon: str | None,
    ) -> list[ItemT]:
        """Return the items up to a key; those of newer files replace those of older ones."""
        found: dict[str, ItemT] = {}
        for file, part in zip(reversed(files), reversed(parts), strict=True):
            if found and file in self._hiding:
                last = max(found) if horizon is None else horizon
                for (key,) in file.select(_GONE, (low, last)):
                    found.pop(key, None)
                if file.select(_IS_GONE, (low,)):
                    found.pop(low, None)
            found.update((item[0], item) for item in part if horizon is None or item[0] <= horizon)
        return [found[key] for key in sorted(found)]


def _read_rows(file: SqliteManifest, low: str, end: str, most: int, exclusive: bool) -> Sequence[Any]:
    return file.rows_within(low, end, most, exclusive=exclusive)


def _read_keys(file: SqliteManifest, low: str, end: str, most: int, exclusive: bool) -> Sequence[Any]:
    return file.keys_within(low, end, most, exclusive=exclusive)
