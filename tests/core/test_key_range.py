"""Ranges of keys: what is in them, what may be below a prefix, and which names of a directory lead there."""

from __future__ import annotations

import os

from hypothesis import assume, given
from hypothesis import strategies as st

from aios3sync.core.entries import SourceEntry
from aios3sync.core.key_range import EVERYTHING, KeyRange, just_before

ALPHABET = "\0!/0a\ud7ff\ue000é\U00010000\U0010ffff"
texts = st.text(ALPHABET, max_size=4)
many = st.lists(st.text(ALPHABET, min_size=1, max_size=5), max_size=30)


@st.composite
def ranges(draw: st.DrawFn) -> KeyRange:
    first, end = draw(texts), draw(texts)
    assume(not end or first < end)
    return KeyRange(first, end)


@given(ranges(), texts)
def test_order_is_that_of_bytes(key_range: KeyRange, key: str) -> None:
    first, end = key_range.first.encode(), key_range.end.encode()
    assert key_range.holds(key) == (first <= key.encode() and (not end or key.encode() < end))


@given(ranges(), texts, texts)
def test_nothing_below_a_prefix_is_missed(key_range: KeyRange, prefix: str, rest: str) -> None:
    if key_range.holds(prefix + rest):
        assert key_range.may_hold_below(prefix)


@given(ranges(), texts)
def test_hardly_a_prefix_is_looked_at_in_vain(key_range: KeyRange, prefix: str) -> None:
    """Below it is the range's first key, or its own first key is in the range."""
    if key_range.may_hold_below(prefix):
        assert key_range.holds(prefix) or key_range.first.startswith(prefix)


@given(ranges(), many)
def test_all_keys_begin_with_the_common_prefix(key_range: KeyRange, keys: list[str]) -> None:
    lead = key_range.common_prefix()
    assert all(key.startswith(lead) for key in keys if key_range.holds(key))
    assert not key_range.end or lead == os.path.commonprefix([*key_range])  # noqa: RUF071


names = st.sets(
    st.tuples(st.text("!0aé\U00010000", min_size=1, max_size=2), st.sampled_from(["", "/"])).map("".join),
    max_size=12,
).map(sorted)


@given(ranges(), st.sampled_from(["", "a/", "a/0/", "é/"]), names)
def test_names_that_lead_into_the_range(key_range: KeyRange, directory: str, found: list[str]) -> None:
    assume(key_range.may_hold_below(directory))
    expected = [
        name
        for name in found
        if (key_range.may_hold_below if name[-1] == "/" else key_range.holds)(directory + name)
    ]
    assert found[key_range.of_names(directory, found)] == expected


@given(ranges(), many)
def test_clipping_leaves_what_is_held(key_range: KeyRange, keys: list[str]) -> None:
    entries = [SourceEntry(key, 0, 0, 0, 0) for key in sorted(set(keys))]
    assert key_range.clipped(entries) == [entry for entry in entries if key_range.holds(entry.key)]


@given(st.text(ALPHABET, min_size=1, max_size=4), texts)
def test_just_before_a_key(key: str, other: str) -> None:
    """Between the two is at most what has the last of all code points."""
    before = just_before(key)
    before.encode()
    assert before < key
    assert not before < other < key or "\U0010ffff" in other


def test_everything() -> None:
    assert EVERYTHING.is_everything
    assert not KeyRange("a").is_everything
    assert not KeyRange("", "a").is_everything
    assert EVERYTHING.common_prefix() == KeyRange("a").common_prefix() == ""
