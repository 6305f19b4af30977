"""Stores whole numbers that a signed 64-bit column cannot hold, in SQLite and in JSON. Pure.

A file system may number its files with all 64 bits (mergerfs, NFS, CIFS), and a time in nanoseconds leaves 64
bits after the year 2262 and before 1677 (NTFS begins in 1601). SQLite's INTEGER has 64 bits with a sign
(https://www.sqlite.org/datatype3.html), readers of JSON differ beyond that (RFC 8259, section 6).

One rule for all of them: a number that fits is kept as it is; another one as its decimal digits, in SQLite as
a BLOB, which no column converts, in JSON as a string. A number that is read back equals the one that was
written.
"""

from __future__ import annotations

from aios3sync._typing import Final

__all__ = ("LARGEST", "SMALLEST", "fits", "from_sqlite", "to_json", "to_sqlite")

SMALLEST: Final = -(2**63)
LARGEST: Final = 2**63 - 1
"""The numbers that a column of SQLite, and any reader of JSON with 64-bit numbers, can hold."""


def fits(number: int) -> bool:
    """Return whether 64 bits with a sign hold the number."""
    return SMALLEST <= number <= LARGEST


def to_sqlite(number: int) -> int | bytes:
    """Return the value to store in a column of SQLite."""
    return number if SMALLEST <= number <= LARGEST else b"%d" % number


def from_sqlite(value: int | bytes) -> int:
    """Return the number of a stored value.

    Raises:
        ValueError: it is no number.
    """
    return int(value) if type(value) is bytes else value  # type: ignore[return-value]


def to_json(number: int) -> int | str:
    """Return the value to write into a JSON document; ``int()`` reads both."""
    return number if SMALLEST <= number <= LARGEST else str(number)
