"""Numbers that 64 bits do not hold come back from SQLite and from JSON as they were."""

from __future__ import annotations

import sqlite3

import orjson
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.numbers import LARGEST, SMALLEST, fits, from_sqlite, to_json, to_sqlite

NUMBERS = st.integers(-(2**96), 2**96) | st.sampled_from(
    [SMALLEST - 1, SMALLEST, -1, 0, LARGEST, LARGEST + 1, 2**64 - 1, 2**64]
)


@given(NUMBERS)
def test_any_number_survives_a_column_of_sqlite(number: int) -> None:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (?)", (to_sqlite(number),))
        (stored,) = connection.execute("SELECT n FROM t").fetchone()
    finally:
        connection.close()
    assert from_sqlite(stored) == number
    assert (type(stored) is int) == fits(number)


@given(NUMBERS)
def test_any_number_survives_a_json_document(number: int) -> None:
    assert int(orjson.loads(orjson.dumps(to_json(number)))) == number
