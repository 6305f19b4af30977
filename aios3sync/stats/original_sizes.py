"""How large objects were before compression: what their metadata tell, added up. Pure.

DeltaGlider (https://pypi.org/project/deltaglider/) stores ``NAME`` as ``NAME.delta`` beside one
``reference.bin`` for each folder, with the original size in its metadata. Our own uploads with gzip keep
their key and tell the size in theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import META_ORIGINAL_SIZE
from aios3sync.stats.aggregate import extension_of
from aios3sync.store.protocol import HeadResult

__all__ = ("Facts", "KindTotals", "Sum", "delta_size", "facts_of", "is_delta", "is_reference")

# The names in the order in which DeltaGlider 6 looks for them; an empty value is none.
_DELTA_SIZES: Final = ("dg-file-size", "dg_file_size", "file_size", "file-size", "deltaglider-original-size")
# What only DeltaGlider writes: without any of it, an object is a plain one whatever its name.
_DELTA_MARKS: Final = (
    *("dg-file-sha256", "dg_file_sha256", "file_sha256", "file-sha256"),
    *("dg-tool", "dg_tool", "dg-ref-key", "dg-ref-path", "dg_ref_key"),
)
_MOST_EXTENSIONS: Final = 100


def is_reference(key: str) -> bool:
    """Whether a key is that of the object that DeltaGlider's deltas of one folder refer to."""
    return key == "reference.bin" or key.endswith("/reference.bin")


def is_delta(key: str) -> bool:
    """Whether a key is that of a delta."""
    return key.endswith(".delta")


def delta_size(metadata: Mapping[str, str]) -> int | None:
    """The original size that a delta tells, read as DeltaGlider reads it."""
    text = next((metadata[name] for name in _DELTA_SIZES if metadata.get(name)), "")
    try:
        return int(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Facts:
    """What one object turned out to be.

    Attributes:
        kind: ``delta``, ``gzip``, ``reference`` or ``direct``.
        original: bytes before compression, ``None`` where its metadata do not tell.
        told: the original size of something named as a delta, for DeltaGlider's own numbers.
    """

    kind: str
    original: int | None
    told: int | None = None


def facts_of(key: str, head: HeadResult) -> Facts:
    """What an object is, by its key and its metadata."""
    metadata = head.metadata
    if is_reference(key):
        return Facts("reference", 0)
    if is_delta(key):
        told = delta_size(metadata)
        if told is not None or any(metadata.get(name) for name in _DELTA_MARKS):
            return Facts("delta", told, told)
        return Facts("direct", head.size)
    size = metadata.get(META_ORIGINAL_SIZE, "")
    if head.content_encoding == "gzip" and size.isascii() and size.isdigit():
        return Facts("gzip", int(size))
    return Facts("direct", head.size)


@dataclass(slots=True)
class Sum:
    """Objects, and their bytes stored and before compression."""

    objects: int = 0
    stored: int = 0
    original: int = 0

    def add(self, stored: int, original: int, objects: int = 1) -> None:
        """Add objects."""
        self.objects += objects
        self.stored += stored
        self.original += original


class KindTotals:
    """Adds up objects by kind: first by their keys, then by what they tell.

    Args:
        gzip: extensions whose objects may be compressed.
        every: all objects may be anything.

    Attributes:
        listed: by the key alone: ``reference``, ``delta``, ``candidate`` (may be compressed) and ``direct``.
        told: what objects turned out to be, with their original sizes.
        silent: deltas that do not tell their size.
        told_deltas: the original bytes that things named as deltas told, as DeltaGlider adds them up.
        answered: bytes and objects that answered, by the name in ``listed``.
        gzip_extensions: those that were found compressed.
    """

    def __init__(self, gzip: tuple[str, ...] = (), *, every: bool = False) -> None:
        self._gzip = frozenset(gzip)
        self._every = every
        self.listed = {name: Sum() for name in ("reference", "delta", "candidate", "direct")}
        self.told = {name: Sum() for name in ("reference", "delta", "gzip", "direct")}
        self.answered = {name: Sum() for name in self.listed}
        self.silent = Sum()
        self.told_deltas = 0
        self.gzip_extensions: set[str] = set()

    def place_of(self, key: str) -> str:
        """The name in ``listed`` for a key."""
        if key.endswith((".delta", "reference.bin")):
            if is_delta(key):
                return "delta"
            if is_reference(key):
                return "reference"
        may_be = self._every or (self._gzip and extension_of(key) in self._gzip)
        return "candidate" if may_be else "direct"

    def add_page(self, page: list[TargetEntry]) -> list[tuple[str, TargetEntry]]:
        """Count a page by its keys; what is to be asked, each with its place."""
        special = [entry for entry in page if entry[0].endswith((".delta", "reference.bin"))]
        if not (special or self._gzip or self._every):
            self.listed["direct"].add(sum([entry[1] for entry in page]), 0, len(page))
            return []
        asked = []
        for entry in page:
            place = self.place_of(entry.key)
            self.listed[place].add(entry.size, 0)
            if place in ("delta", "candidate") or (self._every and place == "reference"):
                asked.append((place, entry))
        return asked

    def add_facts(self, place: str, entry: TargetEntry, facts: Facts) -> None:
        """Count what an object told."""
        original = facts.original or 0
        self.answered[place].add(entry.size, original)
        if facts.original is None:
            self.silent.add(entry.size, 0)
        else:
            self.told[facts.kind].add(entry.size, original)
        self.told_deltas += facts.told or 0
        if facts.kind == "gzip":
            self.note_gzip(entry.key)

    def note_gzip(self, key: str) -> None:
        """Note that an object was found compressed; only a bounded number of extensions is kept."""
        extension = extension_of(key)
        if extension and len(self.gzip_extensions) < _MOST_EXTENSIONS:
            self.gzip_extensions.add(extension)
