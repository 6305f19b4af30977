"""Orphaned shards: they are deleted after a day, and no other shard ever is."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import pytest

from aios3sync.catalog import DatasetEntry
from aios3sync.catalog import format as document
from aios3sync.catalog import orphans as sweeping
from aios3sync.errors import AccessDeniedError, PreconditionFailedError
from aios3sync.store.wrappers.base import ForwardingStore, StoreCall
from tests.catalog.test_writing import INDEX, Unconditional

if TYPE_CHECKING:
    from tests.catalog.conftest import Shop

T = TypeVar("T")
DAY = sweeping.GRACE
FOLDER = f".aios3sync/catalog/datasets/{INDEX}/"


@pytest.fixture(autouse=True)
def small_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LARGEST_PLAIN", 2_000)
    monkeypatch.setattr(document, "_SHARD_BYTES", 1_000)


def entries(count: int, name: str = "d") -> list[DatasetEntry]:
    return [DatasetEntry(f"{name}{number}") for number in range(count)]


def shards(shop: Shop) -> set[str]:
    return {key for key in shop.memory.objects if key.endswith(".json.gz")}


def named(shop: Shop, key: str = INDEX) -> set[str]:
    return {shard["key"] for shard in shop.read(key).get(document.SHARDS, {"shards": ()})["shards"]}


def grow_old(shop: Shop, keys: set[str], seconds: float) -> None:
    for key in keys:
        stored = shop.memory.objects[key]
        shop.memory.objects[key] = replace(stored, last_modified=stored.last_modified - seconds)


async def stocked(shop: Shop, count: int = 20) -> None:
    """An index in shards, whose entries a scan finds as well."""
    for entry in entries(count):
        await shop.put(f"{entry.dataset_id}/default_config/default_revision/x")
    await shop.catalog().add(*entries(count))
    assert len(named(shop)) > 1


async def broken_off(shop: Shop) -> set[str]:
    """The shards of a writer that died between storing its shards and its swap."""
    before = shards(shop)
    swap = shop.store.on("put", key=INDEX, wait=anyio.Event(), reached=anyio.Event())
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: shop.catalog().add(*entries(20, "lost"), derive=False))
        await swap.reached.wait()  # type: ignore[union-attr]
        group.cancel_scope.cancel()
    left = shards(shop) - before
    assert left
    return left


async def test_a_rebuild_deletes_orphaned_shards_of_a_day(shop: Shop) -> None:
    await stocked(shop)
    left = await broken_off(shop)
    grow_old(shop, left, DAY - 60)
    assert (await shop.catalog().rebuild()).swept == 0
    assert left <= shards(shop)
    grow_old(shop, left, 120)
    change = await shop.catalog().rebuild()
    assert (change.swept, shop.metrics.swept) == (len(left), len(left))
    assert shards(shop) == named(shop)
    assert len(await shop.catalog().list(tier="index")) == 20


async def test_a_later_change_sweeps_as_well_once_an_hour(shop: Shop) -> None:
    await stocked(shop)
    left = await broken_off(shop)
    grow_old(shop, left, DAY + 60)
    catalog = shop.catalog()
    assert (await catalog.add(DatasetEntry("one"))).swept == len(left)
    assert shards(shop) == named(shop)
    listings = shop.store.calls["list_page"]
    await catalog.add(DatasetEntry("two"), derive=False)
    assert shop.store.calls["list_page"] == listings


async def test_a_rebuild_that_changes_nothing_sweeps_all_the_same(shop: Shop) -> None:
    await shop.put("d/en/v1/dataset_info.json")
    await shop.catalog().add(DatasetEntry("d", "en", "v1"))
    assert (await shop.catalog().rebuild()).changed is False
    puts = shop.store.calls["put"]
    left = {f"{FOLDER}0000-{'a' * 16}.json.gz"}
    for _ in range(2):
        for key in left:
            await shop.put(key)
        grow_old(shop, left, DAY + 60)
        before = shop.memory.objects[INDEX].etag
        change = await shop.catalog().rebuild()
        assert (change.changed, change.swept, shards(shop)) == (False, 1, set())
        assert shop.memory.objects[INDEX].etag != before  # who was about to name it loses the race
    assert shop.store.calls["put"] == puts + 4  # and the probe of each rebuild
    assert [entry.id for entry in await shop.catalog().list(tier="index")] == ["d"]


async def test_a_document_that_shrank_leaves_nothing(shop: Shop) -> None:
    await stocked(shop)
    grow_old(shop, await broken_off(shop), DAY + 60)
    for number in range(20):
        del shop.memory.objects[f"d{number}/default_config/default_revision/x"]
    assert (await shop.catalog().rebuild()).entries == 0
    assert shards(shop) == set()


async def test_no_other_object_in_the_folder_is_deleted(shop: Shop) -> None:
    await stocked(shop)
    others = {
        f"{FOLDER}notes.txt",
        f"{FOLDER}0000-{'a' * 16}.json.gz.bak",
        f"{FOLDER}x/0000-{'a' * 16}.json.gz",
    }
    for key in others:
        await shop.put(key)
    grow_old(shop, others, 9 * DAY)
    assert (await shop.catalog().rebuild()).swept == 0
    assert others <= set(shop.memory.objects)


async def test_a_writer_that_pauses_for_days_loses_no_entry(shop: Shop) -> None:
    await stocked(shop)
    before, go_on = shards(shop), anyio.Event()
    swap = shop.store.on("put", key=INDEX, wait=go_on, reached=anyio.Event())
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: shop.catalog().add(*entries(20, "late"), derive=False))
        await swap.reached.wait()  # type: ignore[union-attr]
        grow_old(shop, shards(shop) - before, 9 * DAY)
        assert (await shop.catalog().rebuild()).swept > 0  # the very shards that it is about to name
        go_on.set()
    assert named(shop) <= shards(shop)
    listing = await shop.catalog().list(tier="index")
    assert {entry.id for entry in listing} == {f"{name}{n}" for name in ("d", "late") for n in range(20)}


async def test_shards_stored_after_the_swap_are_not_deleted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "GRACE", -60.0)
    await stocked(shop)
    listed, swapped, done = anyio.Event(), anyio.Event(), anyio.Event()
    look = shop.store.on("list_page", key=FOLDER, wait=listed, reached=anyio.Event())

    async def rebuild() -> None:
        await shop.catalog().rebuild()
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(rebuild)
        await look.reached.wait()  # type: ignore[union-attr]
        swap = shop.store.on("put", key=INDEX, wait=swapped, reached=anyio.Event())
        group.start_soon(lambda: shop.catalog().add(*entries(20, "late"), derive=False))
        await swap.reached.wait()  # type: ignore[union-attr]
        listed.set()
        await done.wait()
        swapped.set()
    assert named(shop) <= shards(shop)
    assert len(await shop.catalog().list(tier="index")) == 40


class Renaming(ForwardingStore):
    """Another writer replaces each shard when it is requested, as often as ``left`` says."""

    def __init__(self, shop: Shop, left: int) -> None:
        super().__init__(shop.memory)
        self._shop = shop
        self.left = left

    async def call(self, request: StoreCall[T]) -> T:
        key = request.key or ""
        if request.operation == "GetObject" and self.left and key in shards(self._shop):
            self.left -= 1
            fresh = f"{key[:-24]}{self.left:016x}.json.gz"
            self._shop.memory.objects[fresh] = self._shop.memory.objects.pop(key)
            head = self._shop.memory.objects[INDEX]
            body = head.body.replace(key.encode(), fresh.encode())
            etag = md5(body, usedforsecurity=False).hexdigest()
            self._shop.memory.objects[INDEX] = replace(head, body=body, etag=etag)
        return await request.send()


class LostResponse(ForwardingStore):
    """The first swap is applied, its response lost, and another writer builds on it before the retry."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.memory)
        self._shop = shop
        self._lost = False

    async def call(self, request: StoreCall[T]) -> T:
        response = await request.send()
        if request.operation == "PutObject" and request.key == INDEX and not self._lost:
            self._lost = True
            await self._shop.catalog().add(DatasetEntry("other"), derive=False)
            raise PreconditionFailedError("the document is another one", key=INDEX, operation="PutObject")
        return response


