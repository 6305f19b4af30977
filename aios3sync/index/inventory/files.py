"""The files of an S3 Inventory as batches of entries: CSV and Parquet; blocking, so it belongs into a thread.

Keys are form-encoded in CSV, where ``+`` is a space, and as they are in Parquet. Only the current versions
count; delete markers are no objects
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
from typing import IO, Any, Final
from urllib.parse import unquote_plus

from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import bare_etag
from aios3sync.errors import AioS3SyncError, UsageError

__all__ = ("InventoryError", "batches_of_csv", "batches_of_parquet")

_BATCH: Final = 5000
# What the columns are called in CSV and in Parquet.
_NAMES: Final = {
    "Bucket": "bucket",
    "Key": "key",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}
_NEEDED: Final = ("Bucket", "Key", "Size")
_TRUE: Final = frozenset({"true", "True", "TRUE", "1"})


class InventoryError(AioS3SyncError):
    """An inventory cannot be read: damaged, incomplete or of an unknown form, and where it is."""


def batches_of_csv(file: IO[bytes], columns: Sequence[str], bucket: str) -> Iterator[list[TargetEntry]]:
    """The current objects of a CSV file under gzip, which has no line of names.

    Args:
        file: from its beginning.
        columns: what the manifest says of them.
        bucket: the one whose objects are expected.

    Raises:
        InventoryError: the file is not as the manifest says.
    """
    entry = _entries(columns, bucket)
    try:
        with gzip.open(file) as unpacked, TextIOWrapper(unpacked, "utf-8", newline="") as text:
            rows = csv.reader(text, strict=True)
            while lines := list(islice(rows, _BATCH)):
                batch = [found for line in lines if (found := entry(line)) is not None]
                if batch:
                    yield batch
    except (OSError, EOFError, zlib.error, csv.Error, OverflowError, ValueError) as error:
        raise InventoryError(f"no CSV under gzip ({type(error).__name__}: {error})") from error


def _entries(columns: Sequence[str], bucket: str) -> Callable[[list[str]], TargetEntry | None]:
    """What makes an entry of a line, or ``None`` of one that is no current object."""
    for name in _NEEDED:
        if name not in columns:
            raise InventoryError(f"there is no column {name}; add it to the inventory's fields")
    width = len(columns)
    # A column that was not chosen stands behind the line, where there is an empty text.
    place = {name: columns.index(name) if name in columns else width for name in _NAMES}
    facts = itemgetter(*(place[name] for name in ("Key", "Size", "ETag", "LastModifiedDate", "StorageClass")))
    told, latest, marker = place["Bucket"], place["IsLatest"], place["IsDeleteMarker"]

    def entry(line: list[str]) -> TargetEntry | None:
        if len(line) != width:
            raise InventoryError(f"a line of {len(line)} columns, the manifest names {width}")
        line.append("")
        if line[marker] in _TRUE or (latest < width and line[latest] not in _TRUE):
            return None
        if line[told] != bucket:
            raise InventoryError(f"an object of another bucket, {line[told]!r}")
        key, size, etag, modified, storage = facts(line)
        if "%" in key or "+" in key:
            key = unquote_plus(key, errors="strict")
        return TargetEntry(key, int(size), bare_etag(etag), _seconds(modified) if modified else 0.0, storage)

    return entry


@lru_cache(maxsize=4096)
def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def batches_of_parquet(file: IO[bytes], bucket: str) -> Iterator[list[TargetEntry]]:
    """The current objects of a Parquet file, read by blocks.

    Raises:
        InventoryError: the file is not what it should be.
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UsageError(
            "an inventory in Parquet needs pyarrow; pip install 'aios3sync[inventory]', or have it in CSV"
        ) from error
    try:
        with ParquetFile(file) as parquet:
            there = parquet.schema_arrow.names
            missing = [_NAMES[name] for name in _NEEDED if _NAMES[name] not in there]
            if missing:
                raise InventoryError(f"there is no column {missing[0]}; add it to the inventory's fields")
            wanted = [name for name in _NAMES.values() if name in there]
            for block in parquet.iter_batches(_BATCH, columns=wanted, use_threads=False):
                if batch := list(_current(block, bucket)):
                    yield batch
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise InventoryError(f"no Parquet of an inventory ({type(error).__name__}: {error})") from error


def _current(block: Any, bucket: str) -> Iterator[TargetEntry]:
    """The entries of one block of rows; a column that was not chosen is empty."""
    import pyarrow as pa

    def values(name: str, kind: Any, default: Any) -> list[Any]:
        if _NAMES[name] not in block.schema.names:
            return [default] * block.num_rows
        column = block.column(_NAMES[name])
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms"))
        listed: list[Any] = column.cast(kind).to_pylist()
        return [default if value is None else value for value in listed]

    buckets = values("Bucket", pa.string(), "")
    rows = zip(
        values("Key", pa.string(), ""),
        values("Size", pa.int64(), 0),
        values("ETag", pa.string(), ""),
        values("LastModifiedDate", pa.int64(), 0),
        values("StorageClass", pa.string(), ""),
        strict=True,
    )
    current = zip(
        values("IsLatest", pa.bool_(), True),
        values("IsDeleteMarker", pa.bool_(), False),
        strict=True,
    )
    for there, (latest, marker), (key, size, etag, modified, storage) in zip(
        buckets, current, rows, strict=True
    ):
        if not latest or marker:
            continue
        if there != bucket:
            raise InventoryError(f"an object of another bucket, {there!r}")
        yield TargetEntry(key, size, bare_etag(etag), modified / 1000, storage)
