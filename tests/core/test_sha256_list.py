"""Lines of ``sha256sum``: what is written is read back, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.sha256_list import line_of, read_line

DIGEST = "0123456789abcdef" * 4

names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


@given(names)
def test_law_a_name_comes_back_with_its_bytes_from_one_line(name: bytes) -> None:
    line = line_of(name, DIGEST)
    assert line.count(b"\n") == 1
    assert read_line(line.removesuffix(b"\n")) == (name, DIGEST)


def test_names_are_escaped_as_sha256sum_does() -> None:
    assert line_of(b"a b", DIGEST) == f"{DIGEST}  a b\n".encode()
    assert line_of(b"a\\b\nc\rd", DIGEST) == f"\\{DIGEST}  a\\\\b\\nc\\rd\n".encode()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"{DIGEST} *a".encode(), (b"a", DIGEST)),
        (f"{DIGEST.upper()}  a".encode(), (b"a", DIGEST)),
        (f"{DIGEST}  a\r".encode(), (b"a", DIGEST)),
        (f"{DIGEST}  \\n".encode(), (b"\\n", DIGEST)),
        (f"{DIGEST}    a".encode(), (b"  a", DIGEST)),
        (b"# made by hand", None),
        (b"", None),
    ],
)
def test_what_other_programs_write_is_read(line: bytes, found: tuple[bytes, str] | None) -> None:
    assert read_line(line) == found


@pytest.mark.parametrize(
    "line",
    [
        b"a",
        f"{DIGEST[1:]}  a".encode(),
        f"{DIGEST} a".encode(),
        f"{DIGEST}  ".encode(),
        f"\\{DIGEST}  a\\t".encode(),
        f"\\{DIGEST}  a\\".encode(),
        f"SHA256 (a) = {DIGEST}".encode(),
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="sha256sum"):
        read_line(line)
