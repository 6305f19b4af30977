"""Splits text files that people and tools write into lines: which encoding, and what ends a line. Pure.

Only LF and CRLF end a line. ``str.splitlines`` knows eight more ends, which are letters of file names: a form
feed, NEL, U+2028 and others would cut a name in two, and an exclude rule would be lost silently.
"""

from __future__ import annotations

from typing import Final

__all__ = ("decoded", "lines_of", "split_lines")

_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32"),  # before the mark of UTF-16, which it begins with
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def decoded(content: bytes) -> str:
    """Decode a text file: UTF-8, or the encoding of its byte order mark, which is left out.

    Bytes that are no UTF-8 become surrogate escapes, as in file names.

    Raises:
        UnicodeError: the file has the mark of UTF-16 or UTF-32 and is none.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            if encoding != "utf-8":
                return content.decode(encoding)
            content = content[len(mark) :]
            break
    return content.decode("utf-8", "surrogateescape")


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without their ends; an end of line at the end begins no further line."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    return lines


def lines_of(content: bytes) -> tuple[list[str], bool]:
    """Return the lines of a file, and whether NUL ends them, as in the output of ``find -print0``.

    NUL is in no name and no pattern, so a single one shows it; then nothing else ends a line.

    Raises:
        UnicodeError: see :func:`decoded`; or every other byte is NUL, as in UTF-16 without its mark.
    """
    if len(content) > 3 and not (any(content[::2]) and any(content[1::2])):
        raise UnicodeError("UTF-16 without a byte order mark")
    text = decoded(content)
    if "\0" not in text:
        return split_lines(text), False
    lines = text.split("\0")
    if not lines[-1] or lines[-1] in ("\n", "\r\n"):
        lines.pop()
    return lines, True
