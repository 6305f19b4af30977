"""Makes, copies and joins the files of a layered manifest; see :mod:`.layers`. Everything blocks."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from aios3sync._dataclass import asdict
from aios3sync.manifest.layers import Layer, LayeredManifest
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.sqlite import SqliteManifest, connect

__all__ = ("begin_layers", "copy_file", "copy_rows", "is_closed", "temporary_layers", "was_begun")

_SCHEMA: Final = (
    "CREATE TABLE layers (position INTEGER PRIMARY KEY, path TEXT, first TEXT, end TEXT)",
    "CREATE TABLE gone (key TEXT PRIMARY KEY) WITHOUT ROWID",
)
_HAS_LAYERS: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'layers'"
_JOURNALS: Final = ("-wal", "-journal")
_PAGE: Final = 2000


def begin_layers(path: str, binding: Binding, state: ManifestState, layers: Sequence[Layer]) -> None:
    """Make the top file of a layered manifest. Blocks.

    Args:
        path: of the file, which is empty or absent.
        binding: the pair of all of them.
        state: of all layers together.
        layers: the files below, the newest first.

    Raises:
        ManifestError: the file cannot be written.
    """
    manifest = SqliteManifest.open(path)
    try:
        manifest.bind(binding)
        manifest.transact(lambda connection: _fill(connection, state, layers))
    finally:
        manifest.close_now()


def temporary_layers(
    place: str, binding: Binding, state: ManifestState, layers: Sequence[Layer]
) -> LayeredManifest:
    """Open files to be read as one manifest; writes are dropped when it is closed. Blocks.

    Raises:
        ManifestError: a file cannot be read.
        ValueError: a file is damaged.
    """
    manifest = LayeredManifest.open("")
    assert isinstance(manifest, LayeredManifest)  # noqa: S101 - as the class method makes one
    manifest.bind(binding)
    manifest.transact(lambda connection: _fill(connection, state, layers))
    manifest.open_below(place)
    return manifest


def _fill(connection: sqlite3.Connection, state: ManifestState, layers: Sequence[Layer]) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    text = json.dumps(asdict(state), separators=(",", ":"))
    connection.execute("INSERT OR REPLACE INTO state VALUES ('state', ?)", (text,))
    rows = ((number, *layer) for number, layer in enumerate(layers))
    connection.executemany("INSERT INTO layers VALUES (?, ?, ?, ?)", rows)


def is_closed(path: str) -> bool:
    """Whether the writer of a file has closed it. Blocks."""
    return not any(_size(path + suffix) for suffix in _JOURNALS)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def was_begun(path: str) -> bool:
    """Whether :func:`begin_layers` has finished the file, which it writes in one transaction. Blocks.

    SQLite rolls back an incomplete transaction of a file that was not closed, so it is opened for writing.
    """
    if not _size(path):
        return False
    try:
        with closing(connect(path, read_only=is_closed(path))) as connection:
            return connection.execute(_HAS_LAYERS).fetchone() is not None
    except sqlite3.DatabaseError:  # it is damaged
        return False


def copy_file(path: str, copy: str) -> None:
    """Copy a file that its writer has not closed, as of its last complete transaction. Blocks.

    Raises:
        sqlite3.Error: it is damaged, or the copy cannot be written.
    """
    with closing(connect(path)) as source, closing(connect(copy)) as target:
        source.backup(target)


def copy_rows(manifest: LayeredManifest, path: str, first: str = "", end: str = "") -> None:
    """Write the rows of a range to a file of their own, so that the layers need not be read again. Blocks.

    Raises:
        ManifestError: a file cannot be read or written.
    """
    target = SqliteManifest.open(path)
    try:
        low, exclusive = first, False
        while rows := manifest.rows_from(low, end, _PAGE, exclusive=exclusive):
            target.record_now(rows, ())
            low, exclusive = rows[-1].key, True
        if manifest.binding is not None:
            target.bind(manifest.binding)
    finally:
        target.close_now()
