"""Manifests of several files for tests, as a run on several machines leaves them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aios3sync.core.entries import RecordedEntry
from aios3sync.manifest.layer_files import begin_layers
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.root import RangeLayers, Root
from aios3sync.manifest.root_directory import RootDirectory, shards_directory
from aios3sync.manifest.sqlite import SqliteManifest


def row(key: str, **values: object) -> RecordedEntry:
    return RecordedEntry(key, 1, 2, 3, 4, "0" * 32, "1" * 32)._replace(**values)  # type: ignore[arg-type]


def begin_shards(
    path: str,
    binding: Binding,
    cuts: Sequence[str],
    rows: Sequence[RecordedEntry] = (),
    state: ManifestState | None = None,
) -> RootDirectory:
    """Make one file for each range between the cuts, with its part of the rows."""
    directory = RootDirectory(shards_directory(path))
    os.makedirs(directory.path)
    shards = []
    for number, (first, end) in enumerate(zip(["", *cuts], [*cuts, ""], strict=True)):
        name = f"made-{number}.1.sqlite"
        shards.append(RangeLayers(first, end, (name,)))
        begin_layers(os.path.join(directory.path, name), binding, ManifestState(), ())
        file = SqliteManifest.open(os.path.join(directory.path, name))
        file.record_now([row for row in rows if first <= row.key and (not end or row.key < end)], ())
        file.select("PRAGMA journal_mode = DELETE")
        file.close_now()
    assert directory.swap(Root(1, binding, state or ManifestState(), tuple(shards)))
    return directory
