"""Finds datasets or models by listing folders, many at once; for buckets without an index. It only reads.

A folder counts where it holds a file that marks its kind, or has the names of the default configuration and
revision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from aios3sync.catalog.entries import Entry, with_facts
from aios3sync.catalog.layout import MODELS, Kind, Layout
from aios3sync.concurrency import for_each
from aios3sync.listing.pages import PageReader
from aios3sync.store.protocol import ObjectStore

__all__ = ("ScannedFolder", "entries_at", "look_into", "scan")

_AT_ONCE: Final = 32


class ScannedFolder(NamedTuple):
    """What stands directly in a folder: names of folders and of files, and the youngest file's time."""

    folders: list[str]
    files: frozenset[str]
    modified: float

    @property
    def is_empty(self) -> bool:
        """Nothing is there."""
        return not (self.folders or self.files)


async def look_into(store: ObjectStore, prefix: str) -> ScannedFolder:
    """List what stands directly below ``prefix``, which ends in ``/`` or is empty.

    Raises:
        StoreError: it could not be listed completely.
    """
    reader = PageReader(store, prefix, delimiter="/")
    folders: list[str] = []
    files: set[str] = set()
    modified = 0.0
    while not reader.ended:
        page = await reader.next()
        folders.extend(one[len(prefix) : -1] for one in page.prefixes)
        for entry in page.entries:
            files.add(entry.key[len(prefix) :])
            modified = max(modified, entry.last_modified)
    return ScannedFolder(folders, frozenset(files - {""}), modified)


async def scan(store: ObjectStore, layout: Layout, kind: Kind) -> list[Entry]:
    """All entries of a kind, as their folders tell, in the order of their places.

    Raises:
        StoreError: a folder could not be listed.
    """
    root = layout.prefix + kind.root
    paths: list[list[str]] = [[]]
    for level in range(kind.levels):
        below: list[list[str]] = []

        async def list_one(path: list[str], level: int = level, below: list[list[str]] = below) -> None:
            folder = await look_into(store, root + "".join(f"{name}/" for name in path))
            below.extend([*path, name] for name in folder.folders if level or _may_be(name, layout, kind))

        await for_each(paths, list_one, _AT_ONCE)
        paths = below
    found: list[Entry] = []

    async def look(path: list[str]) -> None:
        folder = await look_into(store, root + "".join(f"{name}/" for name in path))
        if not kind.markers.isdisjoint(folder.files) or _has_default_names(path, layout, folder):
            found.append(_entry(layout.entry_of(kind, path), folder, store.bucket))

    await for_each(paths, look, _AT_ONCE)
    return sorted(found, key=lambda entry: entry.s3_prefix)


def _may_be(name: str, layout: Layout, kind: Kind) -> bool:
    """Whether a folder of the first level can be an id."""
    if not name or name.startswith("."):
        return False
    return kind is MODELS or name not in (MODELS.root.rstrip("/"), layout.zips)


def _has_default_names(path: list[str], layout: Layout, folder: ScannedFolder) -> bool:
    defaults = [layout.default_config, layout.default_revision][-len(path[1:]) :]
    return path[1:] == defaults and not folder.is_empty


def _entry(entry: Entry, folder: ScannedFolder, bucket: str) -> Entry:
    entry = with_facts(entry, folder.files)
    return replace(entry, s3_bucket=bucket, last_updated=str(folder.modified) if folder.modified else "")


async def entries_at(store: ObjectStore, entries: list[Entry]) -> list[Entry]:
    """Those of the entries that still have something at their place, with what is there now."""
    there: list[Entry] = []

    async def look(entry: Entry) -> None:
        if entry.s3_bucket not in ("", store.bucket):
            there.append(entry)  # of another bucket, which is not ours to look at
            return
        folder = await look_into(store, f"{entry.s3_prefix}/" if entry.s3_prefix else "")
        if not folder.is_empty:
            there.append(with_facts(entry, folder.files))

    await for_each(entries, look, _AT_ONCE)
    return there
