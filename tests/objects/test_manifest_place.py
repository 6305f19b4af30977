"""A manifest in a bucket is shown as one on this machine; forgetting it removes its own objects alone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.keys import Location
from aios3sync.errors import AccessDeniedError, LockedError, ManifestError, UsageError
from aios3sync.manifest.admin import StoredManifest
from aios3sync.manifest.open_runs import SILENT_S
from aios3sync.manifest.root import Root
from aios3sync.objects.manifest_objects import ManifestObject
from aios3sync.objects.manifest_place import BucketPlace
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import DeleteError, DeleteItem, StoreCapabilities
from aios3sync.sync.request import SyncRequest, with_shared_manifest
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from tests.objects.test_shared_manifest import Machine
from tests.objects.test_shared_shards import REQUEST, ClusterRun, put

Begin = Callable[[str], ClusterRun]


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


@pytest.fixture
async def run(store: FaultyStore, tmp_path: Path) -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:
        yield lambda name: ClusterRun(store, tmp_path, name, stack)


def stored(
    store: FaultyStore, request: SyncRequest = REQUEST, manifest: str = "s3://bucket/m"
) -> StoredManifest:
    async def open_store(_: str) -> Any:
        return store

    request = replace(request, options=SyncOptions(manifest=manifest))
    request, *_ = with_shared_manifest(request)
    place = BucketPlace(request, open_store)
    return StoredManifest(request.shared_manifest, request.binding, pytest.fail, place)


async def one_file(store: FaultyStore, directory: Path, *keys: str) -> None:
    machine = Machine(store, directory)
    await machine.shared.fetch()
    await machine.work(*keys, run=1)
    assert await machine.shared.store() == ""


@pytest.mark.parametrize("sharded", [True, False], ids=["sharded", "single"])
async def test_what_a_sync_has_stored_is_shown_and_exported(
    store: FaultyStore, memory: MemoryStore, run: Begin, tmp_path: Path, *, sharded: bool
) -> None:
    await one_file(store, tmp_path / "one", "a", "z")
    await put(store, "m2", b"another object")
    if sharded:
        await run("cluster").whole("k")
    before = dict(memory.objects)
    manifest = stored(store)
    facts = await manifest.describe()
    assert (facts.place, facts.exists, facts.complete) == ("s3://bucket/m", True, True)
    keys = ["a", "k", "z"] if sharded else ["a", "z"]
    assert (facts.rows, facts.size, facts.binding.source) == (len(keys), len(keys), "any machine")
    assert facts.file_size == sum(len(body) for key, body in memory.bodies().items() if key != "m2")
    assert [row.key async for page in manifest.rows() for row in page] == keys
    assert [*json.loads(await manifest.export())["files"]] == keys
    assert dict(memory.objects) == before


async def test_what_is_not_there_is_said(store: FaultyStore) -> None:
    manifest = stored(store)
    facts = await manifest.describe()
    assert (facts.place, facts.exists, facts.rows) == ("s3://bucket/m", False, 0)
    assert [page async for page in manifest.rows()] == []
    with pytest.raises(
        ManifestError, match=r"there is no manifest of this pair \(looked for 's3://bucket/m'\)"
    ):
        await manifest.export()
    assert await manifest.forget() is False


async def test_nothing_is_imported_into_it(store: FaultyStore) -> None:
    with pytest.raises(UsageError, match=r"s3://bucket/m is in a bucket.*'manifest forget' removes it"):
        await stored(store).replace(b"{}")


@pytest.mark.parametrize("conditional", [True, False])
async def test_forgetting_removes_its_objects_and_no_others(
    run: Begin, tmp_path: Path, *, conditional: bool
) -> None:
    memory = MemoryStore(capabilities=StoreCapabilities(conditional_delete=conditional))
    store = FaultyStore(memory)
    async with AsyncExitStack() as stack:
        first = ClusterRun(store, tmp_path, "first", stack)
        await first.whole("a", "z")
        broken = ClusterRun(store, tmp_path, "broken", stack)
        await broken.begin("m")
        await broken.record_shard(0, 0, "b")
    named = {key for key in memory.objects if key.startswith("m.shards/")}
    assert len(named) == 3
    await put(store, "m.shards/broken-0-compare.1.sqlite.held", b"of an attempt that is named")
    others = {
        "m.shards/gone-0-compare.1.sqlite",
        "m.shards/notes.txt",
        "m2",
        "m2.shards/a.1.sqlite",
        "data/a",
    }
    for key in others:
        await put(store, key, b"x")
    document = json.loads((await store.get("m")).body)
    await put(store, "m", json.dumps({**document, "open_runs": []}).encode())
    assert await stored(store).forget()
    assert set(memory.objects) == others
    assert not (await stored(store).describe()).exists


@pytest.mark.parametrize("name", ["m", "m.json", "folder/"])
async def test_one_file_is_forgotten(
    store: FaultyStore, memory: MemoryStore, tmp_path: Path, name: str
) -> None:
    manifest = stored(store, manifest=f"s3://bucket/{name}")
    key = manifest.path.removeprefix("s3://bucket/")
    machine = Machine(store, tmp_path / "one", key)
    await machine.shared.fetch()
    await machine.work("a", run=1)
    assert await machine.shared.store() == ""
    await put(store, f"{key}.other", b"x")
    assert (await manifest.describe()).rows == 1
    assert await manifest.forget()
    assert set(memory.objects) == {f"{key}.other"}


async def test_what_a_run_is_at_work_with_is_not_forgotten(
    store: FaultyStore, memory: MemoryStore, run: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("first").whole("a")
    killed = run("killed")
    await killed.begin()
    await killed.record("b")
    before = dict(memory.objects)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 7200)
    with pytest.raises(LockedError, match=r"at work with s3://.*/m, or was killed: .* 2 h ago; wait"):
        await stored(store).forget()
    assert dict(memory.objects) == before
    monkeypatch.setattr("time.time", lambda: now + SILENT_S + 60)
    assert await stored(store).forget()
    assert set(memory.objects) == set()


async def test_a_run_that_begins_meanwhile_is_seen_and_none_that_began_with_nothing_is_broken(
    store: FaultyStore, memory: MemoryStore, run: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("first").whole("a")
    late, early = run("late"), run("early")
    write = ManifestObject.write

    async def beaten(self: ManifestObject, content: bytes, *, packed: bool = False) -> bool:
        monkeypatch.setattr(ManifestObject, "write", write)
        await early.begin()
        return await write(self, content, packed=packed)

    monkeypatch.setattr(ManifestObject, "write", beaten)
    with pytest.raises(LockedError):
        await stored(store).forget()
    await early.record("b")
    assert await early.conclude() == ""
    remove = ManifestObject.remove

    async def raced(self: ManifestObject) -> None:
        await late.begin()
        await remove(self)

    monkeypatch.setattr(ManifestObject, "remove", raced)
    assert await stored(store).forget()
    root = Root.decoded((await store.get("m")).body)
    assert [one.name for one in root.open_runs] == ["late"]
    assert root.names() == {f"late-0-{step}.*" for step in ("finish", "delete", "compare")}
    await late.record("c")
    assert await late.conclude() == ""
    assert [row.key async for page in stored(store).rows() for row in page] == ["c"]


async def test_a_run_on_one_machine_that_had_read_it_stores_what_it_has_done(
    store: FaultyStore, run: Begin, tmp_path: Path
) -> None:
    await run("first").whole("a")
    machine = Machine(store, tmp_path / "one")
    await machine.shared.fetch()
    assert await stored(store).forget()
    await machine.work("b", run=3)
    assert await machine.shared.store() == ""
    facts = await stored(store).describe()
    assert (facts.rows, facts.complete) == (1, False)


async def test_what_changes_all_the_time_is_left(
    store: FaultyStore, run: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("first").whole("a")

    async def beaten(*_: Any, **__: Any) -> bool:
        return False

    monkeypatch.setattr(ManifestObject, "write", beaten)
    with pytest.raises(ManifestError, match="others stored theirs all the time"):
        await stored(store).forget()


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"somebody's work", "is no manifest"), (b"{}", "cannot be used"), (None, "another target")],
)
async def test_what_is_no_manifest_of_the_pair_stays(
    store: FaultyStore, memory: MemoryStore, run: Begin, body: bytes | None, reason: str
) -> None:
    request = REQUEST
    if body is None:
        await run("first").whole("a")
        request = replace(REQUEST, location=Location.parse("s3://bucket/q"))
    else:
        await put(store, "m", body)
    before = dict(memory.objects)
    for work in (stored(store, request).forget, stored(store, request).describe):
        with pytest.raises(ManifestError, match=reason):
            await work()
    assert dict(memory.objects) == before


async def test_a_file_that_cannot_be_removed_is_named(
    store: FaultyStore, memory: MemoryStore, run: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("first").whole("a")

    async def refuse(items: list[DeleteItem]) -> list[DeleteError]:
        return [DeleteError(item.key, "AccessDenied", "no", retryable=False) for item in items]

    monkeypatch.setattr(memory, "delete_many", refuse)
    with pytest.raises(ManifestError, match=r"m\.shards/first-0-compare\.1\.sqlite cannot be removed: no"):
        await stored(store).forget()
    denied: Any = AccessDeniedError("no", operation="GetObject")
    store.on("get", error=denied)
    with pytest.raises(ManifestError, match="cannot be read: no"):
        await stored(store).forget()


async def test_nothing_is_left_on_the_disk(
    store: FaultyStore, run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("first").whole("a")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    manifest = stored(store)
    await manifest.describe()
    await manifest.export()
    await manifest.forget()
    assert await to_thread.run_sync(lambda: [*(tmp_path / "tmp").iterdir()]) == []
