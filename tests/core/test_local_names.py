"""Which keys can be paths below a directory, and which collide there."""

from __future__ import annotations

import os
import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.local_names import (
    FolderClashes,
    folded,
    have_no_problem,
    is_temporary,
    parents,
    path_problem,
)

if TYPE_CHECKING:
    from pathlib import Path

laws = settings(deadline=None, derandomize=True, max_examples=200)

IMPOSSIBLE = [
    ("", "empty"),
    ("/", "itself"),
    ("../x", "'..'"),
    ("a/../x", "'..'"),
    ("a/..", "'..'"),
    ("..", "'..'"),
    (".", "'.'"),
    ("a/./b", "'.'"),
    ("./a", "'.'"),
    ("/etc/passwd", "absolute"),
    ("//host/share", "absolute"),
    ("a//b", "empty part"),
    ("a//", "empty part"),
    ("a\0b", "NUL"),
    ("x" * 256, "too long"),
    ("a/" + "ü" * 128 + "/b", "too long"),
    (".aios3sync-0123456789abcdef.part", "unfinished"),
    ("a/.aios3sync-0123456789abcdef.ranges", "unfinished"),
]
POSSIBLE = [
    *(
        "a",
        "a/b",
        "a/",
        "...",
        "a..b",
        ".hidden",
        "a b",
        "a\nb",
        "a\\b",
        "..\\x",
        "C:x",
        "con",
        "ü" * 127,
        "x" * 255,
    ),
    *(".aios3sync-0123.part", ".aios3sync-", "a:b", "a.", " "),
]
NOT_ON_WINDOWS = [
    *(
        "a\\b",
        "..\\x",
        "C:x",
        "con",
        "CON.txt",
        "a/NUL",
        "com1",
        "lpt9.log",
        "aux .txt",
        "a.",
        "a /b",
        "a?b",
        "a\nb",
    ),
    *("a*", '"', "<", ">", "|", "conin$", "a:stream"),
]


@pytest.mark.parametrize(("key", "word"), IMPOSSIBLE)
def test_a_key_that_cannot_be_a_path_is_refused_with_its_reason(key: str, word: str) -> None:
    assert word in path_problem(key)
    assert word in path_problem(key, windows=True)


@pytest.mark.parametrize("key", POSSIBLE)
def test_an_odd_key_that_can_be_a_path_is_taken_as_it_is(key: str) -> None:
    assert path_problem(key) == ""


@pytest.mark.parametrize("key", NOT_ON_WINDOWS)
def test_windows_refuses_more_names(key: str) -> None:
    assert path_problem(key) == ""
    assert path_problem(key, windows=True)


@pytest.mark.parametrize(
    "key", ["a", "a/b.txt", "console", "com10", "auxiliary.c", "ü.jpg", ".git/x", "nul1"]
)
def test_windows_takes_usual_names(key: str) -> None:
    assert path_problem(key, windows=True) == ""


@laws
@given(st.text(alphabet="./\\a\0é", max_size=12))
def test_a_key_without_a_problem_stays_below_its_directory(key: str) -> None:
    if path_problem(key):
        return
    joined = os.path.normpath(os.path.join("/root/dir", key))
    assert joined == "/root/dir/" + key.rstrip("/")


def test_a_key_without_a_problem_can_be_created(tmp_path: Path) -> None:
    for number, key in enumerate(key for key in POSSIBLE if not key.endswith("/")):
        path = tmp_path / str(number) / key
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        assert path.read_bytes() == b"x"


def test_the_parents_of_a_key() -> None:
    assert parents("a/b/c") == ["a", "a/b"]
    assert parents("a") == []


@pytest.mark.parametrize(
    ("one", "other", "case", "form", "same"),
    [
        ("A.txt", "a.TXT", True, False, True),
        ("A.txt", "a.TXT", False, True, False),
        ("\u00e4", "a\u0308", False, True, True),
        ("\u00e4", "a\u0308", True, False, False),
        ("\u00c4", "a\u0308", True, True, True),
        ("stra\u00dfe", "STRASSE", True, True, True),
        ("a", "b", True, True, False),
    ],
)
def test_folded_names(one: str, other: str, case: bool, form: bool, same: bool) -> None:
    assert (folded(one, case=case, form=form) == folded(other, case=case, form=form)) is same


def test_temporary_names() -> None:
    assert is_temporary(".aios3sync-00112233aabbccdd.part")
    assert not is_temporary(".aios3sync-00112233aabbccdd.part.txt")
    assert not is_temporary("aios3sync.sqlite")


NAMES = st.text(alphabet="ab!-/.", min_size=1, max_size=6)


@laws
@given(st.sets(NAMES, max_size=40), st.integers(1, 7))
def test_clashes_are_those_of_the_definition_and_are_known_in_time(keys: set[str], page: int) -> None:
    ordered = sorted(keys)
    clashes = FolderClashes()
    for start in range(0, len(ordered), page):
        fed = ordered[: start + page]
        clashes.feed(ordered[start : start + page])
        for key in fed:
            known = clashes.is_folder(key)
            truth = any(other.startswith(f"{key}/") for other in keys)
            assert known in (None, truth)
            if known is None:
                assert fed[-1] <= f"{key}/"
    clashes.end()
    for key in ordered:
        assert clashes.is_folder(key) is any(other.startswith(f"{key}/") for other in keys)


def test_memory_is_bounded_by_the_beginnings_of_one_key() -> None:
    clashes = FolderClashes()
    letters = string.ascii_lowercase
    clashes.feed(sorted(f"{a}{b}{c}/file" for a in letters for b in letters for c in letters))
    assert len(clashes._open) == 1


@laws
@given(
    st.lists(st.text(st.sampled_from("ab./\0\n\\-é\ud800"), max_size=6), max_size=4),
    st.sampled_from(["", "x" * 64]),
)
def test_one_look_at_many_keys_misses_no_problem(keys: list[str], long: str) -> None:
    if have_no_problem([key + long for key in keys]):
        assert not any(path_problem(key + long) for key in keys)


def test_one_look_at_plain_keys_is_enough() -> None:
    assert have_no_problem([])
    assert have_no_problem(["a", "b/c.txt", "b/d e", "é/-", "x" * 63])
    for key in (
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "a/..",
        "a\0",
        f"a/{'x' * 300}",
        ".aios3sync-0123456789abcdef.part",
    ):
        assert not have_no_problem(["a", key, "b"]), key
