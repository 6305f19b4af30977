"""Short JSON is read and written as ``json`` does it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aios3sync.manifest.json_text import read_json, write_json

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXTS, inside, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(["", " ", "\n"]), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_a_document_is_read(value: object, around: str, separators: tuple[str, str]) -> None:
    text = json.dumps(value, separators=separators)
    assert read_json(f"{around}{text}{around}") == json.loads(text)


@given(st.text('[]{}",:01tfnule\\ \n\x00é', max_size=12))
@example("")
@example("1 2")
@example("[1]]")
@example('"a')
def test_what_is_no_document_is_refused_as_json_refuses_it(text: str) -> None:
    assert outcome(read_json, text) == outcome(json.loads, text)


def outcome(read: Callable[[str], object], text: str) -> object:
    """What it returns, or the words in which it refuses."""
    try:
        return read(text)
    except ValueError as error:
        return f"refused: {error}"


@given(VALUES)
@example({"a": float("inf"), "b": [{}, [], ()]})
def test_a_document_is_written(value: object) -> None:
    assert write_json(value) == json.dumps(value, separators=(",", ":"))


def test_what_json_has_no_words_for_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json([b""])


@given(st.lists(TEXTS, max_size=5))
@example(["/a b", "aws", "bkt", ""])
@example(['"', "\\", "\x7f", "\n", "é", "\udc80"])
def test_texts_are_written(texts: list[str]) -> None:
    assert write_json(texts, (", ", ": ")) == json.dumps(texts)


def test_json_is_not_loaded_for_a_plain_document() -> None:
    program = """
import sys
from aios3sync.manifest.json_text import read_json, write_json
assert read_json('{"complete":true,"mounts":["a/"],"listed_at":1.5}')["listed_at"] == 1.5
assert write_json({"a": [1, None]}) == '{"a":[1,null]}'
assert write_json(["a", "b c"], (", ", ": ")) == '["a", "b c"]'
assert "json" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=240)
