"""Opens a manifest of several files as one, for a run on one machine, which writes a new file on top.

The run names itself and its file in the root document before it writes the first row, so that a run after a
crash finds what was recorded, and trusts nothing. It puts the document in order when it closes the manifest.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aios3sync._dataclass import replace
from aios3sync.errors import ManifestError
from aios3sync.manifest.layer_files import (
    begin_layers,
    copy_file,
    copy_rows,
    is_closed,
    temporary_layers,
    was_begun,
)
from aios3sync.manifest.layers import Layer, LayeredManifest
from aios3sync.manifest.lock import has_ended, this_process
from aios3sync.manifest.open_runs import RENEWED_S, OpenRun
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.root import ATTEMPTS, RangeLayers, Root, begun, ended, renewed
from aios3sync.manifest.root_directory import RootDirectory
from aios3sync.manifest.sqlite import SqliteManifest

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry

__all__ = ("MOST_LAYERS", "begin_attempt", "layers_of", "open_shards")

MOST_LAYERS: Final = 6
"""Files below the top one: each of them is read for every page of rows."""


def layers_of(
    directory: RootDirectory, shards: Sequence[RangeLayers], *, read_only: bool = False
) -> list[Layer]:
    """Return the files of shards, the newest first for every key. Blocks.

    An attempt that its run has not closed is copied; where nothing may be written, it is left out. That only
    costs time: the state of such a manifest says that the run has to list.

    Args:
        directory: where they are.
        shards: of the document.
        read_only: write nothing.

    Raises:
        ManifestError: a file cannot be read or copied.
    """
    names = {name: None for shard in shards for name in shard.layers}
    files = {name: _file_to_read(directory, name, read_only=read_only) for name in names}
    return [
        Layer(files[name], shard.first, shard.end) for shard in shards for name in shard.layers if files[name]
    ]


def _file_to_read(directory: RootDirectory, name: str, *, read_only: bool) -> str:
    """Return the closed file of a layer, or of its latest attempt; empty where there is none.

    A process may be killed while it creates the file of an attempt. Such a file has no rows and names no
    layers, and would hide the rows below it if it counted.
    """
    if not name.endswith(ATTEMPTS):
        path = directory.file(name)
        if not path or is_closed(path):
            return path
        return "" if read_only else _closed(path)
    stem = name.removesuffix(ATTEMPTS)
    for path in directory.attempts(stem):
        closed = is_closed(path)  # asked first: a look at it may close it
        if (closed or not read_only) and was_begun(path):
            return path if closed else _copied(directory, stem, path)
    return ""


def _closed(path: str) -> str:
    """Return the path of a file that no run writes now, once SQLite has closed it."""
    SqliteManifest.open(path).close_now()
    return path


def _copied(directory: RootDirectory, stem: str, path: str) -> str:
    """Return a copy of an unclosed attempt, as the next attempt: the original may still be written."""
    copy = directory.next_attempt(stem)
    try:
        copy_file(path, copy)
    except sqlite3.Error as error:
        with suppress(OSError):
            os.unlink(copy)
        raise ManifestError(f"the manifest {path!r} cannot be copied: {error}") from error
    return copy


def begin_attempt(
    directory: RootDirectory,
    name: str,
    binding: Binding,
    state: ManifestState,
    layers: Sequence[Layer],
    *,
    only: tuple[str, str] | None = None,
) -> str:
    """Create the file of the next attempt at a layer, with the rows of the last one that was begun. Blocks.

    Args:
        directory: of the file.
        name: of the layer, without the suffix of attempts.
        binding: the pair.
        state: of the manifest.
        layers: below the first attempt, by paths that are absolute or relative to the directory.
        only: the first key and the end of the only range that is wanted. Where there are many layers, its
            rows are copied, so that the layers are no longer needed.

    Returns:
        Its path.

    Raises:
        ManifestError: it cannot be written.
        ValueError: a file is damaged.
    """
    before = next(filter(was_begun, directory.attempts(name)), "")
    path = directory.next_attempt(name)
    if before:
        try:
            copy_file(before, path)
        except sqlite3.Error:
            os.truncate(path, 0)  # the file before is damaged: begin again without it
        else:
            return path
    if only is not None and len({layer.path for layer in layers}) > MOST_LAYERS:
        known = temporary_layers(path, binding, state, layers)
        try:
            copy_rows(known, path, *only)
        finally:
            known.close_now()
        layers = ()
    begin_layers(path, binding, state, layers)
    return path


def open_shards(directory: RootDirectory, root: Root, *, read_only: bool = False) -> LayeredManifest:
    """Open all files that a root document names as one manifest. Blocks.

    Raises:
        ManifestError: a file cannot be read or written.
        ValueError: a file is damaged.
    """
    layers = layers_of(directory, root.shards, read_only=read_only)
    if read_only:
        return temporary_layers(directory.path, root.binding, root.state, layers)
    name = _new_name()
    _name_on_top(directory, root, name)
    path = begin_attempt(directory, name, root.binding, root.state, layers)
    manifest = _ShardedManifest.open(path)
    assert isinstance(manifest, _ShardedManifest)  # noqa: S101 - as the class method makes one
    manifest.publish_to(directory, name)
    return manifest


def _new_name() -> str:
    return f"{uuid.uuid4().hex}-0"


def _name_on_top(directory: RootDirectory, root: Root, name: str) -> None:
    """Put the layer of a beginning run on top of all shards: the state is completed when the run ends."""
    run = _this_run(name)

    def change(now: Root | None) -> Root:
        root_now = root if now is None else now
        shards = (shard._replace(layers=(name + ATTEMPTS, *shard.layers)) for shard in root_now.shards)
        return replace(begun(root_now, run, has_ended), shards=tuple(shards))

    directory.update(change)


def _this_run(name: str) -> OpenRun:
    return OpenRun(name, time.time(), this_process())


class _ShardedManifest(LayeredManifest):
    """A layered manifest that completes the root document when it is closed."""

    _directory: RootDirectory | None = None
    _name = ""
    _renewed = 0.0

    def publish_to(self, directory: RootDirectory, name: str) -> None:
        """Set the document that names the file, and the name of the layer."""
        self._directory, self._name, self._renewed = directory, name, time.time()

    def record_now(
        self, rows: Sequence[RecordedEntry], gone: Sequence[str], counts: Mapping[str, Any] | None = None
    ) -> None:
        """Write and drop rows; once an hour say in the document as well that the run goes on. Blocks."""
        super().record_now(rows, gone, counts)
        # No other clock goes on while a machine is suspended.
        if self._directory is not None and abs(time.time() - self._renewed) > RENEWED_S:
            run = _this_run(self._name)
            self._renewed = run.seen
            with suppress(ManifestError):  # the next one may succeed, and the end says what is wrong
                self._directory.update(lambda root: None if root is None else renewed(root, run))

    def close_now(self) -> None:
        """Close all files, and name this one in the document as finished. Blocks."""
        directory, self._directory = self._directory, None
        if directory is None:
            super().close_now()
            return
        state, whole = self.state_now(), not self.layers
        files = [os.path.basename(self.place)] if self.written else []
        if len({layer.path for layer in self.layers}) > MOST_LAYERS and files:
            # Under a name of its own: a copy that is broken off is no attempt, and nothing names it.
            path = directory.next_attempt(_new_name())
            copy_rows(self, path)
            files, whole = [os.path.basename(path)], True
        self.finish()
        super().close_now()
        self._conclude(directory, state, files, whole=whole)

    def _conclude(
        self, directory: RootDirectory, state: ManifestState, files: list[str], *, whole: bool
    ) -> None:
        """Replace the document: it names the file, or none, instead of the attempts.

        Args:
            directory: of the document.
            state: of the manifest.
            files: the file that was written.
            whole: whether it has all rows, so that no file below is needed.
        """
        attempts = f"{self._name}{ATTEMPTS}"

        def change(root: Root | None) -> Root | None:
            if root is None or attempts not in root.names():
                return None  # it was forgotten meanwhile
            root = ended(root, self._name, state)
            # What another run reads stays in the document, and so does what it writes.
            if whole and not root.open_runs and all(shard.layers[0] == attempts for shard in root.shards):
                return replace(root, shards=(RangeLayers("", "", tuple(files)),))
            shards = (
                shard._replace(layers=tuple(_swapped(shard.layers, attempts, files))) for shard in root.shards
            )
            return replace(root, shards=tuple(shards))

        if directory.update(change) is not None:
            directory.drop(directory.unnamed())


def _swapped(layers: Iterable[str], attempts: str, files: list[str]) -> list[str]:
    return [name for layer in layers for name in (files if layer == attempts else [layer])]
