"""Read the Parquet and ORC files of an inventory with pyarrow, in blocks; blocking, for use in a thread.

Only those row groups, or stripes of ORC, are read that may hold a wanted key: the footer of a file has the
least and the greatest key of each (https://parquet.apache.org/docs/file-format/metadata/).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import SEEK_END
from typing import IO, Any, Final

from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import bare_etag
from aios3sync.errors import UsageError
from aios3sync.inventory.files import BATCH, NAMES, NEEDED, InventoryError
from aios3sync.inventory.orc_tail import FIRST_LOOK, stripes_of, tail_length
from aios3sync.inventory.row_groups import RowGroup, wanted_groups
from aios3sync.inventory.span import ALL_KEYS, KeySpan

__all__ = (
    "batches_of_orc",
    "batches_of_parquet",
    "groups_of_orc",
    "groups_of_parquet",
    "keys_of_orc",
    "keys_of_parquet",
)

_KEY: Final = NAMES["Key"]
_BUFFER: Final = 2**20
"""Bytes of a column that are read at once; without it a row group is in memory as a whole."""

_new: Final = tuple.__new__
"""Takes half the time of the constructor, which is written in Python."""


def batches_of_parquet(file: IO[bytes], bucket: str, span: KeySpan = ALL_KEYS) -> Iterator[list[TargetEntry]]:
    """Yield the wanted current objects of a Parquet file.

    Args:
        file: needs to contain only the footer and the ranges of the wanted row groups.
        bucket: of the expected objects.
        span: the keys that are wanted.

    Raises:
        InventoryError: the file is not the Parquet file of an inventory.
        UsageError: pyarrow is not installed.
    """
    with _pyarrow("Parquet"):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(file, buffer_size=_BUFFER) as parquet:
            wanted, metadata = _columns(parquet.schema_arrow.names), parquet.metadata
            groups = [_row_group(number, metadata.row_group(number), {_KEY}) for number in _of(metadata)]
            numbers = _numbers(groups, span)
            for block in parquet.iter_batches(BATCH, row_groups=numbers, columns=wanted, use_threads=False):
                if batch := _current(block, bucket, span):
                    yield batch


def batches_of_orc(file: IO[bytes], bucket: str, span: KeySpan = ALL_KEYS) -> Iterator[list[TargetEntry]]:
    """Yield the wanted current objects of an ORC file; for arguments and errors see the function above."""
    with _pyarrow("ORC"):
        from pyarrow.orc import ORCFile

        groups = groups_of_orc(file) if span != ALL_KEYS else None
        orc = ORCFile(file)
        wanted = _columns(orc.schema.names)
        numbers = range(orc.nstripes)
        for number in numbers if groups is None else _numbers(groups, span):
            stripe = orc.read_stripe(number, columns=wanted)
            for start in range(0, stripe.num_rows, BATCH):
                if batch := _current(stripe.slice(start, BATCH), bucket, span):
                    yield batch


def groups_of_parquet(tail: IO[bytes]) -> list[RowGroup]:
    """Return the row groups of a file, which needs to contain only the footer.

    Raises:
        InventoryError, UsageError: see :func:`batches_of_parquet`.
    """
    with _pyarrow("Parquet"):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(tail) as parquet:
            names = set(_columns(parquet.schema_arrow.names))
            metadata = parquet.metadata
            return [_row_group(number, metadata.row_group(number), names) for number in _of(metadata)]


def groups_of_orc(tail: IO[bytes]) -> list[RowGroup] | None:
    """Return the stripes of a file, which needs to contain only the tail.

    ``None`` where the tail is compressed in a way that S3 does not use.

    Raises:
        InventoryError, UsageError: see :func:`batches_of_parquet`.
    """
    with _pyarrow("ORC"):
        size = tail.seek(0, SEEK_END)
        tail.seek(max(0, size - FIRST_LOOK))
        tail.seek(max(0, size - tail_length(tail.read())))
        stripes = stripes_of(tail.read(), _KEY)
        tail.seek(0)
        return stripes


def keys_of_parquet(file: IO[bytes], group: RowGroup) -> Iterator[list[str]]:
    """Yield the keys of a row group in file order; the file needs to contain only these and the footer.

    Raises:
        InventoryError, UsageError: see :func:`batches_of_parquet`.
    """
    with _pyarrow("Parquet"):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(file, buffer_size=_BUFFER) as parquet:
            numbers = [group.number]
            for block in parquet.iter_batches(BATCH, row_groups=numbers, columns=[_KEY], use_threads=False):
                yield _texts(block)


def keys_of_orc(file: IO[bytes], group: RowGroup) -> Iterator[list[str]]:
    """Yield the keys of a stripe; see the function above."""
    with _pyarrow("ORC"):
        from pyarrow.orc import ORCFile

        yield _texts(ORCFile(file).read_stripe(group.number, columns=[_KEY]))


def _texts(block: Any) -> list[str]:
    import pyarrow as pa

    keys: list[str] = block.column(_KEY).cast(pa.string()).fill_null("").to_pylist()
    return keys


def _of(metadata: Any) -> range:
    return range(metadata.num_row_groups)


def _row_group(number: int, group: Any, names: set[str]) -> RowGroup:
    chunks = [group.column(place) for place in range(group.num_columns)]
    found = {chunk.path_in_schema: chunk for chunk in chunks if chunk.path_in_schema in names}
    ranges = tuple(map(_range_of, found.values()))
    return RowGroup(number, group.num_rows, _bounds(found[_KEY]), ranges, _range_of(found[_KEY]))


def _range_of(chunk: Any) -> tuple[int, int]:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size


def _bounds(column: Any) -> tuple[str, str] | None:
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return None
    try:
        least, greatest = (
            bound.decode() if isinstance(bound, bytes) else bound
            for bound in (statistics.min, statistics.max)
        )
    except UnicodeDecodeError:  # a text that is cut within a character has no place among others
        return None
    return least, greatest


def _numbers(groups: Sequence[RowGroup], span: KeySpan) -> list[int]:
    return [group.number for group in wanted_groups(groups, span)]


@contextmanager
def _pyarrow(form: str) -> Iterator[None]:
    """Convert the errors of pyarrow, and its absence, to ours."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise UsageError(
            f"an inventory in {form} needs pyarrow; pip install pyarrow, or have it in CSV"
        ) from error
    try:
        yield
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise InventoryError(f"no {form} of an inventory ({type(error).__name__}: {error})") from error


