"""Text for people: a terminal obeys nothing in it."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.text import escape_json, escape_undecodable, printable, time_taken

OBEYED = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, 0x2028, 0x2029)]
OBEYED += [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)]
TEXTS = st.text(st.one_of(st.sampled_from(OBEYED), st.characters(exclude_categories=["Cs"])))


@given(TEXTS)
def test_text_for_people_holds_visible_characters_alone(text: str) -> None:
    assert printable(text).isprintable()


@given(TEXTS)
def test_json_is_the_same_document_and_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    document = json.dumps({text: [text]}, ensure_ascii=False).encode()
    escaped = escape_json(document)
    assert json.loads(escaped) == {text: [text]}
    assert not set(escaped.decode()) & set(OBEYED)
    assert all(unicodedata.bidirectional(char) not in _DIRECTIONS for char in escaped.decode())


def test_bytes_that_are_not_utf8_are_escaped() -> None:
    assert escape_undecodable("é/a\udcff") == "é/a\\xff"
    assert escape_undecodable("\ud800") == "\\ud800"


_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (12.4, "12 s"),
        (99.4, "99 s"),
        (99.6, "1 min 40 s"),
        (120, "2 min"),
        (125.2, "2 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (7 * 3600 + 100, "7 h 2 min"),
        (172_700, "47 h 58 min"),
        (172_799, "2 days"),
        (200_000, "2 days 8 h"),
    ],
)
def test_a_time_that_was_taken_has_two_units(seconds: float, text: str) -> None:
    assert time_taken(seconds) == text
