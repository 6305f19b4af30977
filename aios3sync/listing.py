"""Lists the target: pages of relative entries below the prefix, complete or an error. It only reads.

A listing that merely stops is indistinguishable from one that ended, so everything odd is a ListingError:
a truncated page without a token, a token that comes again, a key outside the prefix (D1, D6).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aios3sync.core.entries import TargetEntry
from aios3sync.errors import ListingError
from aios3sync.store.protocol import ObjectStore

__all__ = ("list_target",)


async def list_target(store: ObjectStore, prefix: str) -> AsyncGenerator[list[TargetEntry], None]:
    """All objects below ``prefix`` with keys relative to it, in pages and order of the endpoint.

    The prefix itself, as an object, is left out: it has no relative key.

    Raises:
        ListingError: the end of the listing is not known to be its end.
        StoreError: a page could not be had.
    """
    token: str | None = None
    seen: set[str] = set()
    while True:
        page = await store.list_page(prefix, token=token)
        entries = _relative(page.entries, prefix, store.bucket)
        if entries:
            yield entries
        token = page.next_token
        if token is None:
            return
        if token in seen:
            raise _error(store.bucket, prefix, "the same continuation token came twice")
        seen.add(token)


def _relative(entries: list[TargetEntry], prefix: str, bucket: str) -> list[TargetEntry]:
    for entry in entries:
        if not entry.key.startswith(prefix):
            raise _error(bucket, prefix, f"the endpoint listed {entry.key!r}, which is not below the prefix")
    if not prefix:
        return entries
    cut = len(prefix)
    return [TargetEntry(entry[0][cut:], *entry[1:]) for entry in entries if len(entry.key) > cut]


def _error(bucket: str, prefix: str, what: str) -> ListingError:
    return ListingError(
        f"listing s3://{bucket}/{prefix} broke off: {what}; nothing is deleted",
        operation="ListObjectsV2",
        bucket=bucket,
        code="IncompleteListing",
    )
