"""Scan a bucket without an index for datasets or models, by listing folders, many at once; read-only.

A folder is an entry if it contains a file that marks its kind, or has the names of the default configuration
and revision.
"""

from __future__ import annotations

from typing import Final

from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.catalog.entries import Entry, with_facts
from aios3sync.catalog.layout import MODELS, Kind, Layout
from aios3sync.concurrency import for_each
from aios3sync.listing.pages import PageReader
from aios3sync.store.protocol import ObjectStore

__all__ = ("ScannedFolder", "list_folder", "scan", "still_present")

_AT_ONCE: Final = 32


class ScannedFolder(NamedTuple):
    """The content of a folder: the names of its folders and files, and the time of its newest file."""

    folders: list[str]
    files: frozenset[str]
    modified: float

    @property
    def is_empty(self) -> bool:
        """Whether there are neither folders nor files."""
        return not (self.folders or self.files)


async def list_folder(store: ObjectStore, prefix: str) -> ScannedFolder:
    """List the folders and files directly below ``prefix``, which ends in ``/`` or is empty.

    Raises:
        StoreError: the listing failed or is incomplete.
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
    """List all entries of a kind that their folders show, in the order of their prefixes.

    Raises:
        StoreError: a folder could not be listed.
    """
    root = layout.prefix + kind.root
    paths: list[list[str]] = [[]]
    for level in range(kind.levels):
        below: list[list[str]] = []

        async def list_one(path: list[str], level: int = level, below: list[list[str]] = below) -> None:
            folder = await list_folder(store, root + "".join(f"{name}/" for name in path))
            below.extend([*path, name] for name in folder.folders if level or _may_be(name, layout, kind))

        await for_each(paths, list_one, _AT_ONCE)
        paths = below
    found: list[Entry] = []

    async def add_entry(path: list[str]) -> None:
        folder = await list_folder(store, root + "".join(f"{name}/" for name in path))
        if not kind.markers.isdisjoint(folder.files) or _has_default_names(path, layout, folder):
            found.append(_entry(layout.entry_of(kind, path), folder, store.bucket))

    await for_each(paths, add_entry, _AT_ONCE)
    return sorted(found, key=lambda entry: entry.s3_prefix)


def _may_be(name: str, layout: Layout, kind: Kind) -> bool:
    """Whether the name of a folder of the first level can be an id."""
    if not name or name.startswith("."):
        return False
    return kind is MODELS or name not in (MODELS.root.rstrip("/"), layout.zips)


def _has_default_names(path: list[str], layout: Layout, folder: ScannedFolder) -> bool:
    defaults = [layout.default_config, layout.default_revision][-len(path[1:]) :]
    return path[1:] == defaults and not folder.is_empty


def _entry(entry: Entry, folder: ScannedFolder, bucket: str) -> Entry:
    entry = with_facts(entry, folder.files)
    return replace(entry, s3_bucket=bucket, last_updated=str(folder.modified) if folder.modified else "")


async def still_present(store: ObjectStore, entries: list[Entry]) -> list[Entry]:
    """Return the entries whose folders still have files, with fields derived from these files."""
    present: list[Entry] = []

    async def check(entry: Entry) -> None:
        if entry.s3_bucket not in ("", store.bucket):
            present.append(entry)  # in another bucket, which this store cannot list
            return
        folder = await list_folder(store, f"{entry.s3_prefix}/" if entry.s3_prefix else "")
        if not folder.is_empty:
            present.append(with_facts(entry, folder.files))

    await for_each(entries, check, _AT_ONCE)
    return present
