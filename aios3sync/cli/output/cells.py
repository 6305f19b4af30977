"""Cuts names to the columns of a terminal, where a wide letter takes two; loaded only with rich."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, takewhile

from rich.cells import cell_len

__all__ = ("without_beginning", "without_middle")


def without_beginning(text: str, room: int, mark: str = "…") -> str:
    """Return the text; if it is too long, its beginning is cut, as the end of a key says more."""
    if cell_len(text) <= room:
        return text
    return f"{mark}{_end(text, room - len(mark))}"


def without_middle(text: str, room: int, mark: str = "…") -> str:
    """Return the text; if it is too long, its middle is cut, as both ends are informative."""
    if cell_len(text) <= room:
        return text
    left = max(room - len(mark), 0)
    head = left // 2
    return f"{text[: _fitting(text, head)]}{mark}{_end(text, left - head)}"


def _end(text: str, room: int) -> str:
    return text[len(text) - _fitting(reversed(text), room) :]


def _fitting(letters: Iterable[str], room: int) -> int:
    """Return how many of the letters fit."""
    return sum(1 for _ in takewhile(lambda cells: cells <= room, accumulate(map(cell_len, letters))))
