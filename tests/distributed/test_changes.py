"""What nodes change on its way to the object index: nothing is lost unseen, and no step waits for long."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.concurrency import Stop
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.keys import Location
from aios3sync.distributed import change_buffer
from aios3sync.distributed.change_buffer import ChangeBuffer, ChangeSink
from aios3sync.distributed.change_intake import ChangeIntake
from aios3sync.distributed.exchanges import Exchanges
from aios3sync.distributed.messages import AttemptChanges, NodeSetup, SentChanges
from aios3sync.events import Deleted, Kept, Trashed, Uploaded, discard
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.feed import TOO_SLOW, IndexSubscriber
from aios3sync.index.rows import ObjectIndexError
from aios3sync.index.staleness import stale_prefixes
from aios3sync.options import ConnectOptions
from aios3sync.report import SyncReport
from aios3sync.sync.request import SyncRequest
from aios3sync.testing.memory import MemoryStore
from tests.distributed.sharding import Sharding

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def bench(tmp_path: Path) -> Sharding:
    return Sharding(tmp_path / "m", tmp_path / "t", MemoryStore("bucket"))


@pytest.fixture
def request_(bench: Sharding) -> SyncRequest:
    return bench.request()


def uploaded(key: str) -> Uploaded:
    row = RecordedEntry(key, 3, 1, 1, 1, "md5", "e3", uploaded_at=9.0)
    return Uploaded(row, 3, "new", content_type="text/plain")


def keys_of(sent: Sequence[SentChanges]) -> list[str]:
    return [facts[0] for _, changes in sent for facts in changes]


# On a node.


async def test_each_change_is_sent_once_in_its_order(request_: SyncRequest) -> None:
    buffer = ChangeBuffer()
    one, other = buffer.of_attempt(request_), buffer.of_attempt(request_)
    await one.outcomes([uploaded("a"), Kept("k"), uploaded("b")])
    await other.outcomes([Deleted("c", 1)])
    assert buffer.take(0) == []
    assert keys_of(buffer.take(1)) == ["p/a"]
    sent = buffer.take(9)
    assert keys_of(sent) == ["p/b", "p/c"]
    assert [attempt for attempt, _ in sent] == [one.name, other.name]
    await one.outcomes([uploaded("d")])
    one.number = 1
    ended = pickle.loads(pickle.dumps(buffer.ended(one)))  # noqa: S301 - made here
    assert (ended.attempt, ended.number, ended.total, ended.trouble) == (one.name, 1, 3, "")
    assert [facts[0] for facts in ended.rest] == ["p/d"]
    assert buffer.take(9) == []


async def test_a_step_waits_for_the_coordinator(
    request_: SyncRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_buffer, "_MOST_WAITING", 2)
    buffer = ChangeBuffer()
    sink = buffer.of_attempt(request_)
    await sink.outcomes([uploaded("a"), uploaded("b")])
    done = anyio.Event()

    async def work() -> None:
        await sink.outcomes([uploaded("c"), uploaded("d")])
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        assert keys_of(buffer.take(1)) == ["p/a"]
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set(), "three still wait"
        buffer.take(1)
        await done.wait()
    assert not sink.trouble


async def test_a_step_goes_on_without_the_index_where_nobody_takes_its_changes(
    request_: SyncRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_buffer, "_MOST_WAITING", 0)
    monkeypatch.setattr(change_buffer, "_PATIENCE_S", 0.01)
    buffer = ChangeBuffer()
    sink = buffer.of_attempt(request_)
    await sink.outcomes([uploaded("a")])
    await sink.outcomes([uploaded("b")])
    ended = buffer.ended(sink)
    assert (ended.total, len(ended.rest), ended.trouble) == (1, 1, TOO_SLOW)


async def test_an_outcome_that_is_not_understood_fails_no_step(request_: SyncRequest) -> None:
    buffer = ChangeBuffer()
    sink = buffer.of_attempt(request_)
    await sink.outcomes([Uploaded(None, 3, "new")])  # type: ignore[arg-type]
    assert buffer.ended(sink).trouble == "unexpected AttributeError on a worker"


@pytest.mark.parametrize(("trash", "keys"), [("s3://other/t", []), ("s3://bucket/t", ["t/a"])])
async def test_what_goes_to_another_bucket_is_no_change_of_this_one(
    bench: Sharding, trash: str, keys: list[str]
) -> None:
    buffer = ChangeBuffer()
    sink = buffer.of_attempt(bench.request(trash=trash))
    await sink.outcomes([Trashed(Location.parse(trash).bucket, "t/a", 1, "e")])
    assert keys_of(buffer.take(9)) == keys


# At the coordinator.


async def fed(backend: IndexBackend, bench: Sharding, ends: Any) -> tuple[list[str], list[str], str]:
    """Return the keys of the index, why it is stale, and the warning of a run."""
    index = IndexSubscriber(backend)
    async with index.attached(bench.request(), bench.resources()):
        intake = ChangeIntake(index)
        assert intake.room == 200 * 256
        sinks = [ChangeBuffer().of_attempt(bench.request()) for _ in range(2)]
        for number, sink in enumerate(sinks):
            sink.number = 1
            intake.began(f"step-{number}")
            await sink.outcomes([uploaded(f"{number}{part}") for part in range(3)])
        await ends(intake, sinks)
    report = await index.finish(SyncReport(source="", target="", checked="list"))
    stale = [mark.reason for mark in await stale_prefixes(backend)]
    return [row.key for row in await backend.scan("bucket", "", "", 99)], stale, "".join(report.warnings)


def rest_of(sink: ChangeSink) -> AttemptChanges:
    return AttemptChanges(sink.name, sink.number, sink.total, sink.take(99), sink.trouble)


ALL = [f"p/{number}{part}" for number in range(2) for part in range(3)]


async def test_all_changes_reach_the_index_whichever_way_they_come(
    backend: IndexBackend, bench: Sharding
) -> None:
    async def ends(intake: ChangeIntake, sinks: list[ChangeSink]) -> None:
        late = SentChanges(sinks[0].name, sinks[0].take(2))
        await intake.ended("step-0", rest_of(sinks[0]))
        await intake.take([late, SentChanges(sinks[1].name, sinks[1].take(1))])
        await intake.ended("step-1", rest_of(sinks[1]))
        intake.began("survey")
        await intake.ended("survey", None)
        intake.conclude(lost_node=False)

    assert await fed(backend, bench, ends) == (ALL, [], "")


@pytest.mark.parametrize("loss", ["step", "attempt", "changes", "again", "node", "trouble"])
async def test_what_may_be_missing_marks_the_index_as_stale_and_the_rest_is_in_it(
    backend: IndexBackend, bench: Sharding, loss: str
) -> None:
    async def ends(intake: ChangeIntake, sinks: list[ChangeSink]) -> None:
        await intake.ended("step-0", rest_of(sinks[0]))
        if loss == "step":
            await intake.take([])
        else:
            if loss == "attempt":
                await intake.take([SentChanges("dead", [])])
                await intake.take([SentChanges("dead", sinks[1].take(1))])
            if loss == "changes":
                sinks[1].take(1)
            sinks[1].number = 2 if loss == "again" else 1
            sinks[1].trouble = "of its own" if loss == "trouble" else ""
            await intake.ended("step-1", rest_of(sinks[1]))
        intake.conclude(lost_node=loss == "node")

    keys, stale, warning = await fed(backend, bench, ends)
    reason = (
        "of its own"
        if loss == "trouble"
        else ("a worker was lost, or a step failed, before it had sent all its changes")
    )
    assert stale == [reason]
    assert warning == f"the index is stale, reconcile s3://bucket/p/ repairs it: {reason}"
    assert set(ALL[:3]) <= set(keys)
    assert (set(keys) == set(ALL)) == (loss not in ("step", "changes"))


async def test_a_database_that_fails_keeps_no_node_waiting(
    backend: IndexBackend, bench: Sharding, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ObjectIndexError("the disk is full")

    monkeypatch.setattr(backend, "apply_facts", broken)
    monkeypatch.setattr("aios3sync.index.feed._LINGER", 0.0)

    async def ends(intake: ChangeIntake, sinks: list[ChangeSink]) -> None:
        await intake.ended("step-0", rest_of(sinks[0]))
        await intake.ended("step-1", rest_of(sinks[1]))
        intake.conclude(lost_node=False)

    assert (await fed(backend, bench, ends))[1] == ["the disk is full"]


async def test_a_full_queue_has_no_room(backend: IndexBackend, bench: Sharding) -> None:
    index = IndexSubscriber(backend)
    assert index.room == 0, "it is not attached"
    async with index.attached(bench.request(), bench.resources()):
        sink = ChangeBuffer().of_attempt(bench.request())
        await sink.outcomes([uploaded(f"{number:03}") for number in range(600)])
        before = index.room
        await index.take(sink.take(600))
        assert before - index.room == 3 * 256
    assert len(await backend.scan("bucket", "p/", "", 999)) == 600


class Nodes:
    """Nodes that come and go, and answer nothing."""

    def __init__(self) -> None:
        self.there = {"a": "host", "b": "host"}

    async def nodes(self) -> dict[str, str]:
        return dict(self.there)

    async def ask(self, *_: object) -> dict[str, Any]:
        return {}


async def test_a_node_that_leaves_is_lost_and_one_that_comes_is_none() -> None:
    setup = NodeSetup(run="r", connect=ConnectOptions(), endpoint="aws")
    nodes: Any = Nodes()
    exchanges = Exchanges(nodes, setup, discard, Stop(), workers=8)
    await exchanges.once()
    nodes.there["c"] = "host"
    await exchanges.once(ending=True)
    assert not exchanges.lost
    del nodes.there["a"]
    await exchanges.once(ending=True)
    nodes.there["a"] = "host"
    await exchanges.once(ending=True)
    assert exchanges.lost
