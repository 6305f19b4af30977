"""Finds the one entry that a name means; where that is not clear, the error names some. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aios3sync.catalog.edits import matching
from aios3sync.catalog.entries import Entry
from aios3sync.catalog.layout import Layout
from aios3sync.errors import SourceError

__all__ = ("entry_named", "near_names")

_NEAR: Final = 3
_SHOWN: Final = 10
_SIMILAR: Final = 0.6


def entry_named(
    entries: Sequence[Entry],
    layout: Layout,
    name: str,
    *,
    location: str,
    config: str | None = None,
    revision: str | None = None,
) -> Entry:
    """Return the entry that a name means.

    Of several versions with one id it is the one with the default config and the default revision, unless
    others are named.

    Args:
        entries: of the catalog.
        layout: of the catalog.
        name: an id, or the key of an entry.
        location: of the catalog, for errors.
        config: of a dataset; ``None`` leaves it open.
        revision: ``None`` leaves it open.

    Raises:
        SourceError: there is none, or it is not clear which one is meant.
    """
    found = matching(entries, layout, name)
    if not found:
        near = ", ".join(map(repr, near_names(entries, layout, name)))
        hint = f"near to it: {near}; " if near else ""
        raise SourceError(f"{location} has no {name!r}; {hint}'aios3sync catalog list' shows its entries")
    wanted = [entry for entry in found if _is_version(entry, layout, config, revision)]
    if not wanted:
        raise SourceError(f"{name!r} has no such version; it has {_keys(found, layout)}")
    if len(wanted) > 1:
        config, revision = config or layout.default_config, revision or layout.default_revision
        default = [entry for entry in wanted if _is_version(entry, layout, config, revision)]
        if len(default) != 1:
            raise SourceError(f"{name!r} has several versions, name one: {_keys(wanted, layout)}")
        return default[0]
    return wanted[0]


def near_names(entries: Sequence[Entry], layout: Layout, name: str) -> list[str]:
    """Return ids and keys that look like a name, the best first: those that end alike, then similar ones."""
    from difflib import get_close_matches  # an error has time

    known = list(dict.fromkeys(text for entry in entries for text in (entry.id, layout.entry_key(entry))))
    last = name.rpartition("/")[2].casefold()
    alike = [text for text in known if text.rpartition("/")[2].casefold() == last]
    folded = {text.casefold(): text for text in reversed(known)}
    similar = get_close_matches(name.casefold(), folded, _NEAR, _SIMILAR)
    return list(dict.fromkeys([*alike, *(folded[text] for text in similar)]))[:_NEAR]


def _is_version(entry: Entry, layout: Layout, config: str | None, revision: str | None) -> bool:
    _, *configs, its_revision = layout.names_of(entry)
    if config is not None and configs and configs[0] != config:
        return False
    return revision is None or its_revision == revision


def _keys(entries: Sequence[Entry], layout: Layout) -> str:
    keys = sorted(layout.entry_key(entry) for entry in entries)
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(map(repr, keys[:_SHOWN])) + more
