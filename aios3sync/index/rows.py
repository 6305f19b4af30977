"""The values of the object index: rows, changes of rows, and the answers to queries; pure.

A *prefix* is any text, and means every key that begins with it. A *folder* is empty or ends in ``/``, and
means the keys that stand directly in it. Keys are always full keys of a bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from aios3sync.errors import AioS3SyncError

__all__ = (
    "Applied",
    "Change",
    "Facts",
    "Folder",
    "Group",
    "Grouping",
    "IndexUnavailableError",
    "ObjectIndexError",
    "ObjectRow",
    "Order",
    "Page",
    "Removal",
    "Selection",
    "Totals",
    "Upsert",
    "ancestors",
    "extension_of",
    "folder_of",
    "parent_of",
    "prefix_end",
)

Order = Literal["key", "uploaded_at", "size", "name"]
Grouping = Literal["extension", "size", "month"]


class ObjectIndexError(AioS3SyncError):
    """The index cannot be used: unreachable, foreign, of a newer version, or a key that it cannot hold."""


class IndexUnavailableError(ObjectIndexError):
    """The database cannot be opened or reached now; nothing else is known to be wrong with it."""


class ObjectRow(NamedTuple):
    """One object, as far as it is known.

    Where a change leaves a field unknown and the object is the same (size and ETag), the index keeps what it
    knew.

    Attributes:
        key: the full key.
        size: bytes as stored.
        etag: without quotes; empty where it is not known.
        content_type: empty where it is not known (no listing tells it).
        storage_class: empty where it is not known.
        width, height: of an image in pixels; ``None`` where it is not known or is no image.
        metadata: user metadata; ``None`` where it is not known.
        thumbnail: the full key of its thumbnail; empty where it has none.
        uploaded_at: seconds since the epoch, when it was sent; 0 where only the listing knows the object,
            then the index uses ``last_modified``.
        last_modified: seconds since the epoch, of the endpoint; 0 where it is not known, which in the answers
            of an index is ``uploaded_at``.
        bucket: set on the rows that queries return; ignored in changes, which name their bucket themselves.
    """

    key: str
    size: int
    etag: str = ""
    content_type: str = ""
    storage_class: str = ""
    width: int | None = None
    height: int | None = None
    metadata: Mapping[str, str] | None = None
    thumbnail: str = ""
    uploaded_at: float = 0.0
    last_modified: float = 0.0
    bucket: str = ""

    @property
    def folder(self) -> str:
        """Everything up to the last ``/``, which is part of it; empty at the top."""
        return self.key[: self.key.rfind("/") + 1]

    @property
    def name(self) -> str:
        """What follows the last ``/``; empty for a folder's marker."""
        return self.key[self.key.rfind("/") + 1 :]


class Upsert(NamedTuple):
    """An object is there.

    Attributes:
        row: what is known of it.
        observed: seconds since the epoch, when this was known to be so: the time of the event or outcome,
            for a listing the time *before* its first request.
        sequencer: text that orders the events of one key (see ``notifications.sequence``); empty where
            there is none.
    """

    row: ObjectRow
    observed: float
    sequencer: str = ""

    @property
    def key(self) -> str:
        """Of the row."""
        return self.row.key


class Removal(NamedTuple):
    """An object is gone; ``observed`` and ``sequencer`` as in :class:`Upsert`."""

    key: str
    observed: float
    sequencer: str = ""


Change = Upsert | Removal

Facts = tuple[Any, ...]
"""A change as it is written: the fields of a row but its bucket, then those of its change.

The size of a removal is -1, and its other facts of an object are empty; metadata is JSON. It is a plain tuple
because a sync makes millions: one is made in a third of the time of the other two, and costs the garbage
collector nothing, which does not look into tuples of mere values twice.
"""


class Applied(NamedTuple):
    """What became of a batch of changes.

    Attributes:
        inserted, updated, deleted: rows.
        unchanged: changes that told nothing new (also the removal of what was not there).
        ignored: changes that came too late: something newer is known of the key.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    ignored: int = 0

    def plus(self, other: Applied) -> Applied:
        """The sum of both."""
        return Applied(*(a + b for a, b in zip(self, other, strict=True)))


class Totals(NamedTuple):
    """How much there is; ``exact`` is False where counting stopped early, then both are lower bounds.

    ``objects`` is their number, ``size`` their bytes.
    """

    objects: int
    size: int
    exact: bool = True


class Folder(NamedTuple):
    """A folder: all ``objects`` below it and their ``size``, and those that stand ``direct``-ly in it.

    ``path`` ends in ``/``.
    """

    path: str
    objects: int
    size: int
    direct: int
    direct_size: int


class Group(NamedTuple):
    """One bar of a histogram.

    Attributes:
        label: the extension (lower case, empty for none), ``YYYY-MM`` (UTC), or the lower end of a range of
            sizes in bytes (0, 1, 2, 4, … powers of two), as text.
        objects: how many.
        size: their bytes.
    """

    label: str
    objects: int
    size: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows a query is about: all of a bucket, those of a prefix, or those directly in a folder.

    Attributes:
        bucket: whose.
        prefix: what their keys begin with; empty for all.
        folder: where they stand directly; ``None`` where it is not a folder that was asked for.
    """

    bucket: str
    prefix: str = ""
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query, which is a sequence of its rows.

    Attributes:
        rows: in the order that was asked for.
        next: the cursor of the following page, ``None`` at the end.
        total: of all pages; ``exact`` says whether it is.
    """

    rows: tuple[ObjectRow, ...]
    next: str | None
    total: Totals = field(default=Totals(0, 0))

    def __iter__(self) -> Iterator[ObjectRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


_LONGEST_EXTENSION: Final = 16


def folder_of(key: str) -> str:
    """Where a key stands; empty at the top."""
    return key[: key.rfind("/") + 1]


def parent_of(folder: str) -> str:
    """Where a folder stands; the top has no parent."""
    return folder[: folder.rfind("/", 0, -1) + 1]


def ancestors(folder: str) -> list[str]:
    """The folder itself and all that it stands in, from the top (empty) down."""
    found = [""]
    place = folder.find("/")
    while place >= 0:
        found.append(folder[: place + 1])
        place = folder.find("/", place + 1)
    return found


def extension_of(name: str) -> str:
    """What follows the last dot, in lower case; empty where that is no extension (``.bashrc``, ``a.b c``)."""
    dot = name.rfind(".")
    if dot < 1:
        return ""
    extension = name[dot + 1 :]
    return extension.lower() if extension.isalnum() and len(extension) <= _LONGEST_EXTENSION else ""


def prefix_end(prefix: str) -> str | None:
    """The least text above all that begin with ``prefix``, in UTF-8 byte order; ``None`` where all are.

    Surrogates are no characters of UTF-8, so what follows U+D7FF is U+E000.
    """
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None