async def test_shards_of_a_swap_whose_response_was_lost_stay_where_another_document_names_them(
    shop: Shop,
) -> None:
    await stocked(shop)
    shop.store.inner = LostResponse(shop)
    await shop.catalog().add(*entries(20, "late"), derive=False)
    assert named(shop) <= shards(shop)
    listing = await shop.catalog().list(tier="index")
    expected = {f"{name}{n}" for name in ("d", "late") for n in range(20)}
    assert {entry.id for entry in listing} == {*expected, "other"}


async def test_an_index_that_is_replaced_all_the_time_is_not_corrupt(shop: Shop) -> None:
    await stocked(shop)
    shop.store.inner = renaming = Renaming(shop, 25)
    change = await shop.catalog().add(DatasetEntry("new"), derive=False)
    assert (renaming.left, change.entries, change.set_aside, change.rebuilt) == (0, 21, "", "")
    assert len(await shop.catalog().list(tier="index")) == 21


class Slow(ForwardingStore):
    """Every request takes a random time, so that those of several writers interleave in any order."""

    def __init__(self, inner: Any, seed: int) -> None:
        super().__init__(inner)
        self._rng = random.Random(seed)  # noqa: S311 - delays, no secret

    async def call(self, request: StoreCall[T]) -> T:
        await anyio.sleep(self._rng.uniform(0, 0.004))
        answer = await request.send()
        await anyio.sleep(self._rng.uniform(0, 0.002))
        return answer


