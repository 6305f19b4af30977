"""Text for people: a terminal obeys nothing in it."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.text import escape_json, escape_undecodable, printable

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
