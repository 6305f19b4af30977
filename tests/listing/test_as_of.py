"""A bucket as it was: of each key the version that was the latest one, over pages of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.errors import ListingError, ObjectNotFoundError, UsageError
from aios3sync.listing.as_of import AsOfStore, latest_at, require_versions, version_at
from aios3sync.listing.pages import PageReader
from aios3sync.store.protocol import DeleteItem, ListedVersion
from aios3sync.testing.contract.base import put
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.versions import VersionHistory

if TYPE_CHECKING:
    from aios3sync.core.entries import TargetEntry


class Clock:
    """Seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def versioned(clock: Clock) -> MemoryStore:
    store = MemoryStore(clock=clock)
    store.history = VersionHistory()
    return store


async def entries_at(store: MemoryStore, moment: float, max_keys: int = 1000) -> list[TargetEntry]:
    listed = AsOfStore(store, moment)
    entries, token = [], None
    while True:
        page = await listed.list_page("", token=token, max_keys=max_keys)
        entries += page.entries
        if (token := page.next_token) is None:
            return entries


KEYS = st.sampled_from(["a", "a/b", "b", "c é", "d"])
EDITS = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.binary(max_size=3)), st.integers(0, 2)), max_size=25)


@given(edits=EDITS, moment=st.integers(995, 1040), max_keys=st.integers(1, 7))
async def test_the_listing_is_that_of_the_time(
    edits: list[tuple[str, bytes | None, int]], moment: int, max_keys: int
) -> None:
    """Compared with a model that is written down after each edit; several may fall into one second."""
    clock = Clock()
    store = versioned(clock)
    then: dict[str, bytes] = {}
    for key, body, seconds in edits:
        clock.now += seconds
        if body is None:
            await store.delete_one(DeleteItem(key))
        else:
            await put(store, key, body)
        if clock.now <= moment:
            then = store.bodies()
    found = await entries_at(store, moment, max_keys)
    assert [entry.key for entry in found] == sorted(then)
    for key, size, _, _, _, version_id, _ in found:
        assert (await store.get(key, version_id=version_id)).body == then[key]
        assert size == len(then[key])
        entry = await version_at(store, key, moment)
        assert (entry.key, entry.version_id) == (key, version_id)
    for key in {key for key, _, _ in edits} - then.keys():
        with pytest.raises(ObjectNotFoundError, match="no such object at"):
            await version_at(store, key, moment)


def test_an_object_wins_over_a_delete_marker_of_the_same_second_that_is_listed_after_it() -> None:
    new = ListedVersion("a", "2", 1, 5.0, False)
    gone = ListedVersion("a", "1", 0, 5.0, False, is_delete_marker=True)
    assert latest_at([new, gone], 5.9) is new
    assert latest_at([gone, new], 5.9) is None
    assert latest_at([new, gone], 4.9) is None


async def test_a_bucket_without_versions_is_refused() -> None:
    with pytest.raises(UsageError, match="s3://bucket keeps no versions"):
        await require_versions(MemoryStore())
    with pytest.raises(UsageError, match="keeps no versions"):
        await version_at(MemoryStore(), "a", 1.0)


async def test_pages_can_only_be_read_in_their_order() -> None:
    store = versioned(Clock())
    for key in "abc":
        await put(store, key, b"1")
    listed = AsOfStore(store, 2000.0)
    first = await listed.list_page("", max_keys=1)
    await listed.list_page("", token=first.next_token, max_keys=1)
    for wrong in ({"token": first.next_token}, {"start_after": "a"}, {"delimiter": "/"}):
        with pytest.raises(ListingError, match="one page after the other"):
            await listed.list_page("", **wrong)
    reader = PageReader(AsOfStore(store, 2000.0), "")
    assert [entry.key for entry in (await reader.next()).entries] == ["a", "b", "c"]
