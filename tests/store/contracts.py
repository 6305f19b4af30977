"""How the servers of the tests deviate from the contract, and an empty bucket on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from aios3sync.store.protocol import DeleteItem
from aios3sync.testing.contract import ObjectStoreContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios3sync.store.protocol import ObjectStore


class OnMoto(ObjectStoreContract):
    """The contract as far as moto keeps it."""

    cannot_hold: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ["new\nline", "both\r\n", "x\ny", "x\r\ny"], "its routes do not match a line feed"
    )
    refuses_wrong_md5 = False
    atomic_conditions = False  # it looks and writes in two steps, in as many threads as there are requests
    conditional_copy = False
    conditional_copy_part = False
    conditional_delete = False
    refuses_long_keys = False
    groups_with_start_after = False
    reports_initiated = False
    forgets_aborted_uploads = False


class OnSeaweedFS(ObjectStoreContract):
    """The contract as far as SeaweedFS keeps it."""

    keeps_acls = False
    copied_parts_are_md5 = False
    cannot_hold: ClassVar[Mapping[str, str]] = {
        "a//b": "folds empty path parts",
        "//": "folds empty path parts",
        "/lead": "drops a leading slash",
        "a\\b": "reads a backslash as a slash",
        "trail/": "drops the body of a folder",
        **dict.fromkeys(["a/../b", "a/./b", ".."], "refuses relative paths"),
    }
    sorted_listing = False
    forgets_replaced_parts = False


async def emptied(store: ObjectStore) -> ObjectStore:
    """Remove what an earlier test left: a bucket for each test is too much for SeaweedFS."""
    for upload in await store.list_multiparts(""):
        await store.abort_multipart(upload.key, upload.upload_id)
    while entries := (await store.list_page("")).entries:
        assert await store.delete_many([DeleteItem(entry.key) for entry in entries]) == []
    return store
