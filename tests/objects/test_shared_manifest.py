"""The shared manifest where another run was quicker, once or always, and where it cannot be stored."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.keys import Location
from aios3sync.errors import AccessDeniedError, ManifestError
from aios3sync.manifest.files import open_manifest
from aios3sync.manifest.protocol import Manifest, ManifestState
from aios3sync.objects.shared_manifest import SharedManifest
from aios3sync.options import SyncOptions
from aios3sync.sync.request import SyncRequest
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore


def row(key: str, run: int) -> RecordedEntry:
    return RecordedEntry(key, 1, 2, 3, 4, "md5", "etag", run=run)


class Machine:
    """One machine with its file of the manifest."""

    def __init__(self, store: FaultyStore, directory: Path, key: str = "m") -> None:
        directory.mkdir()
        self.path = directory / ("manifest.json" if key.endswith(".json") else "manifest.sqlite")
        self.request = SyncRequest(
            root=str(directory),
            location=Location.parse("s3://bucket/p"),
            endpoint="http://memory",
            options=SyncOptions(manifest=str(self.path)),
            shared_manifest=f"s3://bucket/{key}",
        )
        self.shared = SharedManifest(store, key, self.request)

    async def opened(self) -> Manifest:
        return await to_thread.run_sync(
            lambda: open_manifest(str(self.path), self.request.binding, pytest.fail)
        )

    async def work(self, *keys: str, run: int) -> None:
        """Do what a run does that has uploaded some files."""
        manifest = await self.opened()
        await manifest.record([row(key, run) for key in keys], [])
        await manifest.save_state(ManifestState(complete=True, listed_at=5.0, last_sync=6.0, run=run))
        await manifest.close()

    async def known(self) -> tuple[dict[str, int], ManifestState]:
        """Return the keys with their runs, and the state, as a fresh machine reads them."""
        await self.shared.fetch()
        manifest = await self.opened()
        try:
            return {each.key: each.run for each in await manifest.page("", 100)}, await manifest.state()
        finally:
            await manifest.close()


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore())


async def test_what_is_stored_is_what_the_next_machine_has(store: FaultyStore, tmp_path: Path) -> None:
    one = Machine(store, tmp_path / "one")
    await one.shared.fetch()
    await one.work("a", "b", run=1)
    assert await one.shared.store() == ""
    rows, state = await Machine(store, tmp_path / "two").known()
    assert (rows, state.complete, state.run) == ({"a": 1, "b": 1}, True, 1)


async def test_rows_of_both_are_kept_and_the_next_run_lists(store: FaultyStore, tmp_path: Path) -> None:
    first = Machine(store, tmp_path / "first")
    await first.shared.fetch()
    await first.work("a", run=1)
    await first.shared.store()
    left, right = Machine(store, tmp_path / "left"), Machine(store, tmp_path / "right")
    for machine in (left, right):
        await machine.shared.fetch()
    await left.work("left", run=2)
    await right.work("right", run=2)
    assert (await left.shared.store(), await right.shared.store()) == ("", "")
    rows, state = await Machine(store, tmp_path / "next").known()
    assert rows == {"a": 1, "left": 2, "right": 2}
    assert (state.complete, state.run) == (False, 2)


async def test_a_first_manifest_of_two_machines_is_one(store: FaultyStore, tmp_path: Path) -> None:
    machines = [Machine(store, tmp_path / name) for name in ("left", "right")]
    for machine in machines:
        await machine.shared.fetch()
        await machine.work(machine.path.parent.name, run=1)
    for machine in machines:
        assert await machine.shared.store() == ""
    rows, state = await Machine(store, tmp_path / "next").known()
    assert (rows, state.complete) == ({"left": 1, "right": 1}, False)


async def test_one_that_is_never_quick_enough_says_so(
    store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = Machine(store, tmp_path / "slow"), Machine(store, tmp_path / "other")
    await slow.shared.fetch()
    await slow.work("slow", run=1)
    write, turns = slow.shared._object.write, count(1)

    async def beaten(content: bytes, *, packed: bool = False) -> bool:
        await other.shared.fetch()
        await other.work("other", run=next(turns))
        await other.shared.store()
        return await write(content, packed=packed)

    monkeypatch.setattr(slow.shared._object, "write", beaten)
    assert "others stored theirs all the time" in await slow.shared.store()


async def test_what_cannot_be_stored_is_a_warning(store: FaultyStore, tmp_path: Path) -> None:
    machine = Machine(store, tmp_path / "one")
    await machine.shared.fetch()
    await machine.work("a", run=1)
    refused: Any = AccessDeniedError("no", operation="PutObject")
    store.on("put", error=refused)
    assert await machine.shared.store() == "the manifest was not stored, so the next run has to list: no"


async def test_a_run_without_a_manifest_stores_none(store: FaultyStore, tmp_path: Path) -> None:
    machine = Machine(store, tmp_path / "one")
    await machine.shared.fetch()
    assert await machine.shared.store() == ""
    assert store.calls == {"get": 1}


async def test_the_manifest_of_another_target_is_refused_and_stays(
    store: FaultyStore, tmp_path: Path
) -> None:
    one = Machine(store, tmp_path / "one")
    await one.shared.fetch()
    await one.work("a", run=1)
    await one.shared.store()
    before = (await store.get("m")).body
    other = Machine(store, tmp_path / "other")
    other.request = replace(other.request, location=Location.parse("s3://bucket/elsewhere"))
    shared = SharedManifest(store, "m", other.request)
    with pytest.raises(ManifestError, match=r"s3://.*/m is damaged, .* or belongs to another target"):
        await shared.fetch()
    assert (await store.get("m")).body == before
