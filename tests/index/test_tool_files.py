"""The files of tools, below ``.aios3sync/`` and ``.deltaglider/``, are in no index and in no statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aios3sync.core.entries import RecordedEntry
from aios3sync.core.keys import Location
from aios3sync.core.tool_files import is_tool_file
from aios3sync.errors import UsageError
from aios3sync.events import Deleted, Uploaded
from aios3sync.index.feed import feed_index
from aios3sync.index.object_index import ObjectIndex, open_index
from aios3sync.index.rows import ObjectRow
from aios3sync.stats.options import StatsOptions
from aios3sync.stats.service import StatsRequest, compute
from aios3sync.store.protocol import ObjectStore
from aios3sync.testing.memory import MemoryStore
from tests.index.test_following import World, body

OWN = (".aios3sync/stats_quick.json", "p/.aios3sync/stats_quick.json", "p/d/.deltaglider/config")
OTHERS = ("a", "p/a", "p/aios3sync/b", "p/x.aios3sync/c", "q.deltaglider/d")


def bucket() -> MemoryStore:
    return MemoryStore(objects=dict.fromkeys((*OWN, *OTHERS), b"12345"), page_size=lambda asked: 2)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[ObjectIndex]:
    store = bucket()

    async def opener(name: str) -> ObjectStore:
        return store

    async with open_index(f"sqlite:///{tmp_path / 'index.db'}", "main", opener) as opened:
        yield opened


async def keys(index: ObjectIndex) -> list[str]:
    return [row.key for row in await index.backend.scan("bucket", "", "", 99)]


def test_the_folders_count_at_every_depth() -> None:
    assert all(map(is_tool_file, OWN))
    assert not any(map(is_tool_file, OTHERS))


@pytest.mark.parametrize("prefix", ["", "p"])
async def test_a_backfill_and_the_statistics_count_the_same_objects(index: ObjectIndex, prefix: str) -> None:
    report = await index.backfill(f"s3://bucket/{prefix}")
    location = Location.parse(f"s3://bucket/{prefix}")
    stats = await compute(
        StatsRequest(
            store=bucket(), prefix=location.prefix, options=StatsOptions(use_cache=False), endpoint="memory"
        )
    )
    totals = await index.totals(location.prefix, bucket="bucket")
    assert totals.objects == report.listed == stats.objects.value == (5 if not prefix else 3)
    assert totals.size == stats.stored_bytes.value
    assert await keys(index) == [key for key in sorted(OTHERS) if key.startswith(location.prefix)]


@pytest.mark.parametrize("again", ["backfill", "reconcile"])
async def test_rows_of_an_earlier_version_go_with_the_next_listing(index: ObjectIndex, again: str) -> None:
    await index.backend.load("bucket", [ObjectRow(key, 5) for key in sorted(OWN)], 1.0)
    await getattr(index, again)("s3://bucket")
    assert await keys(index) == sorted(OTHERS)
    assert (await index.reconcile("s3://bucket")).differences == 0


async def test_neither_a_sync_nor_an_event_adds_one(index: ObjectIndex) -> None:

    def uploaded(key: str) -> Uploaded:
        row = RecordedEntry(key, 3, 1, 1, 1, "md5", "e", uploaded_at=9.0)
        return Uploaded(row, 3, "new", content_type="text/plain")

    async with feed_index(index.backend, Location("bucket", "p/")) as sink:
        await sink.outcomes([uploaded(".aios3sync/x"), uploaded("a"), Deleted("d/.deltaglider/y", 1)])
    assert await keys(index) == ["p/a"]

    world = World()
    report = await world.follow(body(".aios3sync/x", 1), body("a", 2), body("p/.deltaglider/y", 3))
    assert set(world.rows.rows) == {"a"}
    assert (report.messages, report.poison) == (3, 0)
    assert not world.queue.messages, "they are acknowledged"


async def test_a_folder_of_tools_is_refused_as_statistics_refuse_it(index: ObjectIndex) -> None:
    for work in (index.backfill, index.reconcile):
        with pytest.raises(UsageError, match="files of tools"):
            await work("s3://bucket/p/.aios3sync")
