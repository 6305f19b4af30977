"""Find the stripes of an ORC file, and which keys each may hold, which pyarrow does not show. Pure.

A file ends with its metadata, its footer and its postscript, as messages of Protocol Buffers, the first two
compressed in chunks (https://orc.apache.org/specification/ORCv1/). S3 writes inventories with ZLIB.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.inventory.row_groups import RowGroup

__all__ = ("FIRST_LOOK", "stripes_of", "tail_length")

FIRST_LOOK: Final = 256
"""Bytes of the end of a file that hold its postscript, whose length is in one byte."""

_NONE, _ZLIB = 0, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CHUNK_HEADER: Final = 3
_MOST: Final = 2**26
"""Most bytes of a tail that is parsed here; a file with a longer one is read by pyarrow alone."""

Value = int | bytes


class _Postscript(NamedTuple):
    footer: int
    metadata: int
    compression: int
    length: int


def tail_length(end: bytes) -> int:
    """Return how many bytes at the end of a file :func:`stripes_of` needs.

    Args:
        end: the last bytes, :data:`FIRST_LOOK` of them or more.

    Raises:
        ValueError: it is not the end of an ORC file.
    """
    postscript = _postscript(end)
    length = 1 + postscript.length + postscript.footer + postscript.metadata
    if length > _MOST:
        raise ValueError(f"an ORC file whose tail has {length} bytes")
    return length


def stripes_of(tail: bytes, column: str) -> list[RowGroup] | None:
    """Return the stripes of a file, with the bounds of a column of texts.

    Args:
        tail: the end of the file, at least as long as :func:`tail_length` says.
        column: its name.

    Returns:
        ``None`` where the tail is compressed in another way than ZLIB.

    Raises:
        ValueError: the tail is damaged, or the column is missing.
    """
    postscript = _postscript(tail)
    if postscript.compression not in (_NONE, _ZLIB):
        return None
    end = len(tail) - 1 - postscript.length
    packed = tail[end - postscript.footer : end]
    footer = list(_fields(_unpacked(packed, postscript.compression)))
    end -= postscript.footer
    packed = tail[end - postscript.metadata : end]
    metadata = _fields(_unpacked(packed, postscript.compression))
    place = _column(footer, column)
    bounds = [_bounds(_message(value), place) for number, value in metadata if number == 1]
    stripes = [dict(_fields(_message(value))) for number, value in footer if number == 3]
    found = []
    for number, stripe in enumerate(stripes):
        offset, *lengths, rows = (_number(stripe.get(field, 0)) for field in range(1, 6))
        extent = (offset, offset + sum(lengths))
        limits = bounds[number] if number < len(bounds) else None
        found.append(RowGroup(number, rows, limits, (extent,), extent))
    return found


def _postscript(end: bytes) -> _Postscript:
    if len(end) < 2 or end[-1] >= len(end):
        raise ValueError("the end of an ORC file is missing")
    fields = dict(_fields(end[-1 - end[-1] : -1]))
    if fields.get(8000) != b"ORC":
        raise ValueError("not the end of an ORC file")
    footer, metadata, compression = (_number(fields.get(number, 0)) for number in (1, 5, 2))
    return _Postscript(footer, metadata, compression, end[-1])


def _unpacked(packed: bytes, compression: int) -> bytes:
    """Return the bytes of all chunks; the lowest bit of a chunk's header says that it is not compressed."""
    if compression == _NONE:
        return packed
    found, at = bytearray(), 0
    while at < len(packed):
        header = int.from_bytes(packed[at : at + _CHUNK_HEADER], "little")
        at += _CHUNK_HEADER
        chunk = packed[at : at + (header >> 1)]
        at += header >> 1
        try:
            found += chunk if header & 1 else zlib.decompress(chunk, -zlib.MAX_WBITS)
        except zlib.error as error:
            raise ValueError(f"the tail of an ORC file: {error}") from None
        if len(found) > _MOST:
            raise ValueError("the tail of an ORC file is too long")
    return bytes(found)


def _column(footer: list[tuple[int, Value]], name: str) -> int:
    """Return the number of a column, the index of its statistics: the types are a tree in preorder."""
    root = next((list(_fields(_message(value))) for number, value in footer if number == 4), [])
    names = [value for number, value in root if number == 3]
    numbers: list[int] = []
    for number, value in root:
        if number == 2:
            numbers += [value] if isinstance(value, int) else list(_varints(value))
    if len(names) != len(numbers) or (wanted := name.encode()) not in names:
        raise ValueError(f"an ORC file without a column {name}")
    return numbers[names.index(wanted)]


def _bounds(stripe: bytes, column: int) -> tuple[str, str] | None:
    """Return the least and the greatest text of a column of a stripe.

    For long texts there are shorter bounds (``lowerBound`` and ``upperBound``).
    """
    columns = [value for number, value in _fields(stripe) if number == 1]
    if column >= len(columns):
        return None
    texts = dict(_fields(_message(columns[column]))).get(4)
    if texts is None:
        return None
    found = dict(_fields(_message(texts)))
    least, greatest = found.get(1, found.get(4)), found.get(2, found.get(5))
    if not isinstance(least, bytes) or not isinstance(greatest, bytes):
        return None
    try:
        return least.decode(), greatest.decode()
    except UnicodeDecodeError:  # a text that is cut within a character has no place among others
        return None


def _message(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("the tail of an ORC file is damaged")  # noqa: TRY004 - of the file, not of the call
    return value


def _number(value: Value) -> int:
    if isinstance(value, bytes):
        raise ValueError("the tail of an ORC file is damaged")  # noqa: TRY004 - of the file, not of the call
    return value


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a message of Protocol Buffers (https://protobuf.dev/programming-guides/encoding/)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: Value
        if tag & 7 == _VARINT:
            value, at = _varint(message, at)
        elif tag & 7 == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("the tail of an ORC file is cut")
            value, at = message[at : at + length], at + length
        elif tag & 7 in (_FIXED64, _FIXED32):
            length = 8 if tag & 7 == _FIXED64 else 4
            value, at = int.from_bytes(message[at : at + length], "little"), at + length
        else:
            raise ValueError("the tail of an ORC file is damaged")
        yield tag >> 3, value


def _varints(packed: bytes) -> Iterator[int]:
    at = 0
    while at < len(packed):
        number, at = _varint(packed, at)
        yield number


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    raise ValueError("the tail of an ORC file is cut")
