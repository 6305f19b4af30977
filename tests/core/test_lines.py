"""Lines of lists: only LF, CRLF or NUL end one, and the mark of an encoding is no letter of a name."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aios3sync.core.lines import decoded, lines_of, split_lines

NAMES = [
    "a.txt",
    "sub/b c.txt",
    "ü.txt",
    " x",
    "c\u2028d",
    "e\x85f",
    "g\x0ch",
    "i\x1cj\x1dk\x1e",
    "l\x0bm\u2029",
]
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
@pytest.mark.parametrize("last", [True, False])
def test_names_are_read_whatever_wrote_them(encoding: str, end: str, last: bool) -> None:
    text = end.join(NAMES) + (end if last else "")
    assert lines_of(text.encode(encoding)) == (NAMES, end == "\0")


@given(
    st.lists(names.filter(lambda name: not name.startswith("\ufeff")), min_size=1),
    st.sampled_from(["\n", "\r\n"]),
)
@example(["\x85"], "\n")
def test_any_name_survives(written: list[str], end: str) -> None:
    assert lines_of(end.join(written).encode() + end.encode()) == (written, False)


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name), min_size=2))
def test_any_name_survives_between_nuls(written: list[bytes]) -> None:
    content = b"".join(b"./" + name + b"\0" for name in written)
    expected = [(b"./" + name).decode("utf-8", "surrogateescape") for name in written]
    assert lines_of(content) == (expected, True)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a", ["a"]),
        ("a\n\nb\r\n", ["a", "", "b"]),
        ("a\rb\n", ["a\rb"]),
        ("a\r\r\n", ["a\r"]),
    ],
)
def test_what_ends_a_line(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


def test_bytes_that_are_no_utf_8_stay_what_they_are() -> None:
    assert decoded(b"caf\xe9") == "caf\udce9"


def test_half_a_letter_of_utf_16_is_an_error() -> None:
    with pytest.raises(UnicodeError):
        decoded(b"\xff\xfea")
