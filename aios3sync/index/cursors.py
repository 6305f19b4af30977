"""Opaque cursors: where a page ended, bound to its query; pure.

A cursor is not a secret and proves nothing: a forged one shows only rows that the query shows anyway. It is
bound to its query because a position in one order means nothing in another.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Any, Final

import orjson

from aios3sync.errors import UsageError
from aios3sync.index.db.protocol import Position
from aios3sync.index.rows import Totals

__all__ = ("read_cursor", "write_cursor")

_VERSION: Final = 1
_LONGEST: Final = 4096
_INVALID: Final = "after: not a cursor of this index; begin again without one"
_OTHER_QUERY: Final = "after: the cursor is of another query (its prefix, order or direction differs)"


def write_cursor(query: tuple[Any, ...], position: Position, total: Totals) -> str:
    """Return the cursor of the position where a page ended; it carries the total, which is counted once."""
    document = [_VERSION, _digest(query), list(position), list(total)]
    return urlsafe_b64encode(orjson.dumps(document)).decode().rstrip("=")


def read_cursor(query: tuple[Any, ...], cursor: str, *, text: bool) -> tuple[Position, Totals]:
    """Return the position and the total of a cursor.

    Args:
        query: the query that is continued.
        cursor: as :func:`write_cursor` returned it.
        text: whether the query is ordered by a text.

    Raises:
        UsageError: the text is no cursor, or the cursor of another query.
    """
    document = _document(cursor)
    if len(document) != 4 or document[0] != _VERSION:
        raise UsageError(_INVALID)
    _, digest, position, total = document
    if digest != _digest(query):
        raise UsageError(_OTHER_QUERY)
    if not (_is_position(position, text=text) and _is_total(total)):
        raise UsageError(_INVALID)
    return (position[0], position[1]), Totals(*total)


def _document(cursor: str) -> list[Any]:
    if len(cursor) > _LONGEST or not cursor.isascii():
        raise UsageError(_INVALID)
    try:
        document = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise UsageError(_INVALID) from None
    return document if isinstance(document, list) else []


def _is_position(value: Any, *, text: bool) -> bool:
    types: Any = str if text else (int, float)
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], types)
        and not isinstance(value[0], bool)
        and _is_number(value[1])
        and (text or abs(value[0]) < 2**63)
    )


def _is_total(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and _is_number(value[0])
        and _is_number(value[1])
        and isinstance(value[2], bool)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _digest(query: tuple[Any, ...]) -> str:
    return blake2b(orjson.dumps(query), digest_size=9).hexdigest()
