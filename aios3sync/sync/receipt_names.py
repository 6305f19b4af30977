"""The keys of receipts on both sides of a pair: they are not data; no run sends, fetches or deletes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Final

from aios3sync.core.filters import Filters, OwnFiles, Rule
from aios3sync.core.keys import SCHEME, parse_object
from aios3sync.errors import ManifestError
from aios3sync.manifest.files import exists, key_below, open_kept, own_files, storable
from aios3sync.sync.request import SyncRequest, is_shared, manifest_path

__all__ = ("known_receipts", "receipt_files", "receipt_key", "remembered")

_TEMPORARY: Final = r"(?:\.tmp-\w+)?"
"""Matches the end of the name of a receipt that is being written."""
_MOST_REMEMBERED: Final = 16


def receipt_key(request: SyncRequest) -> str:
    """Return the key of a request's receipt within the pair; empty if the receipt is elsewhere. Blocks."""
    place = request.options.receipt
    if not place:
        return ""
    if place.startswith(SCHEME):
        bucket, key = parse_object(place)
        location = request.location
        inside = bucket == location.bucket and key.startswith(location.prefix)
        return key.removeprefix(location.prefix) if inside else ""
    return key_below(request.root, os.path.abspath(place))


def receipt_files(
    request: SyncRequest, known: Sequence[str], rules: tuple[Rule, ...]
) -> tuple[OwnFiles, ...]:
    """Return a test for the keys of receipts. Blocks.

    Args:
        request: the sync, with its own receipt.
        known: keys of the receipts of earlier runs. One that a rule includes is data again.
        rules: of the filters.
    """
    own = receipt_key(request)
    place, wanted = request.options.receipt, Filters(rules)
    keys = [key for key in known if key != own and not _is_included(wanted, key)]
    found = tuple(map(_named, filter(None, (own, *keys))))
    if place and not place.startswith(SCHEME):
        found += own_files(os.path.abspath(place), request.root, _TEMPORARY)
    return found


def _is_included(filters: Filters, key: str) -> bool:
    rule = filters.deciding_rule(key)
    return rule is not None and rule.include


def _named(key: str) -> OwnFiles:
    name = key.rpartition("/")[2]
    return OwnFiles(re.compile(re.escape(name) + _TEMPORARY), re.compile(re.escape(key) + _TEMPORARY))


def known_receipts(request: SyncRequest) -> tuple[str, ...]:
    """Return the keys of the receipts that the manifest of a request knows; perhaps none. Blocks."""
    if request.options.manifest is False or is_shared(request.options):
        return ()
    path = manifest_path(request)
    if not path or not exists(path):
        return ()
    try:
        binding, state = open_kept(path)
    except (ManifestError, ValueError):  # a verification needs no manifest
        return ()
    return state.receipts if binding == storable(request.binding) else ()


def remembered(known: Iterable[str], key: str) -> tuple[str, ...]:
    """Return the keys of receipts and one more; the oldest keys are dropped."""
    return (*(other for other in known if other != key), key)[-_MOST_REMEMBERED:]
