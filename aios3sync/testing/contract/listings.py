"""The contract of list_page and list_versions_page: every key once, and a certain end."""
# ruff: noqa: S101, D102 - tests: assertions are their point, names their docstrings

from __future__ import annotations

import time

import pytest

from aios3sync.errors import BucketNotFoundError
from aios3sync.store.protocol import ListedVersion, ObjectStore
from aios3sync.testing.contract.base import Deviations, put, put_all

__all__ = (
    "ListingContract",
    "VersionContract",
)


async def _pages(
    store: ObjectStore, prefix: str, *, max_keys: int, delimiter: str = "", start_after: str = ""
) -> tuple[list[str], list[str]]:
    keys: list[str] = []
    prefixes: list[str] = []
    token: str | None = None
    while True:
        page = await store.list_page(
            prefix, token=token, max_keys=max_keys, delimiter=delimiter, start_after=start_after
        )
        keys += [entry.key for entry in page.entries]
        prefixes += page.prefixes
        if page.next_token is None:
            return keys, prefixes
        assert page.next_token != token
        token = page.next_token


class ListingContract(Deviations):
    """Listings and their pages."""

    async def test_an_empty_bucket_has_an_empty_listing(self, store: ObjectStore) -> None:
        page = await store.list_page("")
        assert (page.entries, page.prefixes, page.next_token) == ([], [], None)

    async def test_a_page_has_size_etag_and_time_of_its_objects(self, store: ObjectStore) -> None:
        etag = (await put(store, "key", b"body")).etag
        (entry,) = (await store.list_page("")).entries
        assert (entry.key, entry.size, entry.etag) == ("key", 4, etag)
        assert entry.storage_class in ("", "STANDARD")
        assert abs(entry.last_modified - time.time()) < 60
        assert int(entry.last_modified) == (await store.head("key")).last_modified

    async def test_only_the_prefix_is_listed(self, store: ObjectStore) -> None:
        await put_all(store, "p/a", "p/b", "p-old/a", "pp", "q")
        assert (await _pages(store, "p/", max_keys=1000))[0] == ["p/a", "p/b"]

    @pytest.mark.parametrize("prefix", ["a b+c/", "100%/", "#?&/", "é/", "x%2Fy/"])
    async def test_prefixes_are_literal(self, store: ObjectStore, prefix: str) -> None:
        await put_all(store, f"{prefix}key", "other/key")
        assert (await _pages(store, prefix, max_keys=1000))[0] == [f"{prefix}key"]

    @pytest.mark.parametrize("max_keys", [1, 3, 7, 10, 11])
    async def test_pages_give_every_key_once(self, store: ObjectStore, max_keys: int) -> None:
        keys = [f"k{number:02}" for number in range(10)]
        await put_all(store, *keys)
        assert (await _pages(store, "", max_keys=max_keys))[0] == keys

    async def test_odd_keys_survive_page_borders(self, store: ObjectStore) -> None:
        keys = self.holdable("a b", "a%b", "a&b", "a+b", "a<b", "aéb", "a\U0001f600b")
        await put_all(store, *keys)
        assert (await _pages(store, "", max_keys=1))[0] == sorted(keys)

    async def test_order_is_that_of_utf8_bytes(self, store: ObjectStore) -> None:
        keys = ["a!b", "a-b", "a.txt", "a/x", "a/y/z", "a0", "ab", "b", "é", "\uffee", "\U0001f600"]
        await put_all(store, *reversed(keys))
        listed = (await _pages(store, "", max_keys=4))[0]
        assert sorted(listed) == sorted(keys)
        assert (listed == sorted(keys)) == self.sorted_listing

    async def test_start_after(self, store: ObjectStore) -> None:
        await put_all(store, "a", "b", "c", "d")
        assert (await _pages(store, "", max_keys=1000, start_after="b"))[0] == ["c", "d"]
        assert (await _pages(store, "", max_keys=1, start_after="bb"))[0] == ["c", "d"]
        assert (await _pages(store, "", max_keys=1000, start_after="d"))[0] == []

    async def test_a_delimiter_rolls_up(self, store: ObjectStore) -> None:
        await put_all(store, "roll/a", "roll/b/1", "roll/b/2", "roll/c d/1", "roll/e")
        keys, prefixes = await _pages(store, "roll/", max_keys=1000, delimiter="/")
        assert (keys, prefixes) == (["roll/a", "roll/e"], ["roll/b/", "roll/c d/"])

    async def test_rolled_up_pages_give_everything_once(self, store: ObjectStore) -> None:
        await put_all(store, "r/a", "r/b/1", "r/b/2", "r/b/3", "r/c/1", "r/d")
        keys, prefixes = await _pages(store, "r/", max_keys=1, delimiter="/")
        assert (keys, prefixes) == (["r/a", "r/d"], ["r/b/", "r/c/"])

    async def test_start_after_within_a_group(self, store: ObjectStore) -> None:
        await put_all(store, "s/1/a", "s/1/b", "s/2/a")
        _, prefixes = await _pages(store, "s/", max_keys=1000, delimiter="/", start_after="s/1/a")
        assert prefixes == (["s/1/", "s/2/"] if self.groups_with_start_after else ["s/2/"])


async def every_version(store: ObjectStore, prefix: str, max_keys: int = 1000) -> list[ListedVersion]:
    """Return the versions of all pages."""
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
