"""One object is deleted if it is there; credentials that may not read delete all the same."""

from __future__ import annotations

import pytest

from aios3sync.errors import AccessDeniedError, BucketNotFoundError, ObjectNotFoundError
from aios3sync.objects.removal import remove_object
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore


@pytest.fixture
def inner() -> MemoryStore:
    return MemoryStore(objects={"k": b"1", "other": b"2"})


async def test_one_object_is_deleted(inner: MemoryStore) -> None:
    store = FaultyStore(inner)
    await remove_object(store, "k")
    assert sorted(inner.objects) == ["other"]
    assert store.calls == {"head": 1, "delete_one": 1}


async def test_a_dry_run_only_looks(inner: MemoryStore) -> None:
    await remove_object(inner, "k", dry_run=True)
    with pytest.raises(ObjectNotFoundError):
        await remove_object(inner, "none", dry_run=True)
    assert sorted(inner.objects) == ["k", "other"]


async def test_a_missing_object_and_a_missing_bucket_are_told_apart(inner: MemoryStore) -> None:
    with pytest.raises(ObjectNotFoundError, match="--recursive deletes what is below a prefix"):
        await remove_object(inner, "none")
    store = FaultyStore(inner)
    store.on("head", error=ObjectNotFoundError("404", code="404", status=404))
    inner.exists = False
    with pytest.raises(BucketNotFoundError):
        await remove_object(store, "k")


async def test_credentials_that_may_not_read_delete_all_the_same(inner: MemoryStore) -> None:
    store = FaultyStore(inner)
    store.on("head", error=AccessDeniedError("no", code="403", status=403))
    await remove_object(store, "k")
    assert sorted(inner.objects) == ["other"]
