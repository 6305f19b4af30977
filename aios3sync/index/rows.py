"""The values of the object index: rows, changes of rows, results of queries, and paths of folders; pure.

A *prefix* is any text and selects every key that begins with it. A *folder* is empty or ends in ``/`` and
selects the keys directly in it. Keys are always full keys of a bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
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

_LONGEST_EXTENSION: Final = 16


class ObjectIndexError(AioS3SyncError):
    """Raised when the index cannot be used: unreachable, foreign, newer, or unable to hold a key."""


class IndexUnavailableError(ObjectIndexError):
    """Raised when the database cannot be opened or reached now; nothing else is known to be wrong with it."""


class ObjectRow(NamedTuple):
    """One object, as far as it is known.

    Where a change leaves a field unknown and the object is the same (size and ETag), the index keeps the
    known value.

    Attributes:
        key: the full key.
        size: bytes as stored.
        etag: without quotes; empty where it is not known.
        content_type: empty where it is not known (listings do not report it).
        storage_class: empty where it is not known.
        width, height: of an image in pixels; ``None`` where it is not known or is no image.
        metadata: user metadata; ``None`` where it is not known.
        thumbnail: the full key of its thumbnail; empty where it has none.
        uploaded_at: seconds since the epoch, when it was sent; 0 where only a listing reported the object,
            then the index uses ``last_modified``.
        last_modified: seconds since the epoch, as reported by the endpoint; 0 where it is not known. Rows
            that an index returns have ``uploaded_at`` there.
        bucket: set on the rows that queries return; ignored in changes, whose bucket is given with them.
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
        """The key up to and including the last ``/``; empty at the top."""
        return self.key[: self.key.rfind("/") + 1]

    @property
    def name(self) -> str:
        """The part of the key after the last ``/``; empty for the marker of a folder."""
        return self.key[self.key.rfind("/") + 1 :]


class Upsert(NamedTuple):
    """An object exists.

    Attributes:
        row: its known facts.
        observed: seconds since the epoch, when this was true: the time of the event or outcome; for a listing
            the time *before* its first request.
        sequencer: text that orders the events of one key (see ``notifications.sequence``); empty where
            there is none.
    """

    row: ObjectRow
    observed: float
    sequencer: str = ""

    @property
    def key(self) -> str:
        """The key of the row."""
        return self.row.key


class Removal(NamedTuple):
    """An object does not exist any more; ``observed`` and ``sequencer`` as in :class:`Upsert`."""

    key: str
    observed: float
    sequencer: str = ""


Change = Upsert | Removal

Facts = tuple[Any, ...]
"""A change as it is written: the fields of a row except its bucket, then ``observed`` and ``sequencer``.

A removal has the size -1 and no other facts of an object; metadata is JSON. It is a plain tuple because a
sync creates millions of them: creating one takes a third of the time of an Upsert or Removal, and the garbage
collector stops tracking tuples of plain values.
"""


class Applied(NamedTuple):
    """How many changes of a batch had which effect.

    Attributes:
        inserted, updated, deleted: rows.
        unchanged: changes without effect (the removal of an unknown key included).
        ignored: changes that came too late: the index knows a newer one of the key.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    ignored: int = 0

    def plus(self, other: Applied) -> Applied:
        """Return the sum of both."""
        return Applied(*(a + b for a, b in zip(self, other, strict=True)))


class Totals(NamedTuple):
    """The number of ``objects`` and their bytes (``size``).

    ``exact`` is False where counting stopped early; then both are lower bounds.
    """

    objects: int
    size: int
    exact: bool = True


class Folder(NamedTuple):
    """A folder: all ``objects`` below it and their ``size``, and those directly in it (``direct``).

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
        objects: the number of objects.
        size: their bytes.
    """

    label: str
    objects: int
    size: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that a query is about: all of a bucket, those of a prefix, or those directly in a folder.

    Attributes:
        bucket: of the rows.
        prefix: with which their keys begin; empty for all.
        folder: that holds them directly; ``None`` where they are selected by prefix.
    """

    bucket: str
    prefix: str = ""
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query; iterates over its rows.

    Attributes:
        rows: in the order of the query.
        next: the cursor of the following page, ``None`` at the end.
        total: of all pages; see ``exact`` of :class:`Totals`.
    """

    rows: tuple[ObjectRow, ...]
    next: str | None
    total: Totals = field(default=Totals(0, 0))

    def __iter__(self) -> Iterator[ObjectRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


# Paths of folders


def folder_of(key: str) -> str:
    """Return the folder that holds a key; empty at the top."""
    return key[: key.rfind("/") + 1]


def parent_of(folder: str) -> str:
    """Return the folder that holds a folder; the top has no parent."""
    return folder[: folder.rfind("/", 0, -1) + 1]


def ancestors(folder: str) -> list[str]:
    """List a folder and all folders around it, from the top (empty) down."""
    paths = [""]
    slash = folder.find("/")
    while slash >= 0:
        paths.append(folder[: slash + 1])
        slash = folder.find("/", slash + 1)
    return paths


def extension_of(name: str) -> str:
    """Return what follows the last dot, in lower case; empty if that is no extension (``.bashrc``)."""
    dot = name.rfind(".")
    if dot < 1:
        return ""
    extension = name[dot + 1 :]
    return extension.lower() if extension.isalnum() and len(extension) <= _LONGEST_EXTENSION else ""


def prefix_end(prefix: str) -> str | None:
    """Return the least text above every text that begins with ``prefix``, in the order of UTF-8 bytes.

    ``None`` where there is no such text. Surrogates are no characters of UTF-8, so U+E000 follows U+D7FF.
    """
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None