def _columns(present: Sequence[str]) -> list[str]:
    """Return the columns to read.

    Raises:
        InventoryError: a required one is missing.
    """
    for name in NEEDED:
        if NAMES[name] not in present:
            raise InventoryError(f"there is no column {NAMES[name]}; add it to the inventory's fields")
    return [name for name in NAMES.values() if name in present]


def _current(block: Any, bucket: str, span: KeySpan) -> list[TargetEntry]:
    """Return the entries of one block of rows; a column that the inventory does not have is empty.

    As much as possible is done by pyarrow for all rows at once, in a tenth of the time.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def column(name: str, kind: Any, default: Any) -> Any:
        if NAMES[name] not in block.schema.names:
            return pa.nulls(block.num_rows, kind).fill_null(default)
        values = block.column(NAMES[name])
        if pa.types.is_timestamp(values.type):
            values = values.cast(pa.timestamp("ms"), safe=False)
        return values.cast(kind).fill_null(default)

    text = pa.string()
    current = pc.and_not(column("IsLatest", pa.bool_(), True), column("IsDeleteMarker", pa.bool_(), False))
    block = block.filter(current)
    if not pc.all(pc.equal(buckets := column("Bucket", text, ""), bucket), min_count=0).as_py():
        other = next(name for name in buckets.to_pylist() if name != bucket)
        raise InventoryError(f"an object of another bucket, {other!r}")
    if span != ALL_KEYS:
        block = block.filter(_wanted(column("Key", text, ""), span))
    modified = pc.divide(column("LastModifiedDate", pa.int64(), 0).cast(pa.float64()), 1000.0)
    rows = zip(  # noqa: B905 - all of one block
        column("Key", text, "").to_pylist(),
        column("Size", pa.int64(), 0).to_pylist(),
        map(bare_etag, column("ETag", text, "").to_pylist()),
        modified.to_pylist(),
        column("StorageClass", text, "").to_pylist(),
    )
    return [_new(TargetEntry, (*row, "", "")) for row in rows]


def _wanted(keys: Any, span: KeySpan) -> Any:
    """Return a mask of the wanted keys; pyarrow compares strings by their bytes."""
    import pyarrow.compute as pc

    wanted = pc.and_(pc.starts_with(keys, span.prefix), pc.greater_equal(keys, span.first))
    return pc.and_(wanted, pc.less(keys, span.end)) if span.end else wanted
