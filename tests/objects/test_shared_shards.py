"""A manifest of several files in a bucket: what runs record at once is all found, and not trusted."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from gzip import compress
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.key_range import KeyRange
from aios3sync.core.keys import Location
from aios3sync.core.safety import PlanFacts, Unfinished
from aios3sync.distributed.bucket_steps import _Attempt, run_bucket_step
from aios3sync.distributed.cluster_shards import ClusterShards
from aios3sync.distributed.manifests import ClusterManifest
from aios3sync.distributed.messages import NodeSetup, ShardOutcome, ShardTask
from aios3sync.distributed.results import ShardFacts, ShardResult
from aios3sync.distributed.steps import _begin, _concluded
from aios3sync.errors import AccessDeniedError, ManifestError
from aios3sync.manifest.files import storable
from aios3sync.manifest.layers import LayeredManifest
from aios3sync.manifest.open_runs import SILENT_S
from aios3sync.manifest.protocol import ManifestState
from aios3sync.manifest.root import ATTEMPTS, Root
from aios3sync.manifest.sharded import MOST_LAYERS
from aios3sync.objects.manifest_objects import ShardObjects, pack
from aios3sync.objects.shared_manifest import SharedManifest
from aios3sync.options import ConnectOptions, SyncOptions
from aios3sync.report import Failure, SyncReport
from aios3sync.store.protocol import DeleteItem, PutOptions
from aios3sync.sync.request import SyncRequest
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from tests.manifest.shards import row
from tests.objects.test_shared_manifest import Machine

SETUP: Any = NodeSetup(run="r", connect=ConnectOptions(), endpoint="aws")
REQUEST = SyncRequest(
    root="/data",
    location=Location.parse("s3://bucket/p"),
    endpoint="http://memory",
    options=SyncOptions(manifest="s3://bucket/m"),
)


def write(path: str, keys: Iterable[str], gone: Iterable[str] = ()) -> None:
    shard = LayeredManifest.open(path)
    shard.record_now([row(key) for key in keys], [*gone])
    shard.close_now()


class ClusterRun:
    """One run on a cluster: its coordinator, and its nodes, each with a directory of its own."""

    def __init__(self, store: FaultyStore, place: Path, name: str, stack: AsyncExitStack) -> None:
        self.store = store
        self.place = place
        self.name = name
        self.stack = stack

    async def begin(self, *cuts: str, request: SyncRequest = REQUEST) -> None:
        async def open_store(*_: object) -> Any:
            return self.store

        self.shards = await ClusterShards.opened(request, open_store, self.stack)
        binding = storable(self.shards.request.binding)
        self.manifest = ClusterManifest(
            self.shards.path, binding, self.name, device=7, place=self.shards.place
        )
        await to_thread.run_sync(self.manifest.begin, self.shards.refuse)
        self.found = self.manifest.root.state
        ranges = [KeyRange(*pair) for pair in zip(["", *cuts], [*cuts, ""], strict=True)]
        await to_thread.run_sync(self.manifest.lay_out, ranges)
        await self.shards.publish()
        self.count = len(ranges)

    def objects(self, number: int) -> ShardObjects:
        directory = self.place / f"{self.name}-{number}" / "m.shards"
        return ShardObjects(self.store, "m.shards/", str(directory))

    async def begun(self, number: int, node: int) -> str:
        """Return the file of an attempt at a shard, on one of the nodes."""
        objects, file = self.objects(node), await to_thread.run_sync(self.manifest.file, "compare", number)
        await to_thread.run_sync(lambda: os.makedirs(objects.directory, exist_ok=True))
        names = {layer.path for layer in file.layers}
        assert await objects.fetch({*names, file.name + ATTEMPTS}) == set()
        return await to_thread.run_sync(_begin, replace(file, directory=objects.directory))

    async def record(self, *keys: str, gone: tuple[str, ...] = ()) -> None:
        """Do what the shards of a run do that has uploaded some files."""
        for number in range(self.count):
            await self.record_shard(number, number, *keys, gone=gone)

    async def record_shard(self, number: int, node: int, *keys: str, gone: tuple[str, ...] = ()) -> None:
        path = await self.begun(number, node)
        inside = self.manifest.range_of(number)
        await to_thread.run_sync(write, path, filter(inside.holds, keys), filter(inside.holds, gone))
        file = await to_thread.run_sync(self.manifest.file, "compare", number)
        task = ShardTask(setup=SETUP, step="compare", number=number, request=REQUEST, file=file)
        outcome = await to_thread.run_sync(_concluded, task, path, None)
        name = os.path.basename(path)
        if outcome.written:
            await self.objects(node).upload(name)
        self.manifest.take("compare", replace(outcome, path=name))

    async def conclude(self) -> str:
        await to_thread.run_sync(self.manifest.conclude, ("", 100.0))
        return await self.shards.conclude(self.name)

    async def whole(self, *keys: str, cuts: tuple[str, ...] = ("m",), gone: tuple[str, ...] = ()) -> None:
        """Run from the beginning to the end."""
        await self.begin(*cuts)
        await self.record(*keys, gone=gone)
        assert await self.conclude() == ""


Begin = Callable[[str], ClusterRun]


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore())


@pytest.fixture
async def run(store: FaultyStore, tmp_path: Path) -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:
        yield lambda name: ClusterRun(store, tmp_path, name, stack)


@pytest.fixture
def known(store: FaultyStore, tmp_path: Path) -> Callable[[], Any]:
    """Returns what a fresh machine reads: the keys and the state."""
    numbers = iter(range(100))

    async def read() -> tuple[set[str], ManifestState]:
        rows, state = await machine(store, tmp_path / f"reads-{next(numbers)}").known()
        return set(rows), state

    return read


Later = Callable[[float], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Puts the clock forward, in seconds."""
    now = time.time()
    return lambda seconds: monkeypatch.setattr("time.time", lambda: now + seconds)


