"""Transactions as generators: they yield statements and receive rows, so one SQL text serves every driver.

A generator of steps runs in one transaction: with SQLite in a thread, with PostgreSQL on the event loop.
Parameters are ``$1``, ``$2``, …; a list is the parameter of ``= ANY($n)``. No value is ever part of the text
of a statement.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple

__all__ = ("Copy", "Dialect", "Fetch", "Many", "Statement", "Steps")

T = TypeVar("T")
Rows = Sequence[Sequence[Any]]


class Fetch(NamedTuple):
    """Run one statement; the generator receives its rows."""

    sql: str
    arguments: tuple[Any, ...] = ()


class Many(NamedTuple):
    """Run one statement once for each tuple of arguments; the generator receives no rows."""

    sql: str
    arguments: Sequence[tuple[Any, ...]]


class Copy(NamedTuple):
    """Insert many rows into a table in the fastest way; the generator receives no rows."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


Statement = Fetch | Many | Copy
Steps = Generator[Statement, Rows, T]


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences between the two databases.

    Attributes:
        lock: appended to a SELECT to lock its rows until the transaction ends.
        contains: a function of two texts: the position of the second one in the first, 0 where it is not
            there.
        month: an expression: ``YYYY-MM`` in UTC of ``uploaded_at``.
        lateral: whether a table after FROM may refer to those before it.
    """

    lock: str
    contains: str
    month: str
    lateral: bool
