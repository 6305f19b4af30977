"""Read the files of an S3 Inventory as batches of entries: CSV and Parquet; blocking, for use in a thread.

Keys are form-encoded in CSV, where ``+`` is a space, and not encoded in Parquet. Only current versions are
read; delete markers are not objects
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
# The names of the columns in CSV and in Parquet.
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
    """Raised when an inventory is damaged, incomplete or in an unknown format; the message says where."""


def batches_of_csv(file: IO[bytes], columns: Sequence[str], bucket: str) -> Iterator[list[TargetEntry]]:
    """Yield the current objects of a gzipped CSV file, which has no header line.

    Args:
        file: at its beginning.
        columns: their names, from the manifest.
        bucket: whose objects are expected.

    Raises:
        InventoryError: the file does not match the manifest.
    """
    entry = _line_parser(columns, bucket)
    try:
        with gzip.open(file) as unpacked, TextIOWrapper(unpacked, "utf-8", newline="") as text:
            rows = csv.reader(text, strict=True)
            while lines := list(islice(rows, _BATCH)):
                batch = [found for line in lines if (found := entry(line)) is not None]
                if batch:
                    yield batch
    except (OSError, EOFError, zlib.error, csv.Error, OverflowError, ValueError) as error:
        raise InventoryError(f"no CSV under gzip ({type(error).__name__}: {error})") from error


def _line_parser(columns: Sequence[str], bucket: str) -> Callable[[list[str]], TargetEntry | None]:
    """Return a function that turns a line into an entry, or into ``None`` if it is no current object."""
    for name in _NEEDED:
        if name not in columns:
            raise InventoryError(f"there is no column {name}; add it to the inventory's fields")
    width = len(columns)
    # A column that the inventory does not have is read from an empty text after the line.
    at = {name: columns.index(name) if name in columns else width for name in _NAMES}
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


def batches_of_parquet(file: IO[bytes], bucket: str) -> Iterator[list[TargetEntry]]:
    """Yield the current objects of a Parquet file, which is read in blocks.

    Raises:
        InventoryError: the file is not the Parquet file of an inventory.
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
            present = parquet.schema_arrow.names
            missing = [_NAMES[name] for name in _NEEDED if _NAMES[name] not in present]
            if missing:
                raise InventoryError(f"there is no column {missing[0]}; add it to the inventory's fields")
            wanted = [name for name in _NAMES.values() if name in present]
            for block in parquet.iter_batches(_BATCH, columns=wanted, use_threads=False):
                if batch := list(_current(block, bucket)):
                    yield batch
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise InventoryError(f"no Parquet of an inventory ({type(error).__name__}: {error})") from error


def _current(block: Any, bucket: str) -> Iterator[TargetEntry]:
    """Yield the entries of one block of rows; a column that the inventory does not have is empty."""
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
    for found, (latest, marker), (key, size, etag, modified, storage) in zip(
        buckets, current, rows, strict=True
    ):
        if not latest or marker:
            continue
        if found != bucket:
            raise InventoryError(f"an object of another bucket, {found!r}")
        yield TargetEntry(key, size, bare_etag(etag), modified / 1000, storage)
