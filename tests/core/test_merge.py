"""The join of ascending streams: every key once, in the order in which S3 lists, or an error."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.merge import BatchJoin, Row, ascending, merge_join
from aios3sync.errors import OutOfOrderError

D11_NAMES = (
    "a",
    "a b",
    "a-b",
    "a.b",
    "a/b",
    "aé",
    "a\uffff",
    "a\U0001f600",
    "b",
    "é",
    "\uffff",
    "\U0001f600",
)
"""Names that other tools have put in the wrong order: ``-``, ``.`` and space sort before ``/``, and the
UTF-16 order of an emoji is not its UTF-8 order."""

laws = settings(deadline=None, derandomize=True, max_examples=150)

keys = st.text(st.sampled_from("ab-. /\x00é\uffff\U0001f600"), min_size=1, max_size=3)
cut_sizes = st.integers(0, 150)
key_sets = st.lists(keys, unique=True, max_size=12).map(sorted)


class Item(NamedTuple):
    key: str
    stream: int


def items(stream: int, names: list[str]) -> list[Item]:
    return [Item(name, stream) for name in names]


def oracle(streams: list[list[Item]]) -> list[Row]:
    """The same join with dictionaries: right for small inputs, useless for large ones."""
    tables = [{item.key: item for item in stream} for stream in streams]
    every_key = sorted(set().union(*tables), key=str.encode)
    return [tuple(table.get(key) for table in tables) for key in every_key]


def fed_join(streams: list[list[Item]], cuts: list[int]) -> list[Row]:
    """Join by feeding batches whose sizes are ``cuts``, again and again; empty ones included."""
    join = BatchJoin(*map(str, range(len(streams))))
    left = [list(stream) for stream in streams]
    rows: list[Row] = []
    turn = 0
    while not join.finished:
        while (index := join.needs_input()) is not None:
            size = cuts[turn % len(cuts)] if turn % 7 else 1
            turn += 1
            batch, left[index] = left[index][:size], left[index][size:]
            join.feed(index, batch)
            if not left[index]:
                join.end(index)
        rows.extend(join.rows())
    return rows


@laws
@given(st.lists(key_sets, min_size=1, max_size=4), st.integers(1, 5))
def test_every_key_once_and_ascending(names: list[list[str]], batch_size: int) -> None:
    """Each key of any stream is in exactly one row, with its equals, in byte order; any batch size."""
    streams = [items(number, some) for number, some in enumerate(names)]
    assert list(merge_join(*streams, batch_size=batch_size)) == oracle(streams)


@laws
@given(st.lists(key_sets, min_size=1, max_size=4), st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_any_batching_gives_the_same_rows(names: list[list[str]], cuts: list[int]) -> None:
    """How the streams are cut into batches, empty ones included, changes nothing."""
    streams = [items(number, some) for number, some in enumerate(names)]
    assert fed_join(streams, cuts) == oracle(streams)


def test_streams_longer_than_a_batch_lose_nothing() -> None:
    """A stream of many full batches comes out whole."""
    names = [f"{number:05}" for number in range(1000)]
    assert [row[0].key for row in merge_join(items(0, names))] == names
    assert sum(row[1] is not None for row in merge_join(items(0, names), items(1, names[::3]))) == 334


def test_no_streams_and_empty_streams() -> None:
    """Nothing joins to nothing."""
    assert list(merge_join()) == []
    assert list(merge_join([], [])) == []


def test_str_order_is_utf8_byte_order_d11() -> None:
    """Sorting texts sorts their UTF-8 bytes, which is the order of an S3 listing."""
    assert sorted(D11_NAMES) == sorted(D11_NAMES, key=str.encode)
    assert sorted(D11_NAMES) == list(D11_NAMES)
    assert sorted(D11_NAMES) != sorted(D11_NAMES, key=lambda name: name.encode("utf-16-be"))


@laws
@given(st.text(), st.text())
def test_str_order_is_utf8_byte_order_for_any_text_d11(one: str, two: str) -> None:
    """The order of any two texts is the order of their bytes."""
    assert (one < two) == (one.encode() < two.encode())


def test_d11_names_join_without_phantom_rows() -> None:
    """aws-cli#440: files whose names begin like a directory are neither deleted nor sent again."""
    streams = [items(0, list(D11_NAMES)), items(1, list(D11_NAMES))]
    assert all(None not in row for row in merge_join(*streams, batch_size=2))


@pytest.mark.parametrize(
    "names",
    [["b", "a"], ["a", "a"], ["a/b", "a-b"], ["\U0001f600", "\uffff"], ["a", "c", "b"]],
    ids=["descending", "equal keys", "a directory before its sibling", "UTF-16 order", "later"],
)
def test_out_of_order_is_found_d11(names: list[str]) -> None:
    """A stream that does not ascend strictly is an error that names the stream and both keys."""
    with pytest.raises(OutOfOrderError) as caught:
        list(ascending("target", items(0, names)))
    assert (caught.value.stream, caught.value.previous, caught.value.key) == ("target", *names[-2:])
    for batch_size in (1, 2, 9):
        with pytest.raises(OutOfOrderError, match="stream 1"):
            list(merge_join(items(0, ["a"]), items(1, names), batch_size=batch_size))