def machine(store: FaultyStore, directory: Path) -> Machine:
    return Machine(store, directory)


def names_of(store: FaultyStore) -> set[str]:
    inner = store.inner
    assert isinstance(inner, MemoryStore)
    return {key.removeprefix("m.shards/") for key in inner.objects if key.startswith("m.shards/")}


async def put(store: FaultyStore, key: str, body: bytes) -> None:
    await store.put(key, body, PutOptions(), md5=md5(body, usedforsecurity=False).digest())


async def test_what_a_cluster_leaves_is_what_one_machine_and_the_next_cluster_find(
    store: FaultyStore, run: Begin, known: Any, tmp_path: Path
) -> None:
    await run("aa").whole("a", "k", "z")
    rows, state = await known()
    assert (rows, state.complete, state.listed_at) == ({"a", "k", "z"}, True, 100.0)
    alone = machine(store, tmp_path / "alone")
    await alone.shared.fetch()
    await alone.work("b", run=3)
    assert await alone.shared.store() == ""
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "b", "k", "z"}, True)
    recut = run("cc")
    await recut.begin("c", "p")
    assert recut.found.complete
    await recut.record("q", gone=("k",))
    assert await recut.conclude() == ""
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "b", "q", "z"}, True)


async def test_runs_with_other_ranges_go_on_and_their_files_stay_few(
    store: FaultyStore, run: Begin, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.objects.manifest_objects._KEPT_S", -3600.0)
    expected: set[str] = set()
    for number in range(MOST_LAYERS + 3):
        new, gone = {f"{letter}{number:02}" for letter in "amz"}, {f"m{number - 1:02}"}
        await run(f"run{number}").whole(*new, cuts=[("m",), ("c", "p")][number % 2], gone=(*gone,))
        expected = (expected | new) - gone
    rows, state = await known()
    assert (rows, state.complete) == (expected, True)
    assert len(names_of(store)) <= 3 * (MOST_LAYERS + 1)


async def test_two_clusters_at_once_lose_nothing_and_the_next_run_lists(run: Begin, known: Any) -> None:
    await run("first").whole("a", "z")
    left, right = run("left"), run("right")
    await left.begin("m")
    await right.begin("c", "x")
    assert not right.found.complete, "another run is at work"
    await left.record("left", "y", gone=("a",))
    await right.record("right", "d")
    assert (await left.conclude(), await right.conclude()) == ("", "")
    rows, state = await known()
    assert (rows, state.complete) == ({"left", "right", "y", "d", "z"}, False)
    await run("last").whole("e")
    rows, state = await known()
    assert (rows, state.complete) == ({"left", "right", "y", "d", "z", "e"}, True)


@pytest.mark.parametrize("last", ["left", "right"])
async def test_two_clusters_that_both_begin_a_manifest_have_one(run: Begin, known: Any, last: str) -> None:
    runs = {name: run(name) for name in ("left", "right")}
    publish = ClusterShards.publish
    later = []
    with pytest.MonkeyPatch.context() as patch:

        async def wait(self: ClusterShards) -> None:
            later.append(self)

        patch.setattr(ClusterShards, "publish", wait)
        for one in runs.values():
            await one.begin("m")
    for shards in later:
        await publish(shards)
    for name, one in runs.items():
        await one.record(name)
    for name in sorted(runs, key=last.__eq__):
        assert await runs[name].conclude() == ""
    rows, state = await known()
    assert (rows, state.complete) == ({"left", "right"}, False)


async def test_a_cluster_and_one_machine_at_once_lose_nothing(
    store: FaultyStore, run: Begin, known: Any, tmp_path: Path
) -> None:
    await run("first").whole("a", "z")
    alone, cluster = machine(store, tmp_path / "alone"), run("cluster")
    await alone.shared.fetch()
    await cluster.begin("m")
    await alone.work("alone", run=3)
    await cluster.record("cluster")
    assert (await alone.shared.store(), await cluster.conclude()) == ("", "")
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "z", "alone", "cluster"}, False)


