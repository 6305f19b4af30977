"""Original sizes: how large objects were before compression, read from their metadata and added up. Pure.

DeltaGlider (https://pypi.org/project/deltaglider/) stores ``NAME`` as ``NAME.delta`` next to one
``reference.bin`` for each folder, with the original size in its metadata. Our own uploads with gzip keep
their key and have the size in theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aios3sync._dataclass import dataclass
from aios3sync.core.entries import TargetEntry
from aios3sync.core.metadata import META_ORIGINAL_SIZE
from aios3sync.stats.aggregate import extension_of
from aios3sync.store.protocol import HeadResult

__all__ = (
    "Classification",
    "KindTotals",
    "SizeSum",
    "classify",
    "delta_size",
    "is_delta",
    "is_reference",
)

# The names in the order in which DeltaGlider 6 looks for them; an empty value counts as absent.
_DELTA_SIZES: Final = ("dg-file-size", "dg_file_size", "file_size", "file-size", "deltaglider-original-size")
# Names that only DeltaGlider writes: without any of them, an object is a plain one whatever its key.
_DELTA_MARKS: Final = (
    *("dg-file-sha256", "dg_file_sha256", "file_sha256", "file-sha256"),
    *("dg-tool", "dg_tool", "dg-ref-key", "dg-ref-path", "dg_ref_key"),
)
_MOST_EXTENSIONS: Final = 100


def is_reference(key: str) -> bool:
    """Return whether a key is that of the object that DeltaGlider's deltas of one folder refer to."""
    return key == "reference.bin" or key.endswith("/reference.bin")


def is_delta(key: str) -> bool:
    """Return whether a key is that of a delta."""
    return key.endswith(".delta")


def delta_size(metadata: Mapping[str, str]) -> int | None:
    """Return the original size in the metadata of a delta, read as DeltaGlider reads it."""
    text = next((metadata[name] for name in _DELTA_SIZES if metadata.get(name)), "")
    try:
        return int(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Classification:
    """How one object is stored.

    Attributes:
        kind: ``delta``, ``gzip``, ``reference`` or ``direct``.
        original: bytes before compression, ``None`` where the metadata do not have them.
        delta_bytes: the original size in the metadata of a delta, for DeltaGlider's own numbers.
    """

    kind: str
    original: int | None
    delta_bytes: int | None = None


def classify(key: str, head: HeadResult) -> Classification:
    """Return how an object is stored, by its key and its metadata."""
    metadata = head.metadata
    if is_reference(key):
        return Classification("reference", 0)
    if is_delta(key):
        original = delta_size(metadata)
        if original is not None or any(metadata.get(name) for name in _DELTA_MARKS):
            return Classification("delta", original, original)
        return Classification("direct", head.size)
    size = metadata.get(META_ORIGINAL_SIZE, "")
    if head.content_encoding == "gzip" and size.isascii() and size.isdigit():
        return Classification("gzip", int(size))
    return Classification("direct", head.size)


@dataclass(slots=True)
class SizeSum:
    """A number of objects, and their bytes as stored and before compression."""

    objects: int = 0
    stored: int = 0
    original: int = 0

    def add(self, stored: int, original: int, objects: int = 1) -> None:
        """Add objects."""
        self.objects += objects
        self.stored += stored
        self.original += original


class KindTotals:
    """Adds up objects by how they are stored: first by their keys alone, then by their metadata.

    The category of a listed object, by its key, is ``reference``, ``delta``, ``candidate`` (may be
    compressed) or ``direct``. Its kind, by its metadata, is that of :class:`Classification`.

    Args:
        gzip: extensions whose objects may be compressed.
        every: any object may be compressed.

    Attributes:
        listed: all objects by category.
        answered: those whose HEAD request succeeded, by category.
        classified: those of known original size, by kind.
        unsized: deltas whose metadata do not have their size.
        delta_bytes: the sum of the original sizes of deltas, as DeltaGlider adds them up.
        gzip_extensions: those of objects that were found compressed.
    """

    def __init__(self, gzip: tuple[str, ...] = (), *, every: bool = False) -> None:
        self._gzip = frozenset(gzip)
        self._every = every
        self.listed = {name: SizeSum() for name in ("reference", "delta", "candidate", "direct")}
        self.classified = {name: SizeSum() for name in ("reference", "delta", "gzip", "direct")}
        self.answered = {name: SizeSum() for name in self.listed}
        self.unsized = SizeSum()
        self.delta_bytes = 0
        self.gzip_extensions: set[str] = set()

    def category_of(self, key: str) -> str:
        """Return the category of a key."""
        if key.endswith((".delta", "reference.bin")):
            if is_delta(key):
                return "delta"
            if is_reference(key):
                return "reference"
        may_be = self._every or (self._gzip and extension_of(key) in self._gzip)
        return "candidate" if may_be else "direct"

    def add_page(self, page: list[TargetEntry]) -> list[tuple[str, TargetEntry]]:
        """Add a page by its keys, and return the objects that need a HEAD request with their categories."""
        special = [entry for entry in page if entry[0].endswith((".delta", "reference.bin"))]
        if not (special or self._gzip or self._every):
            self.listed["direct"].add(sum([entry[1] for entry in page]), 0, len(page))
            return []
        unclear = []
        for entry in page:
            category = self.category_of(entry.key)
            self.listed[category].add(entry.size, 0)
            if category in ("delta", "candidate") or (self._every and category == "reference"):
                unclear.append((category, entry))
        return unclear

    def add_classified(self, category: str, entry: TargetEntry, classification: Classification) -> None:
        """Add an object by its metadata."""
        original = classification.original or 0
        self.answered[category].add(entry.size, original)
        if classification.original is None:
            self.unsized.add(entry.size, 0)
        else:
            self.classified[classification.kind].add(entry.size, original)
        self.delta_bytes += classification.delta_bytes or 0
        if classification.kind == "gzip":
            self.note_gzip(entry.key)

    def note_gzip(self, key: str) -> None:
        """Note the extension of an object that was found compressed; a bounded number of them is kept."""
        extension = extension_of(key)
        if extension and len(self.gzip_extensions) < _MOST_EXTENSIONS:
            self.gzip_extensions.add(extension)