def test_out_of_order_is_found_before_a_row_of_the_batch_is_handed_out_d11() -> None:
    """Nothing of a batch that breaks the order is joined; what was certain before it stays certain."""
    join = BatchJoin("source", "target")
    join.feed(0, items(0, ["a", "b"]))
    with pytest.raises(OutOfOrderError):
        join.feed(1, items(1, ["b", "a"]))
    assert list(join.rows()) == []
    assert join.needs_input() == 1


def test_a_key_that_repeats_across_batches_is_out_of_order_d11() -> None:
    """The last key of a batch counts against the first of the next, as a repeated page would show."""
    join = BatchJoin("target")
    join.feed(0, items(0, ["a", "b"]))
    assert len(list(join.rows())) == 2
    join.feed(0, [])
    with pytest.raises(OutOfOrderError):
        join.feed(0, items(0, ["b", "c"]))


def test_ascending_hands_items_out_as_they_come() -> None:
    """A stream in order passes through untouched and lazily."""
    assert list(ascending("x", items(0, ["a", "b", "é"]))) == items(0, ["a", "b", "é"])
    lazy = ascending("x", iter(items(0, ["b", "a"])))
    assert next(lazy).key == "b"
    with pytest.raises(OutOfOrderError):
        next(lazy)


def test_rows_wait_for_the_stream_that_ran_dry() -> None:
    """A row is handed out only once no stream can still bring its key."""
    join = BatchJoin("source", "target")
    join.feed(0, items(0, ["a", "c"]))
    assert join.needs_input() == 1
    assert list(join.rows()) == []
    join.feed(1, items(1, ["b"]))
    assert [[item and item.key for item in row] for row in join.rows()] == [["a", None], [None, "b"]]
    assert join.needs_input() == 1
    assert not join.finished
    join.end(1)
    assert join.needs_input() is None
    assert [[item and item.key for item in row] for row in join.rows()] == [["c", None]]
    join.end(0)
    assert join.finished


def test_ended_streams_are_not_finished_before_their_rows_are_taken() -> None:
    """``finished`` means that no row is left, not only that no batch will come."""
    join = BatchJoin("source")
    join.feed(0, items(0, ["a"]))
    join.end(0)
    assert not join.finished
    assert len(list(join.rows())) == 1
    assert join.finished


@given(
    alone=st.lists(st.text("abc/", max_size=3), unique=True, max_size=12).map(sorted),
    others=st.lists(st.lists(st.text("abc/", max_size=3), unique=True, max_size=6).map(sorted), max_size=2),
)
def test_unmatched_items_are_taken_at_once_and_nothing_is_lost(
    alone: list[str], others: list[list[str]]
) -> None:
    """What alone() takes comes before everything else, and the rows after it are the rest of the join."""
    join = BatchJoin(*(f"stream {number}" for number in range(1 + len(others))))
    for index, keys in enumerate([alone, *others]):
        join.feed(index, [Item(key, index) for key in keys])
        join.end(index)
    taken = [item.key for item in join.take_unmatched(0)]
    least = min((keys[0] for keys in others if keys), default=None)
    assert taken == [key for key in alone if least is None or key < least]
    rest = list(join.rows())
    assert [row[0].key for row in rest if row[0] is not None] == alone[len(taken) :]
    for index, keys in enumerate(others, start=1):
        assert [row[index].key for row in rest if row[index] is not None] == keys


def test_no_item_is_unmatched_while_another_stream_needs_input() -> None:
    """A stream that has run dry but not ended may continue with any key."""
    join = BatchJoin("one", "two")
    join.feed(0, [Item("a", 0), Item("b", 0)])
    assert join.take_unmatched(0) == ()
    join.end(1)
    assert [item.key for item in join.take_unmatched(0)] == ["a", "b"]
    assert join.finished is False
    join.end(0)
    assert join.finished


@laws
@given(
    st.lists(st.sets(st.integers(0, 399), max_size=12), min_size=1, max_size=4),
    st.lists(cut_sizes, max_size=6),
)
def test_long_streams_that_are_nearly_alike(missing: list[set[int]], cuts: list[int]) -> None:
    """Runs of rows that every stream has are joined by comparing lists of keys."""
    names = [f"{number:03}" for number in range(400)]
    streams = [
        items(stream, [name for number, name in enumerate(names) if number not in gone])
        for stream, gone in enumerate(missing)
    ]
    assert fed_join(streams, [*cuts, 100]) == oracle(streams)