async def test_one_file_becomes_one_of_several_also_where_its_run_goes_on_meanwhile(
    store: FaultyStore, run: Begin, known: Any, tmp_path: Path
) -> None:
    first = machine(store, tmp_path / "first")
    await first.shared.fetch()
    await first.work("a", "z", run=1)
    assert await first.shared.store() == ""
    late = machine(store, tmp_path / "late")
    await late.shared.fetch()
    await run("cluster").whole("b")
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "b", "z"}, True)
    await late.work("late", run=2)
    assert await late.shared.store() == ""
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "b", "z", "late"}, False)


async def test_a_run_that_broke_off_leaves_what_its_nodes_stored(
    store: FaultyStore, run: Begin, known: Any, later: Later
) -> None:
    await run("first").whole("a", "z")
    broken = run("broken")
    await broken.begin("m")
    await broken.record_shard(0, 0, "b", gone=("a",))
    rows, state = await known()
    assert (rows, state.complete) == ({"b", "z"}, False)
    await run("next").whole("c")
    rows, state = await known()
    assert (rows, state.complete) == ({"b", "c", "z"}, False), "its nodes may still be at work"
    later(SILENT_S + 1)
    rows, state = await known()
    assert (rows, state.complete) == ({"b", "c", "z"}, False), "until a run lists"
    await run("last").whole("d")
    rows, state = await known()
    assert (rows, state.complete) == ({"b", "c", "d", "z"}, True)


async def test_P10_a_run_within_a_cluster_run_that_is_killed_does_not_make_the_manifest_complete(
    store: FaultyStore, run: Begin, known: Any, tmp_path: Path
) -> None:
    await run("first").whole("a", "z")
    killed = run("killed")
    await killed.begin("m")
    alone = machine(store, tmp_path / "alone")
    await alone.shared.fetch()
    await alone.work("b", run=3)
    assert await alone.shared.store() == ""
    rows, state = await known()
    assert (rows, state.complete, state.listings) == ({"a", "b", "z"}, False, ())


async def test_P10_a_run_on_one_machine_that_is_killed_leaves_the_manifest_incomplete(
    store: FaultyStore, run: Begin, known: Any, tmp_path: Path
) -> None:
    await run("first").whole("a", "z")
    killed = machine(store, tmp_path / "killed")
    await killed.shared.fetch()
    await killed.opened()
    await killed.shared.begin()
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "z"}, False)
    await run("next").whole("b")
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "b", "z"}, False)


async def test_a_run_that_has_begun_and_ends_is_alone_and_trusted(
    store: FaultyStore, run: Begin, known: Any, tmp_path: Path, later: Later
) -> None:
    await run("first").whole("a", "z")
    alone = machine(store, tmp_path / "alone")
    await alone.shared.fetch()
    manifest = await alone.opened()
    await alone.shared.begin()
    later(0.9 * SILENT_S)
    await manifest.record([row("b")], [])
    await alone.shared.begin()
    await manifest.save_state(ManifestState(complete=True, listed_at=5.0, run=3))
    await manifest.close()
    assert await alone.shared.store() == ""
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "b", "z"}, True)


