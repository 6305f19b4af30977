"""The contract of delete_many."""
# ruff: noqa: S101, D102 - tests: assertions are their point, names their docstrings

from __future__ import annotations

from functools import partial

import pytest
from anyio import create_task_group

from aios3sync.errors import BucketNotFoundError
from aios3sync.store.protocol import DeleteItem, ObjectStore
from aios3sync.testing.contract.base import Deviations, put, put_all

__all__ = ("DeleteContract",)


class DeleteContract(Deviations):
    """Many keys with one request."""

    async def test_deleted_keys_are_gone_and_no_other(self, store: ObjectStore) -> None:
        await put_all(store, "a", "b", "c")
        assert await store.delete_many([DeleteItem("a"), DeleteItem("c")]) == []
        assert [entry.key for entry in (await store.list_page("")).entries] == ["b"]

    async def test_a_missing_key_counts_as_deleted(self, store: ObjectStore) -> None:
        assert await store.delete_many([DeleteItem("missing"), DeleteItem("missing\x01")]) == []

    async def test_a_thousand_keys_go_with_one_request(self, store: ObjectStore) -> None:
        keys = [f"many/{number:04}" for number in range(1000)]
        async with create_task_group() as group:
            for start in range(0, 1000, 50):
                group.start_soon(partial(put_all, store, *keys[start : start + 10]))
        assert len((await store.list_page("many/")).entries) == 200
        assert await store.delete_many([DeleteItem(key) for key in keys]) == []
        assert (await store.list_page("many/")).entries == []

    async def test_a_delete_with_the_right_etag_deletes(self, store: ObjectStore) -> None:
        etag = (await put(store, "key", b"body")).etag
        assert await store.delete_many([DeleteItem("key", etag)]) == []
        assert (await store.list_page("")).entries == []

    async def test_a_delete_with_a_wrong_etag_deletes_nothing(self, store: ObjectStore) -> None:
        await put(store, "key", b"body")
        errors = await store.delete_many([DeleteItem("key", "0" * 32)])
        left = [entry.key for entry in (await store.list_page("")).entries]
        if self.conditional_delete:
            (error,) = errors
            assert (error.key, error.code, error.retryable) == ("key", "PreconditionFailed", False)
            assert left == ["key"]
        else:
            assert (errors, left) == ([], [])

    async def test_one_key_is_deleted_alone_and_a_missing_one_is_no_error(self, store: ObjectStore) -> None:
        await put_all(store, "a", "b")
        await store.delete_one(DeleteItem("a"))
        await store.delete_one(DeleteItem("missing"))
        assert [entry.key for entry in (await store.list_page("")).entries] == ["b"]

    async def test_a_missing_bucket_is_an_error(self, absent: ObjectStore) -> None:
        with pytest.raises(BucketNotFoundError):
            await absent.delete_many([DeleteItem("key")])
