"""The bounds of stripes of ORC: a stripe that may hold a wanted key is never left out."""

from __future__ import annotations

import pytest

from aios3sync.inventory.orc_tail import stripes_of
from aios3sync.inventory.row_groups import wanted_groups
from aios3sync.inventory.span import KeySpan


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tail_of(least: bytes, greatest: bytes) -> bytes:
    """Return the tail of a file of one stripe and one column of texts, with bounds that are cut."""
    texts = field(4, least) + field(5, greatest)
    metadata = field(1, field(1, b"") + field(1, field(4, texts)))
    footer = field(3, field(1, 3) + field(3, 10) + field(5, 1))
    footer += field(4, field(2, 1) + field(3, b"key")) + field(4, field(1, 7))
    postscript = field(1, len(footer)) + field(5, len(metadata)) + field(8000, b"ORC")
    return metadata + footer + postscript + bytes([len(postscript)])


@pytest.mark.parametrize(
    ("greatest", "key", "wanted"),
    [
        (b"b", "c", False),
        (b"b", "b", True),
        (b"a\xf0\xa0", "a\U0001f600", True),
        (b"a\xef", "a\uf8ff", True),
    ],
    ids=["below", "within", "cut within four bytes", "cut within three bytes"],
)
def test_a_bound_that_is_no_text_leaves_nothing_out(greatest: bytes, key: str, wanted: bool) -> None:
    stripes = stripes_of(tail_of(b"a", greatest), "key")
    assert stripes is not None
    assert bool(wanted_groups(stripes, KeySpan("", key, ""))) == wanted
