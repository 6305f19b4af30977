"""Finds the next page of a listing at endpoints without tokens; see ``marker_paging.py``."""

from __future__ import annotations

from collections.abc import Sequence
from operator import lt

from aios3sync._typing import Final
from aios3sync.core.entries import TargetEntry

__all__ = ("NO_WAY_ON", "Marker", "NoTokenError", "next_marker")

NO_WAY_ON: Final = "a truncated page does not say where the next one starts"


class Marker(str):
    """A token of our own: the next page is that of ListObjects after this name."""

    __slots__ = ()


class NoTokenError(ValueError):
    """A truncated page does not say where the next one begins."""

    def __init__(self) -> None:
        super().__init__(NO_WAY_ON)


def next_marker(
    entries: Sequence[TargetEntry], prefixes: Sequence[str], reported: str, marker: str
) -> Marker:
    """Return the marker of the page after a truncated one of ListObjects.

    Args:
        entries: the keys of the page.
        prefixes: its CommonPrefixes.
        reported: its ``NextMarker``, decoded; empty where it has none.
        marker: with which the page was requested.

    Raises:
        NoTokenError: it is unknown, or would be the same page again.
    """
    keys = [entry[0] for entry in entries]
    ascends = all(map(lt, keys, keys[1:])) and all(map(lt, prefixes, prefixes[1:]))
    last = max([*keys[-1:], *prefixes[-1:]], default="")
    # The last name is believed before NextMarker: there are servers that report the first name of the next
    # page, which a marker would leave out. A marker beyond all keys of the last prefix is as good.
    skips = last in prefixes[-1:] and reported.startswith(last)
    following = last if ascends and last and not skips else reported
    if not following or following == marker:
        raise NoTokenError
    return Marker(following)
