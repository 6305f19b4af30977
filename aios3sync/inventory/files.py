"""Read the CSV files of an S3 Inventory as batches of entries; blocking, for use in a thread.

Keys are form-encoded in CSV, where ``+`` is a space, and not encoded in Parquet and ORC. Only current
versions are read; delete markers are not objects
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html).
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from io import TextIOWrapper
from itertools import islice
from operator import itemgetter
from typing import IO, Final
from urllib.parse import unquote_plus

from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import bare_etag
from aios3sync.errors import AioS3SyncError
from aios3sync.inventory.span import ALL_KEYS, KeySpan

__all__ = ("BATCH", "NAMES", "NEEDED", "InventoryError", "batches_of_csv", "first_key_of_csv")

BATCH: Final = 5000
"""The most entries of a batch."""
NAMES: Final = {
    "Bucket": "bucket",
    "Key": "key",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}
"""The names of the columns in CSV, and in Parquet and ORC."""
NEEDED: Final = ("Bucket", "Key", "Size")
"""The columns that every inventory has."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_LONGEST_LINE: Final = 2**14
"""Bytes; a key has 1024 at most, each of which may be written as three."""
_TRUE: Final = frozenset({"true", "True", "TRUE", "1"})


class InventoryError(AioS3SyncError):
    """An inventory is damaged, incomplete or in an unknown format; the message says where."""


def batches_of_csv(
    file: IO[bytes], columns: Sequence[str], bucket: str, span: KeySpan = ALL_KEYS
) -> Iterator[list[TargetEntry]]:
    """Yield the wanted current objects of a gzipped CSV file, which has no header line.

    Args:
        file: at its beginning.
        columns: their names, from the manifest.
        bucket: of the expected objects.
        span: the keys that are wanted.

    Raises:
        InventoryError: the file does not match the manifest.
    """
    entry = _line_parser(columns, bucket)
    try:
        with gzip.open(file) as unpacked, TextIOWrapper(unpacked, "utf-8", newline="") as text:
            rows = csv.reader(text, strict=True)
            while lines := list(islice(rows, BATCH)):
                batch = [found for line in lines if (found := entry(line)) is not None]
                if span != ALL_KEYS:
                    batch = [found for found in batch if span.holds(found.key)]
                if batch:
                    yield batch
    except (OSError, EOFError, zlib.error, csv.Error, OverflowError, ValueError) as error:
        raise InventoryError(f"no CSV under gzip ({type(error).__name__}: {error})") from error


def first_key_of_csv(head: IO[bytes], columns: Sequence[str]) -> str:
    """Return the key of the first line of a file; empty where it has none.

    Args:
        head: at any position; it needs to contain only the beginning.
        columns: their names, from the manifest.

    Raises:
        InventoryError: the file does not match the manifest.
    """
    head.seek(0)
    try:
        text = zlib.decompressobj(_GZIP).decompress(head.read(), _LONGEST_LINE)
        line = next(csv.reader(text.decode("utf-8", "ignore").splitlines(keepends=True), strict=True), [])
        return unquote_plus(line[columns.index("Key")], errors="strict") if line else ""
    except (zlib.error, csv.Error, IndexError, ValueError) as error:
        raise InventoryError(f"no CSV under gzip ({type(error).__name__}: {error})") from error


def _line_parser(columns: Sequence[str], bucket: str) -> Callable[[list[str]], TargetEntry | None]:
    """Return a function that turns a line into an entry, or to ``None`` if it is no current object."""
    for name in NEEDED:
        if name not in columns:
            raise InventoryError(f"there is no column {name}; add it to the inventory's fields")
    width = len(columns)
    # A column that the inventory does not have is read from an empty text after the line.
    at = {name: columns.index(name) if name in columns else width for name in NAMES}
    facts = itemgetter(*(at[name] for name in ("Key", "Size", "ETag", "LastModifiedDate", "StorageClass")))
    bucket_at, latest, marker = at["Bucket"], at["IsLatest"], at["IsDeleteMarker"]

    def entry(line: list[str]) -> TargetEntry | None:
        if len(line) != width:
            raise InventoryError(f"a line of {len(line)} columns, the manifest names {width}")
        line.append("")
        if line[marker] in _TRUE or (latest < width and line[latest] not in _TRUE):
            return None
        if line[bucket_at] != bucket:
            raise InventoryError(f"an object of another bucket, {line[bucket_at]!r}")
        key, size, etag, modified, storage = facts(line)
        if "%" in key or "+" in key:
            key = unquote_plus(key, errors="strict")
        return TargetEntry(key, int(size), bare_etag(etag), _seconds(modified) if modified else 0.0, storage)

    return entry


@lru_cache(maxsize=4096)
def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
