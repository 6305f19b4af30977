"""The part of the contract about versions, in a bucket that never had any."""
# ruff: noqa: S101, D102 - tests: assertions are their point, names their docstrings

from __future__ import annotations

import pytest

from aios3sync.errors import BucketNotFoundError
from aios3sync.store.protocol import ListedVersion, ObjectStore
from aios3sync.testing.contract.base import Deviations, put, put_all

__all__ = ("VersionContract",)


async def every_version(store: ObjectStore, prefix: str, max_keys: int = 1000) -> list[ListedVersion]:
    """All pages together."""
    page = await store.list_versions_page(prefix, max_keys=max_keys)
    versions = list(page.versions)
    while page.next_token is not None:
        page = await store.list_versions_page(prefix, token=page.next_token, max_keys=max_keys)
        versions += page.versions
    return versions


class VersionContract(Deviations):
    """Versions of objects."""

    async def test_a_new_bucket_has_no_versions(self, store: ObjectStore) -> None:
        assert await store.versioning() == ""

    async def test_without_versioning_every_object_is_its_only_version(self, store: ObjectStore) -> None:
        await put(store, "v/a", b"old")
        await put(store, "v/a", b"newer")
        await put_all(store, "v/b c+é%25", "w/other")
        found = sorted(await every_version(store, "v/"))
        assert [(version.key, version.size) for version in found] == [("v/a", 5), ("v/b c+é%25", 11)]
        for version in found:
            assert version.version_id == "null"
            assert version.is_latest
            assert not version.is_delete_marker
            assert version.last_modified > 0

    async def test_versions_come_in_pages(self, store: ObjectStore) -> None:
        keys = [f"v/{number}" for number in range(7)]
        await put_all(store, *keys)
        assert sorted(version.key for version in await every_version(store, "v/", 3)) == keys

    async def test_versions_of_a_bucket_that_is_not_there(self, absent: ObjectStore) -> None:
        with pytest.raises(BucketNotFoundError):
            await absent.list_versions_page("")