@pytest.mark.parametrize("seed", range(5))
async def test_a_sweep_at_every_write_loses_no_entry(
    shop: Shop, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the day of grace and the hour between listings only the order of listing and swap protects."""
    monkeypatch.setattr(sweeping, "GRACE", -60.0)
    monkeypatch.setattr(sweeping, "_INTERVAL", 0.0)
    await stocked(shop)
    await broken_off(shop)
    shop.store.inner = Slow(shop.memory, seed)

    async def write(number: int) -> None:
        for step in range(4):
            await shop.catalog().add(DatasetEntry(f"w{number}-{step}"), derive=False)

    async def watch() -> None:
        while True:
            listing = await shop.catalog().list(tier="index")
            assert len(listing) >= 20
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as watching:
        watching.start_soon(watch)
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(write, number)
        watching.cancel_scope.cancel()
    assert shop.metrics.swept > 0
    assert named(shop) <= shards(shop)
    listing = await shop.catalog().list(tier="index")
    assert {entry.id for entry in listing} >= {
        f"w{number}-{step}" for number in range(6) for step in range(4)
    }
    assert not [key for key in shop.memory.objects if sweeping.ASIDE in key]


async def test_shards_that_may_belong_to_a_corrupt_copy_stay_with_it(shop: Shop) -> None:
    await stocked(shop)
    old = shards(shop)
    grow_old(shop, old, 9 * DAY)
    await shop.put(INDEX, shop.memory.objects[INDEX].body[:-40])
    aside = (await shop.catalog().add(DatasetEntry("new"))).set_aside
    assert aside
    assert (await shop.catalog().rebuild()).swept == 0
    assert old <= shards(shop)
    del shop.memory.objects[aside]
    assert (await shop.catalog().rebuild()).swept == len(old)
    assert shards(shop) == named(shop)


async def test_shards_of_other_documents_stay(shop: Shop) -> None:
    await stocked(shop)
    other = {"AIOS3SYNC_PRIVATE_DATASETS_INDEX_KEY": "b.json"}
    await shop.catalog(environ=other, public=True).add(*entries(20, "b"), derive=False)
    theirs = named(shop, "b.json") | named(shop, "public_datasets.json")
    assert len(theirs) > 2
    grow_old(shop, shards(shop), 9 * DAY)
    assert (await shop.catalog().rebuild()).swept == 0
    assert theirs <= shards(shop)
    assert len(await shop.catalog(environ=other).list(tier="index")) >= 20


async def test_without_conditions_nothing_is_swept(shop: Shop) -> None:
    await stocked(shop)
    left = await broken_off(shop)
    grow_old(shop, left, 9 * DAY)
    shop.store.inner = Unconditional(shop.memory)
    assert (await shop.catalog().rebuild()).swept == 0
    assert left <= shards(shop)


@pytest.mark.parametrize("verb", ["list_page", "head", "delete_many"])
async def test_a_failed_sweep_fails_no_change(shop: Shop, verb: str) -> None:
    await stocked(shop)
    left = await broken_off(shop)
    grow_old(shop, left, 9 * DAY)
    shop.store.on(verb, error=AccessDeniedError("no", status=403), times=-1)
    change = await shop.catalog().add(DatasetEntry("new"), derive=False)
    assert (change.changed, change.swept) == (True, 0)
    assert len(await shop.catalog().list(tier="index")) == 21
