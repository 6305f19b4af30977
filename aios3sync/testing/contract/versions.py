"""The contract of what few buckets need: versions of objects, archived ones, the checksums that S3 keeps.

It is a class of its own, with the fixture ``versioned`` (an empty bucket that keeps versions)::

    class TestVersionsOfMyStore(VersionedContract):
        @pytest.fixture
        def versioned(self): ...
"""
# ruff: noqa: S101, D102 - tests: assertions are their point, names their docstrings

from __future__ import annotations

from itertools import groupby

import pytest

from aios3sync.core.checksums import ObjectChecksum
from aios3sync.errors import ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.local.checksum import checksum_of, is_computable
from aios3sync.store.protocol import (
    CopySource,
    DeleteItem,
    ListedVersion,
    ObjectStore,
    PutOptions,
    RestoreRequest,
)
from aios3sync.testing.contract.base import Deviations, put
from aios3sync.testing.contract.listings import every_version

__all__ = ("VersionedContract",)


class VersionedContract(Deviations):
    """Versions, archived objects and checksums."""

    async def _two_versions(self, store: ObjectStore, key: str) -> list[ListedVersion]:
        await put(store, key, b"old", PutOptions(tags={"age": "old"}))
        await put(store, key, b"newer")
        return [version for version in await every_version(store, key) if version.key == key]

    async def test_the_bucket_says_that_it_keeps_versions(self, versioned: ObjectStore) -> None:
        assert await versioned.versioning() == "Enabled"

    async def test_versions_are_listed_with_the_newest_first(self, versioned: ObjectStore) -> None:
        newer, old = await self._two_versions(versioned, "v/a b")
        assert (newer.size, old.size) == (5, 3)
        assert (newer.is_latest, old.is_latest) == (True, False)
        assert len({newer.version_id, old.version_id}) == 2
        assert old.etag == "149603e6c03516362a8da23f624db945"  # the MD5 of b"old"
        assert (await versioned.get("v/a b", version_id=old.version_id)).head.etag == old.etag

    async def test_an_old_version_can_be_read(self, versioned: ObjectStore) -> None:
        _, old = await self._two_versions(versioned, "v/r")
        assert (await versioned.get("v/r")).body == b"newer"
        body, head = await versioned.get("v/r", version_id=old.version_id, if_match=old.etag)
        assert (body, head.size) == (b"old", 3)
        assert (await versioned.get("v/r", start=1, length=1, version_id=old.version_id)).body == b"l"
        assert (await versioned.head("v/r", version_id=old.version_id)).size == 3
        assert dict(await versioned.tags("v/r", version_id=old.version_id)) == {"age": "old"}
        with pytest.raises(PreconditionFailedError):
            await versioned.get("v/r", if_match=old.etag)

    async def test_an_old_version_can_be_copied(self, versioned: ObjectStore) -> None:
        _, old = await self._two_versions(versioned, "v/c")
        await versioned.copy(CopySource("v/c", version_id=old.version_id), "v/copy")
        assert (await versioned.get("v/copy")).body == b"old"

    async def test_a_delete_marker_hides_what_is_still_there(self, versioned: ObjectStore) -> None:
        await put(versioned, "v/d", b"body")
        await versioned.delete_one(DeleteItem("v/d"))
        with pytest.raises(ObjectNotFoundError):
            await versioned.head("v/d")
        listed = {version.is_delete_marker: version for version in await every_version(versioned, "v/d")}
        assert listed[True].is_latest
        assert (await versioned.get("v/d", version_id=listed[False].version_id)).body == b"body"

    @pytest.mark.parametrize("max_keys", [1, 2, 5])
    async def test_the_versions_of_a_key_follow_each_other(
        self, versioned: ObjectStore, max_keys: int
    ) -> None:
        for number in range(3):
            for key in ("p/a", "p/b", "p/c"):
                await put(versioned, key, bytes(number))
        versions = await every_version(versioned, "p/", max_keys)
        assert [key for key, _ in groupby(version.key for version in versions)] == ["p/a", "p/b", "p/c"]
        assert [version.size for version in versions] == [2, 1, 0] * 3

    async def test_an_archived_object_is_restored_once(self, versioned: ObjectStore) -> None:
        await put(versioned, "cold", b"body", PutOptions(storage_class="GLACIER"))
        request = RestoreRequest("standard", 1)
        if not self.restores:
            with pytest.raises(StoreError):
                await versioned.restore("cold", request)
            return
        assert await versioned.restore("cold", request) is False
        try:
            assert await versioned.restore("cold", request) is True
        except StoreError as error:
            assert error.code == "RestoreAlreadyInProgress"  # noqa: PT017 - either is right

    @pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
    async def test_the_checksum_of_an_upload_is_kept(self, versioned: ObjectStore, algorithm: str) -> None:
        if not is_computable(algorithm):
            pytest.skip(f"{algorithm} needs a package that is not installed")
        await put(versioned, "sum", b"body", PutOptions(checksum=algorithm))
        checksum = (await versioned.head("sum", checksums=True)).checksum
        assert isinstance(checksum, ObjectChecksum) is self.keeps_checksums
        if checksum is not None:
            assert checksum[:3] == (algorithm, checksum_of(algorithm, b"body"), 0)
