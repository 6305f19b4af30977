"""Database work as generators: they yield statements and are sent rows, so one text serves every driver.

A generator of steps is run in one transaction: by the SQLite driver in a thread, by the PostgreSQL driver on
the event loop. Parameters are ``$1``, ``$2``, …; a list belongs to ``= ANY($n)``. No value is ever part of a
statement's text.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

__all__ = ("Copy", "Dialect", "Fetch", "Many", "Statement", "Steps")

T = TypeVar("T")
Rows = Sequence[Sequence[Any]]


class Fetch(NamedTuple):
    """Run one statement and send its rows."""

    sql: str
    arguments: tuple[Any, ...] = ()


class Many(NamedTuple):
    """Run one statement once for each tuple of arguments; sends nothing."""

    sql: str
    arguments: Sequence[tuple[Any, ...]]


class Copy(NamedTuple):
    """Put new rows into a table as quickly as can be; sends nothing."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


Statement = Fetch | Many | Copy
Steps = Generator[Statement, Rows, T]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two databases differ.

    Attributes:
        lock: appended to a SELECT whose rows must stay as they are until the transaction ends.
        contains: whether the first text contains the second: a function of both.
        month: ``YYYY-MM`` in UTC of ``uploaded_at``.
        lateral: a table after FROM may refer to those before it.
    """

    lock: str
    contains: str
    month: str
    lateral: bool