async def test_a_run_that_cannot_say_that_it_begins_does_not(
    store: FaultyStore, run: Begin, tmp_path: Path
) -> None:
    await run("first").whole("a")
    alone = machine(store, tmp_path / "alone")
    await alone.shared.fetch()
    refused: Any = AccessDeniedError("no", operation="PutObject")
    store.on("put", error=refused)
    with pytest.raises(ManifestError, match=r"s3://.*/m cannot be stored: no"):
        await alone.shared.begin()
    assert not alone.shared.began


async def test_a_shard_goes_on_on_another_node_with_the_files_below(
    store: FaultyStore, run: Begin, known: Any
) -> None:
    """The directory of the first node is not there any more."""
    await run("first").whole("a", "z")
    again = run("again")
    await again.begin()
    path = await again.begun(0, 1)
    await to_thread.run_sync(write, path, ["b"])
    objects = again.objects(1)
    file = await to_thread.run_sync(again.manifest.file, "compare", 0)
    assert await objects.upload_attempt(file.name, 1, path) == 1
    await to_thread.run_sync(shutil.rmtree, objects.directory)
    await again.record_shard(0, 2, "c")
    assert await again.conclude() == ""
    rows, _ = await known()
    assert rows == {"a", "b", "c", "z"}
    assert f"{file.name}.1.sqlite" not in Root.decoded((await store.get("m")).body).names()


async def test_a_run_that_began_meanwhile_still_finds_the_attempts_that_it_has_read(
    store: FaultyStore, run: Begin, known: Any
) -> None:
    early, late = run("early"), run("late")
    await early.begin()
    path = await early.begun(0, 1)
    await to_thread.run_sync(write, path, ["a"])
    stem = (await to_thread.run_sync(early.manifest.file, "compare", 0)).name
    assert await early.objects(1).upload_attempt(stem, 1, path) == 1
    await late.begin()
    await early.record_shard(0, 2, "b")
    assert await early.conclude() == ""
    await late.record("c")
    assert await late.conclude() == ""
    rows, state = await known()
    assert (rows, state.complete) == ({"a", "b", "c"}, False)


