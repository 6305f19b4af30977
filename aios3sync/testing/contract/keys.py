"""The contract of keys: opaque strings, never normalised (P11)."""
# ruff: noqa: S101, D102 - tests: assertions are their point, names their docstrings

from __future__ import annotations

import unicodedata
from typing import Final

import pytest

from aios3sync.errors import ObjectNotFoundError, StoreError
from aios3sync.store.protocol import DeleteItem, ObjectStore
from aios3sync.testing.contract.base import Deviations, put, put_all

__all__ = ("ODD_KEYS", "KeyContract")

ODD_KEYS: Final = (
    "a//b",
    "a/../b",
    "a/./b",
    "..",
    "/lead",
    "//",
    "%2F",
    "%",
    "100%25",
    "a+b",
    "a b",
    "a%20b",
    " lead",
    "trail ",
    "#?&=;'\"",
    "<a>&amp;]]>",
    "a\\b",
    "~!@$^*()_+|{}[]:,",
    "trail/",
    "new\nline",
    "carriage\rreturn",
    "both\r\n",
    "tab\there",
    "control\x01",
    "delete\x7f",
    "next\x85line",
    "\u2028",
    "emoji\U0001f600",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "\ufeffbom",
    "\ufffe",
    "/".join(["k" * 204] * 5),
)


def _name(key: str) -> str:
    return ascii(key)[1:-1][:40]


class KeyContract(Deviations):
    """A key returns exactly the object that was put under it, and no other key is touched."""

    @pytest.mark.parametrize("key", ODD_KEYS, ids=_name)
    async def test_every_key_is_kept_as_it_is(self, store: ObjectStore, key: str) -> None:
        faithful = await _is_faithful(store, key)
        assert faithful == (key not in self.cannot_hold), self.cannot_hold.get(key, "changed or refused")

    async def test_odd_keys_are_different_keys(self, store: ObjectStore) -> None:
        keys = self.holdable(*ODD_KEYS)
        await put_all(store, *keys)
        for key in keys:
            assert (await store.get(key)).body == key.encode()
        page = await store.list_page("")
        assert sorted(entry.key for entry in page.entries) == sorted(keys)

    @pytest.mark.parametrize(
        "doomed", ["x\ry", "x\ny", "x\r\ny", "x\ty", "x\x01y", "x y", "x+y", "x%20y", "x&#13;y"], ids=_name
    )
    async def test_a_delete_hits_exactly_its_key(self, store: ObjectStore, doomed: str) -> None:
        keys = self.holdable("x\ry", "x\ny", "x\r\ny", "x\ty", "x\x01y", "x y", "x+y", "x%20y", "x&#13;y")
        await put_all(store, *keys)
        assert await store.delete_many([DeleteItem(doomed)]) == []
        left = {entry.key for entry in (await store.list_page("")).entries}
        assert left == set(keys) - {doomed}

    async def test_all_odd_keys_are_deleted_at_once(self, store: ObjectStore) -> None:
        keys = self.holdable(*ODD_KEYS)
        await put_all(store, *keys, "bystander")
        assert await store.delete_many([DeleteItem(key) for key in keys]) == []
        assert [entry.key for entry in (await store.list_page("")).entries] == ["bystander"]

    async def test_a_name_is_object_and_folder_at_once(self, store: ObjectStore) -> None:
        await put_all(store, "a", "a/b")
        assert (await store.get("a")).body == b"a"
        assert (await store.get("a/b")).body == b"a/b"
        await store.delete_many([DeleteItem("a")])
        with pytest.raises(ObjectNotFoundError):
            await store.get("a")
        assert (await store.get("a/b")).body == b"a/b"

    async def test_a_key_may_begin_with_the_bucket(self, store: ObjectStore) -> None:
        key = f"{store.bucket}/key"
        await put_all(store, key)
        assert [entry.key for entry in (await store.list_page("")).entries] == [key]

    async def test_a_key_over_1024_bytes_is_refused(self, store: ObjectStore) -> None:
        key = "/".join(["k" * 204] * 5) + "k"
        if not self.refuses_long_keys:
            await put(store, key, b"")
            return
        with pytest.raises(StoreError) as caught:
            await put(store, key, b"")
        assert not caught.value.retryable


async def _is_faithful(store: ObjectStore, key: str) -> bool:
    try:
        await put(store, key, key.encode())
        body, head = await store.get(key)
        listed = (await store.list_page("")).entries
    except StoreError:
        return False
    same_size = [(entry.key, entry.size) for entry in listed] == [(key, len(key.encode()))]
    return body == key.encode() and same_size and head.size == len(body)
