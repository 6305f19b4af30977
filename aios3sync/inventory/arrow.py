"""Read the Parquet and ORC files of an inventory with pyarrow, in blocks; blocking, for use in a thread.

Of a Parquet file only the row groups are read that may hold a wanted key: their footer has the least and the
greatest key of each (https://parquet.apache.org/docs/file-format/metadata/). ORC files have the same
statistics, which pyarrow does not show: they are read whole, stripe by stripe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import bare_etag
from aios3sync.errors import UsageError
from aios3sync.inventory.files import BATCH, NAMES, NEEDED, InventoryError
from aios3sync.inventory.span import ALL_KEYS, KeySpan

__all__ = ("batches_of_orc", "batches_of_parquet", "ranges_of_parquet")

_KEY: Final = NAMES["Key"]
_BUFFER: Final = 2**20
"""Bytes of a column that are read at once; without it a row group is in memory as a whole."""
_NEAR: Final = 2**20
"""Ranges that are nearer to each other are fetched as one."""

_new: Final = tuple.__new__
"""Half the time of the constructor, which is a function of Python."""


def batches_of_parquet(file: IO[bytes], bucket: str, span: KeySpan = ALL_KEYS) -> Iterator[list[TargetEntry]]:
    """Yield the wanted current objects of a Parquet file.

    Args:
        file: of which only the bytes of :func:`ranges_of_parquet` and the footer need to be there.
        bucket: whose objects are expected.
        span: the keys that are wanted.

    Raises:
        InventoryError: the file is not the Parquet file of an inventory.
        UsageError: pyarrow is not installed.
    """
    with _pyarrow("Parquet"):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(file, buffer_size=_BUFFER) as parquet:
            wanted = _columns(parquet.schema_arrow.names)
            groups = _wanted_groups(parquet.metadata, span)
            for block in parquet.iter_batches(BATCH, row_groups=groups, columns=wanted, use_threads=False):
                if batch := _current(block, bucket, span):
                    yield batch


def batches_of_orc(file: IO[bytes], bucket: str, span: KeySpan = ALL_KEYS) -> Iterator[list[TargetEntry]]:
    """Yield the wanted current objects of an ORC file; for arguments and errors see the function above."""
    with _pyarrow("ORC"):
        from pyarrow.orc import ORCFile

        orc = ORCFile(file)
        wanted = _columns(orc.schema.names)
        for number in range(orc.nstripes):
            stripe = orc.read_stripe(number, columns=wanted)
            for start in range(0, stripe.num_rows, BATCH):
                if batch := _current(stripe.slice(start, BATCH), bucket, span):
                    yield batch


def ranges_of_parquet(footer: IO[bytes], span: KeySpan) -> list[tuple[int, int]] | None:
    """Return the ranges of bytes that hold wanted keys, ascending; ``None`` if that is the whole file.

    Args:
        footer: the file, of which only the footer needs to be there.
        span: the keys that are wanted.

    Raises:
        InventoryError, UsageError: see :func:`batches_of_parquet`.
    """
    with _pyarrow("Parquet"):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(footer) as parquet:
            names = set(_columns(parquet.schema_arrow.names))
            metadata = parquet.metadata
            groups = _wanted_groups(metadata, span)
    if len(groups) == metadata.num_row_groups:
        return None
    chunks = [
        metadata.row_group(group).column(number) for group in groups for number in range(metadata.num_columns)
    ]
    return _joined(sorted(_range_of(chunk) for chunk in chunks if chunk.path_in_schema in names))


def _range_of(chunk: Any) -> tuple[int, int]:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and start - joined[-1][1] <= _NEAR:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _wanted_groups(metadata: Any, span: KeySpan) -> list[int]:
    """Return the numbers of the row groups that may hold a wanted key."""
    everything = list(range(metadata.num_row_groups))
    if span == ALL_KEYS or not everything:
        return everything
    columns = metadata.row_group(0)
    place = next(n for n in range(metadata.num_columns) if columns.column(n).path_in_schema == _KEY)
    return [number for number in everything if _may_meet(metadata.row_group(number).column(place), span)]


def _may_meet(column: Any, span: KeySpan) -> bool:
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return True
    least, greatest = (
        bound.decode("utf-8", "surrogateescape") if isinstance(bound, bytes) else bound
        for bound in (statistics.min, statistics.max)
    )
    return span.may_meet(least, greatest)


@contextmanager
def _pyarrow(form: str) -> Iterator[None]:
    """Turn the errors of pyarrow, and its absence, into ours."""
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
        InventoryError: one that is needed is missing.
    """
    for name in NEEDED:
        if NAMES[name] not in present:
            raise InventoryError(f"there is no column {NAMES[name]}; add it to the inventory's fields")
    return [name for name in NAMES.values() if name in present]


def _current(block: Any, bucket: str, span: KeySpan) -> list[TargetEntry]:
    """Return the entries of one block of rows; a column that the inventory does not have is empty.

    What can be done by pyarrow for all rows at once is done there: it takes a tenth of the time.
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
    """Return which keys are wanted; pyarrow compares texts by their bytes."""
    import pyarrow.compute as pc

    wanted = pc.and_(pc.starts_with(keys, span.prefix), pc.greater_equal(keys, span.first))
    return pc.and_(wanted, pc.less(keys, span.end)) if span.end else wanted
