"""Names that are not UTF-8: whatever other tools made of them is recognised, in time that is bounded."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.lookalikes import UndecodableNames

laws = settings(deadline=None, derandomize=True, max_examples=150)


def named(*paths: str) -> UndecodableNames:
    names = UndecodableNames()
    for path in paths:
        names.add(path)
    return names


@pytest.mark.parametrize(
    "raw",
    [
        b"caf\xe9.txt",
        b"\xff\xfe",
        b"d\xe4ten/m\xfcll.txt",
        "é\U0001f600".encode() + b"\xe2\x82.txt",  # a cut sequence: Python makes one U+FFFD of two bytes
        b"a.b[c]\xff",
        b"tab\t\x80\x9f",
    ],
)
def test_spellings_of_an_undecodable_name_are_recognised_c16_d3(raw: bytes) -> None:
    """Whatever other tools made of the bytes, the object is taken for the file, and so is what lies below."""
    names = named(raw.decode("utf-8", "surrogateescape"))
    spellings = [
        raw.decode("utf-8", "replace"),
        raw.decode("utf-8", "ignore"),
        raw.decode("utf-8", "backslashreplace"),
        raw.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode(),
        raw.decode("latin-1"),
        raw.decode("cp1252", "replace"),
        quote(raw, safe="/[]\t"),
        quote(raw, safe="/[]\t").lower(),
    ]
    for spelling in spellings:
        assert names.covers(spelling), spelling
        assert names.covers(f"{spelling}/below\n/deeper"), spelling


@pytest.mark.parametrize(
    "key", ["caf.tx", "cafxxxxx.txt", "xcaf\ufffd.txt", "caf\ufffd.txtx", "caf\ufffdXtxt"]
)
def test_other_names_are_not_taken_for_an_undecodable_one_c16(key: str) -> None:
    """ASCII is literal: only the undecodable bytes may be spelt otherwise."""
    assert not named("caf\udce9.txt").covers(key)


def test_decodable_letters_stand_for_themselves_c16() -> None:
    """A decodable letter is itself or its usual spellings, not any letter."""
    names = named("é\U0001f600\udcff")
    assert names.covers("é\U0001f600\ufffd")
    assert not names.covers("è\U0001f600\ufffd")


@laws
@given(st.binary(min_size=1, max_size=12))
def test_any_bytes_are_recognised_c16(raw: bytes) -> None:
    """Any name of a POSIX system is recognised in what the usual decoders make of it."""
    names = named(raw.decode("utf-8", "surrogateescape"))
    for errors in ("replace", "ignore", "backslashreplace"):
        assert names.covers(raw.decode("utf-8", errors))
    assert names.covers(raw.decode("latin-1"))


def test_a_name_is_recognised_among_many_c16() -> None:
    """Each path is found by its own spelling, below directories as well, and there are none at first."""
    names = named(*(f"d{number}/n\udce9{number}" for number in range(200)))
    assert all(names.covers(f"d{number}/n\ufffd{number}/x/y") for number in range(200))
    assert not names.covers("d1/n\ufffd2")
    assert names
    assert not named()
    assert not named().covers("a")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a\udcff" * 400 + "b", "a" * 1000),
        ("a\udcff" * 400 + "b", "a" * 900 + "/" + "c"),
        ("\udcffa" * 400 + "é" * 100, "a" * 1000),
        ("é\udcff" * 300 + "z", "é" * 1000),
        ("\udcff" * 1000 + "z", "?" * 1023 + "y"),
        ("%\udcff" * 400 + "z", "%" * 1023),
    ],
)
def test_no_name_takes_long_whatever_the_key(path: str, key: str) -> None:
    """Trying every length of every gap would take longer than the age of the universe."""
    names = named(path, path + "z", "z" + path)
    began = time.process_time()
    assert not names.covers(key)
    assert time.process_time() - began < 5
