"""Finds out the current state of single objects: by HEAD, or by a listing where that is cheaper."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from typing import Final

from aios3sync.concurrency import for_each
from aios3sync.core.entries import TargetEntry
from aios3sync.errors import ObjectNotFoundError, StoreError
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ObjectStore

__all__ = ("CurrentObject", "current_objects")

CurrentObject = TargetEntry | StoreError | None
"""An object, with a relative key; ``None`` if there is none; or the error for which that is not known."""

_WORTH_A_PAGE: Final = 13
"""Objects that one page of a listing must cover to be cheaper than their HEADs: S3 takes 0.005 $ for 1,000
LIST requests and 0.0004 $ for 1,000 HEAD requests (https://aws.amazon.com/s3/pricing/, us-east-1)."""
_AT_ONCE: Final = 64
"""HEADs at once; the session bounds the requests in flight as well."""


async def current_objects(
    store: ObjectStore, prefix: str, keys: Sequence[str], profile: EndpointProfile
) -> dict[str, CurrentObject]:
    """Return the current objects of some keys.

    Where the endpoint is known to list in byte order, pages are listed as long as each covers enough of the
    keys; elsewhere a page that begins after a key may lack others.

    Args:
        store: of the bucket.
        prefix: what all keys begin with; it is cut off.
        keys: relative to the prefix.
        profile: what is known of the endpoint.
    """
    found: dict[str, CurrentObject] = {}
    rest = sorted(set(keys))
    ordered = profile.list_order == "bytes" or (not profile.list_order and store.capabilities.sorted_listing)
    if ordered and len(rest) > _WORTH_A_PAGE:
        await _head(store, prefix, rest[0], found)  # a page begins after a key
        rest = await _list(store, prefix, rest[0], rest[1:], found)
    await for_each(rest, partial(_head, store, prefix, found=found), limit=_AT_ONCE)
    return found


async def _list(
    store: ObjectStore, prefix: str, after: str, keys: list[str], found: dict[str, CurrentObject]
) -> list[str]:
    """List pages while each covers enough keys; return the keys that remain unknown."""
    while len(keys) >= _WORTH_A_PAGE:
        try:
            page = await store.list_page(prefix, start_after=prefix + after)
        except StoreError:
            return keys  # credentials that may not list may ask for single objects
        entries = {entry.key[len(prefix) :]: entry for entry in page.entries}
        if page.next_token is None:
            place = len(keys)
        else:
            after = max(entries, default=after)
            place = bisect_right(keys, after)
        for key in keys[:place]:
            entry = entries.get(key)
            found[key] = None if entry is None else entry._replace(key=key)
        keys = keys[place:]
        if place < _WORTH_A_PAGE:
            break
    return keys


async def _head(store: ObjectStore, prefix: str, key: str, found: dict[str, CurrentObject]) -> None:
    try:
        head = await store.head(prefix + key)
    except ObjectNotFoundError:
        found[key] = None
    except StoreError as error:
        found[key] = error
    else:
        found[key] = TargetEntry(key, head.size, head.etag, head.last_modified, head.storage_class)
