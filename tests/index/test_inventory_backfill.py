"""The inventory backfill: it is resumed, and its rows count as observed when the inventory was created."""

from __future__ import annotations

import csv
import gzip
import io
import json
from hashlib import md5
from typing import TYPE_CHECKING

import pytest

from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.index.inventory_backfill import InventoryReport
from aios3sync.index.object_index import ObjectIndex, open_index
from aios3sync.index.rows import ObjectRow, Removal, Selection, Upsert
from aios3sync.inventory.files import InventoryError
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from aios3sync.index.backfill import IndexProgress
    from aios3sync.store.protocol import ObjectStore

CREATED = 1770339600.0
MANIFEST = "s3://destination/inv/source/daily/2026-02-06T01-00Z/manifest.json"


def inventory(files: Sequence[Sequence[str]], created: float = CREATED) -> dict[str, bytes]:
    """The objects of an inventory: each file names keys, whose sizes are their lengths."""
    objects: dict[str, bytes] = {}
    for number, keys in enumerate(files):
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        writer.writerows(["source", key, len(key), "2026-01-01T00:00:00.000Z", f"etag-{key}"] for key in keys)
        objects[f"inv/source/daily/data/{number}.csv.gz"] = gzip.compress(out.getvalue().encode())
    manifest = json.dumps(
        {
            "sourceBucket": "source",
            "destinationBucket": "arn:aws:s3:::destination",
            "creationTimestamp": str(int(created * 1000)),
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag",
            "files": [
                {"key": key, "size": len(body), "MD5checksum": md5(body).hexdigest()}  # noqa: S324
                for key, body in objects.items()
            ],
        }
    ).encode()
    key = Location.parse(MANIFEST).prefix.rstrip("/")
    checksum = md5(manifest).hexdigest().encode()  # noqa: S324
    return {**objects, key: manifest, key.replace(".json", ".checksum"): checksum}


class World:
    """An index whose stores are in memory."""

    def __init__(self) -> None:
        self.store = FaultyStore(MemoryStore("destination"))
        self.events: list[IndexProgress] = []
        self.index: ObjectIndex

    def hold(self, objects: dict[str, bytes]) -> None:
        self.store = FaultyStore(MemoryStore("destination", objects))
        self.index._stores.clear()

    async def open(self, bucket: str) -> ObjectStore:
        assert bucket == "destination"
        return self.store

    async def backfill(self, target: str = "s3://source", *, fresh: bool = False) -> InventoryReport:
        report = await self.index.backfill(
            target, on_event=self.events.append, inventory=MANIFEST, fresh=fresh
        )
        assert isinstance(report, InventoryReport)
        return report

    async def keys(self) -> list[str]:
        return [row.key for row in await self.index.backend.scan("source", "", "", 10_000)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World()
    async with open_index(f"sqlite:///{tmp_path}/index.db", "main", world.open) as index:
        world.index = index
        yield world


async def test_an_inventory_fills_the_index(world: World) -> None:
    world.hold(inventory([["a/1", "a/22"], ["b/3"]]))
    report = await world.backfill()
    assert await world.keys() == ["a/1", "a/22", "b/3"]
    (row,) = await world.index.get(["a/22"])
    assert (row.size, row.etag, row.last_modified) == (4, "etag-a/22", 1767225600.0)
    assert await world.index.backend.totals(Selection("source")) == (3, 10, True)
    assert (report.listed, report.inserted, report.resumed, report.created) == (3, 3, False, CREATED)
    assert report.as_dict()["inventory"] == MANIFEST
    assert report.as_dict()["command"] == "index backfill"
    assert [event.phase for event in world.events] == ["list", "list", "build"]
    assert await world.index.backend.state("inventory:") == {}


async def test_only_a_prefix(world: World) -> None:
    world.hold(inventory([["a/1", "ab", "b/3"]]))
    await world.backfill("s3://source/a")
    assert await world.keys() == ["a/1"]


async def test_the_configuration_names_its_newest_inventory(world: World) -> None:
    world.hold(inventory([["a"]]))
    report = await world.index.backfill("s3://source", inventory="s3://destination/inv/source/daily")
    assert isinstance(report, InventoryReport)
    assert report.inventory == MANIFEST


async def test_the_prefix_is_stale_until_it_is_reconciled(world: World) -> None:
    world.hold(inventory([["a"]]))
    for _ in range(2):
        await world.backfill()
        (stale,) = await world.index.stale()
        assert (stale.target, stale.since) == ("s3://source/", CREATED)
        assert "2026-02-06 01:00 UTC" in stale.reason
    world.index._stores["source"] = MemoryStore("source", {"b": b""})
    await world.index.reconcile("s3://source")
    assert await world.index.stale() == []
    assert await world.keys() == ["b"]


async def test_changes_after_its_creation_stay(world: World) -> None:
    rows = {"newer": 50, "older": 60}
    backend = world.index.backend
    await backend.apply("source", [Upsert(ObjectRow("newer", rows["newer"], "x"), CREATED + 1)])
    await backend.apply("source", [Upsert(ObjectRow("older", rows["older"], "x"), CREATED - 1)])
    await backend.apply("source", [Removal("gone since", CREATED + 1)])
    await backend.apply("source", [Upsert(ObjectRow("not in it", 1, "x"), CREATED - 1)])
    world.hold(inventory([["newer", "older", "gone since"]]))
    report = await world.backfill()
    sizes = {row.key: row.size for row in await backend.scan("source", "", "", 10)}
    assert sizes == {"newer": 50, "older": 5, "not in it": 1}
    assert report.ignored == 2


async def test_a_load_that_broke_off_is_resumed(world: World) -> None:
    files = [["a", "b"], ["c"], ["d", "e"]]
    world.hold(inventory(files))
    world.store.on("get", key="inv/source/daily/data/2.csv.gz", error=unavailable())
    with pytest.raises(Exception, match="not available"):
        await world.backfill()
    assert await world.keys() == ["a", "b", "c"]
    world.store.keys.clear()
    report = await world.backfill()
    assert (report.listed, report.inserted, report.resumed) == (5, 2, True)
    read = [key for verb, key in world.store.keys if verb == "get" and key and "data/" in key]
    assert read == ["inv/source/daily/data/1.csv.gz", "inv/source/daily/data/2.csv.gz"]
    assert (await world.backfill()).resumed is False


async def test_another_inventory_or_a_fresh_start_begins_again(world: World) -> None:
    world.hold(inventory([["a"], ["b"]]))
    world.store.on("get", key="inv/source/daily/data/1.csv.gz", error=unavailable(), times=2)
    for _ in range(2):
        with pytest.raises(Exception, match="not available"):
            await world.backfill(fresh=True)
    world.hold(inventory([["a"], ["b"]], created=CREATED + 86400))
    report = await world.backfill()
    assert (report.listed, report.resumed) == (2, False)


async def test_an_inventory_of_another_bucket(world: World) -> None:
    world.hold(inventory([["a"]]))
    with pytest.raises(UsageError, match=r"is of the bucket 'source', not 'other'"):
        await world.backfill("s3://other")
    assert await world.index.buckets() == []


async def test_a_damaged_file_loads_nothing_of_it(world: World) -> None:
    objects = inventory([["a"], ["b"]])
    objects["inv/source/daily/data/1.csv.gz"] = b"x" * len(objects["inv/source/daily/data/1.csv.gz"])
    world.hold(objects)
    with pytest.raises(InventoryError, match="MD5"):
        await world.backfill()
    assert await world.keys() == ["a"]
    assert len(await world.index.stale()) == 1