@pytest.mark.parametrize("name", ["./../../../taken.sqlite", "/etc/hostname", "../m.sqlite", "", 7])
async def test_a_document_that_names_what_is_no_file_of_a_manifest_is_refused(
    store: FaultyStore, run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    """Whoever may write to the bucket must not write to the machine, nor read from it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a"))
    (tmp_path / "a").mkdir()
    await run("first").whole("a")
    document = json.loads((await store.get("m")).body)
    document["shards"] = [["", "", [name]]]
    await put(store, "m", json.dumps(document).encode())
    (tmp_path / "own").write_bytes(b"x")
    await put(store, f"m.shards/{name}", await to_thread.run_sync(pack, str(tmp_path / "own")))
    with pytest.raises(ManifestError, match=r"s3://.*/m cannot be used: it names"):
        await run("next").begin()
    with pytest.raises(ManifestError, match=r"s3://.*/m cannot be used: it names"):
        await machine(store, tmp_path / "reads").known()
    assert not list(tmp_path.rglob("taken*"))


async def test_a_document_of_the_wrong_shape_is_refused(store: FaultyStore, run: Begin) -> None:
    await run("first").whole("a")
    document = json.loads((await store.get("m")).body)
    await put(store, "m", json.dumps({**document, "state": "complete"}).encode())
    with pytest.raises(ManifestError, match="no root document"):
        await run("next").begin()


async def test_what_is_stored_at_the_end_has_a_name_that_no_earlier_request_can_replace(
    store: FaultyStore, run: Begin
) -> None:
    again = run("again")
    await again.begin()
    path, objects = await again.begun(0, 1), again.objects(1)
    file = await to_thread.run_sync(again.manifest.file, "compare", 0)
    task = ShardTask(setup=SETUP, step="compare", number=0, request=REQUEST, file=file)
    attempt = _Attempt(task, objects)
    async with attempt.stored(path):
        await to_thread.run_sync(write, path, ["a"])
        await attempt._store_changed(path)
        await to_thread.run_sync(write, path, ["b"])
        await attempt._store_changed(path)
    outcome = await attempt.conclude(await to_thread.run_sync(_concluded, task, path, None))
    stored = [key for operation, key in store.keys if operation == "put"]
    assert stored[-1] == f"m.shards/{outcome.path}"
    assert stored[-1] not in stored[:-1]
    assert stored[-2] == stored[-3], "while it lasts it has one name"


async def test_a_mirror_that_cannot_be_written_costs_the_failures_of_nodes_alone(
    store: FaultyStore, run: Begin
) -> None:
    one = run("one")
    await one.begin()
    await put(store, "m.shards/one-0-compare.1.sqlite.errors", compress(b"{}"))
    report = SyncReport(source="", target="", checked="list", errors_file="one-0-compare.1.sqlite.errors")
    await to_thread.run_sync(shutil.rmtree, os.path.dirname(one.shards.path))
    (left,) = await one.shards.with_errors([report])
    assert left.errors_file is None


async def test_a_step_that_fails_is_done_again_elsewhere_from_what_it_had_recorded(
    run: Begin, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first node stored names the files below by names that are of use to the second one."""
    await run("first").whole("a", "z")
    again = run("again")
    await again.begin()
    file = await to_thread.run_sync(again.manifest.file, "compare", 0)
    task = ShardTask(setup=SETUP, step="compare", number=0, request=REQUEST, file=file)
    report = SyncReport(source="", target="", checked="list")

    async def step(task: ShardTask, fails: Any, while_open: Any) -> ShardOutcome:
        path = await to_thread.run_sync(_begin, task.file)
        async with while_open(path):
            await to_thread.run_sync(write, path, ["b" if fails() else "c"])
            if fails():
                raise RuntimeError("no room")
        return await to_thread.run_sync(_concluded, task, path, report)

    monkeypatch.setattr("aios3sync.distributed.bucket_steps.run_shard_step", step)
    nodes = again.objects(1), again.objects(2)
    for node in nodes:
        await to_thread.run_sync(os.makedirs, node.directory)
    with pytest.raises(RuntimeError, match="no room"):
        await run_bucket_step(task, nodes[0], lambda: True)  # type: ignore[arg-type, misc]
    await to_thread.run_sync(shutil.rmtree, nodes[0].directory)
    outcome = await run_bucket_step(task, nodes[1], lambda: False)  # type: ignore[arg-type, misc]
    assert outcome.path == f"{file.name}.2.sqlite"
    again.manifest.take("compare", outcome)
    assert await again.conclude() == ""
    rows, _ = await known()
    assert rows == {"a", "b", "c", "z"}


@pytest.mark.parametrize("deletes", [0, 1])
async def test_only_deletes_that_there_are_are_stored(
    store: FaultyStore, run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deletes: int
) -> None:
    """A shard that found nothing to do stores nothing at all."""
    again = run("again")
    await again.begin()
    file = await to_thread.run_sync(again.manifest.file, "compare", 0)
    task = ShardTask(setup=SETUP, step="compare", number=0, request=REQUEST, file=file)
    facts = ShardFacts(plan=PlanFacts(deletes, 9, 9, True, True), unfinished=Unfinished())
    report = SyncReport(source="", target="", checked="list")
    held = tmp_path / "held"
    held.write_bytes(b"deletes")
    value = ShardResult(report=report, facts=facts)

    async def step(task: ShardTask, _: object, while_open: Any) -> ShardOutcome:
        path = await to_thread.run_sync(_begin, task.file)
        async with while_open(path):
            pass
        outcome: ShardOutcome = await to_thread.run_sync(_concluded, task, path, value)
        return replace(outcome, held=str(held))

    monkeypatch.setattr("aios3sync.distributed.bucket_steps.run_shard_step", step)
    node = again.objects(1)
    await to_thread.run_sync(os.makedirs, node.directory)
    outcome = await run_bucket_step(task, node, lambda: False)  # type: ignore[arg-type, misc]
    stored = {f"{file.name}.1.sqlite", f"{file.name}.1.sqlite.held"} if deletes else set()
    assert names_of(store) == stored
    assert outcome.held == (f"{file.name}.1.sqlite.held" if deletes else "")


async def test_two_attempts_at_a_shard_have_two_objects(store: FaultyStore, run: Begin) -> None:
    again = run("again")
    await again.begin()
    one, two = await again.begun(0, 1), await again.begun(0, 2)
    stem = (await to_thread.run_sync(again.manifest.file, "compare", 0)).name
    assert await again.objects(1).upload_attempt(stem, 1, one) == 1
    assert await again.objects(2).upload_attempt(stem, 1, two) == 2
    assert names_of(store) == {f"{stem}.1.sqlite", f"{stem}.2.sqlite"}


async def test_a_file_that_is_gone_costs_a_listing(store: FaultyStore, run: Begin, known: Any) -> None:
    await run("first").whole("a", "z")
    (gone, *_) = sorted(names_of(store))
    await store.delete_many([DeleteItem(f"m.shards/{gone}")])
    rows, state = await known()
    assert (rows, state.complete) == ({"z"}, False)
    next_run = run("next")
    await next_run.begin("m")
    assert not next_run.found.complete


async def test_files_that_nothing_names_are_removed_once_they_are_old(
    store: FaultyStore, run: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("first").whole("a")
    others = {"0123.1.sqlite", "dead-1-compare.2.sqlite", "dead-1-compare.2.sqlite.held"}
    for name in (*others, "notes.txt"):
        await put(store, f"m.shards/{name}", b"x")
    held = run("second")
    await held.begin("m")
    await held.record("b")
    (own,) = (name for name in names_of(store) if name.startswith("second-0"))
    await held.objects(0).upload(f"{own}.held", held.objects(0).path(own))
    assert await held.conclude() == ""
    assert names_of(store) >= {*others, own}, "a run may be about to name them"
    assert f"{own}.held" not in names_of(store)
    monkeypatch.setattr("aios3sync.objects.manifest_objects._KEPT_S", -3600.0)
    await run("third").whole("c")
    assert not names_of(store) & others
    assert {"notes.txt", own} <= names_of(store)


async def test_a_manifest_of_another_target_is_refused_and_stays(store: FaultyStore, run: Begin) -> None:
    await run("first").whole("a")
    before = (await store.get("m")).body
    other = replace(REQUEST, location=Location.parse("s3://bucket/elsewhere"))
    with pytest.raises(ManifestError, match=r"s3://.*/m cannot be used: it belongs to another target"):
        await run("other").begin(request=other)
    await put(store, "m", b"no manifest")
    with pytest.raises(ManifestError, match="cannot be used"):
        await run("other").begin()
    await put(store, "m", before.replace(b'"format":1', b'"format":9'))
    with pytest.raises(ManifestError, match="format 9"):
        await run("other").begin()


async def test_what_cannot_be_stored_ends_a_run_before_it_begins_and_is_a_warning_at_its_end(
    store: FaultyStore, run: Begin
) -> None:
    refused: Any = AccessDeniedError("no", operation="PutObject")
    store.on("put", error=refused)
    with pytest.raises(ManifestError, match="s3://bucket/m cannot be stored: no"):
        await run("first").begin()
    second = run("second")
    await second.begin("m")
    await second.record("a")
    store.on("put", error=refused)
    assert await second.conclude() == "the manifest was not stored, so the next run has to list: no"
    third = run("third")
    await third.begin()
    assert not third.found.complete
    known = await to_thread.run_sync(third.manifest.known)
    assert [item.key for item in await known.page("", 9)] == ["a"]
    await known.close()


async def test_the_failures_of_nodes_are_read_from_what_these_have_stored(
    store: FaultyStore, run: Begin, tmp_path: Path
) -> None:
    one = run("one")
    await one.begin()
    own = tmp_path / "own.jsonl"
    own.write_bytes(b'{"key":"x"}\n{"key":"y"}\n')
    await one.objects(0).upload("one-0-compare.1.sqlite.errors", str(own))
    report = SyncReport(source="", target="", checked="list", errors=(Failure("k", "read", "no"),))
    names = ("one-0-compare.1.sqlite.errors", None, "one-1-compare.1.sqlite.errors")
    reports = await one.shards.with_errors([replace(report, errors_file=name) for name in names])
    assert [bool(each.errors_file) for each in reports] == [True, False, False]
    path = await to_thread.run_sync(one.manifest.join_errors, reports)
    assert path is not None
    joined = Path(path)
    assert [json.loads(line)["key"] for line in joined.read_text().splitlines()] == ["x", "y", "k", "k"]
    assert not path.startswith(os.path.dirname(one.shards.path)), "it outlives the mirror"
    joined.unlink()
    assert await one.conclude() == ""
    assert not any(name.endswith(".errors") for name in names_of(store))


async def test_a_document_of_a_cluster_is_small_and_one_machine_reads_it_with_one_request_more_a_file(
    store: FaultyStore, run: Begin, tmp_path: Path
) -> None:
    await run("first").whole("a", "z")
    assert Root.decoded((await store.get("m")).body).state.complete
    store.calls.clear()
    alone = machine(store, tmp_path / "alone")
    await alone.shared.fetch()
    assert isinstance(alone.shared, SharedManifest)
    assert store.calls == {"get": 3}
