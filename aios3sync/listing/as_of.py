"""Lists a versioned bucket as it was at an earlier time: of each key the version that was the latest one.

S3 returns the times of versions in whole seconds. Versions that were deleted since, by a person or by a
lifecycle rule, are not listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from aios3sync.core.entries import TargetEntry
from aios3sync.errors import ListingError, ObjectNotFoundError, UsageError
from aios3sync.store.protocol import ListedVersion, ListPage, ObjectStore
from aios3sync.store.wrappers.base import ForwardingStore

__all__ = ("AsOfStore", "latest_at", "require_versions", "version_at")


def latest_at(versions: Iterable[ListedVersion], moment: float) -> ListedVersion | None:
    """Return the version of a key that was the latest one at a time; ``None`` where there was no object.

    Args:
        versions: all of the key; those of the same second from the newest to the oldest.
        moment: seconds since the epoch.
    """
    known = [version for version in versions if version.last_modified <= moment]
    latest = max(known, key=lambda version: version.last_modified, default=None)
    return None if latest is None or latest.is_delete_marker else latest


async def require_versions(store: ObjectStore) -> None:
    """Check that a bucket keeps, or has kept, versions.

    Raises:
        UsageError: it never has.
        StoreError: the request failed.
    """
    if not await store.versioning():
        raise UsageError(
            f"as_of: s3://{store.bucket} keeps no versions, so it is not known what it held at another time; "
            "leave it out"
        )


async def version_at(store: ObjectStore, key: str, moment: float) -> TargetEntry:
    """Return an object as it was at a time.

    Raises:
        ObjectNotFoundError: there was none.
        UsageError: the bucket keeps no versions.
        StoreError: they could not be listed.
    """
    await require_versions(store)
    versions: list[ListedVersion] = []
    token: tuple[str, str] | None = None
    while True:
        page = await store.list_versions_page(key, token=token)
        versions += [version for version in page.versions if version.key == key]
        token = page.next_token
        if token is None or token[0] > key:
            break
    found = latest_at(versions, moment)
    if found is None:
        when = datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
        raise ObjectNotFoundError(
            f"s3://{store.bucket}/{key}: there was no such object at {when}",
            operation="ListObjectVersions",
            bucket=store.bucket,
            key=key,
            code="NoSuchVersion",
        )
    return _entry(found)


class AsOfStore(ForwardingStore):
    """A store whose listing is that of an earlier time; all other requests are passed on.

    Pages come one after the other. The versions of the last key of a page may continue on the next one, so
    they wait for it.

    Args:
        inner: the store of a bucket that keeps versions.
        moment: seconds since the epoch.
    """

    def __init__(self, inner: ObjectStore, moment: float) -> None:
        super().__init__(inner)
        self._moment = moment
        self._waiting: tuple[str | None, list[ListedVersion]] = (None, [])

    async def list_page(
        self,
        prefix: str,
        *,
        token: str | None = None,
        start_after: str = "",
        delimiter: str = "",
        max_keys: int = 1000,
        restores: bool = False,  # noqa: ARG002 - a listing of versions is not asked for them
    ) -> ListPage:
        """Return the objects of one page of versions.

        Raises:
            ListingError: the page does not follow the previous one.
        """
        before, waiting = self._waiting
        if start_after or delimiter or (token is not None and token != before):
            raise ListingError(
                f"the versions of s3://{self.bucket}/{prefix} can only be listed one page after the other",
                operation="ListObjectVersions",
                bucket=self.bucket,
                code="IncompleteListing",
            )
        marker = None if token is None else tuple(json.loads(token))
        page = await self.inner.list_versions_page(prefix, token=marker, max_keys=max_keys)
        by_key: dict[str, list[ListedVersion]] = {}
        for version in [*(waiting if token is not None else []), *page.versions]:
            by_key.setdefault(version.key, []).append(version)
        following = None
        if page.next_token is not None:
            following = json.dumps(page.next_token)
            self._waiting = (following, by_key.pop(page.next_token[0], []))
        return ListPage(self._entries(by_key.values()), [], following)

    def _entries(self, groups: Iterable[Sequence[ListedVersion]]) -> list[TargetEntry]:
        found = (latest_at(versions, self._moment) for versions in groups)
        return [_entry(version) for version in found if version is not None]


def _entry(version: ListedVersion) -> TargetEntry:
    return TargetEntry(
        version.key,
        version.size,
        version.etag,
        version.last_modified,
        version.storage_class,
        version.version_id,
    )
