"""Events of a sync as an iterator: complete, bounded, and ended orderly however its reader leaves."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import aios3sync
from aios3sync import Session, Stop, SyncEvents, SyncReport, UsageError
from aios3sync.errors import BucketNotFoundError
from aios3sync.events import (
    BytesSent,
    Decided,
    Event,
    Failed,
    Finished,
    ObjectUploaded,
    Scanned,
)
from aios3sync.sync.event_stream import EventQueue, EventStreams
from aios3sync.testing.trees import make_tree
from tests.sync.conftest import Bench

pytestmark = pytest.mark.usefixtures("settle")


@pytest.fixture(autouse=True)
def _small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run waits for its recorder earlier, so that trees can be small."""
    monkeypatch.setattr("aios3sync.sync.recorder._WAITING", 64)


def stream(
    bench: Bench, buffer: int = 1000, streams: EventStreams | None = None, **options: Any
) -> SyncEvents:
    """The events of a sync of the bench, as a session makes them."""

    async def run(*, on_event: Any, outcome_sinks: Any, stop: Stop) -> SyncReport:
        bench.on_event, bench.outcome_sinks, bench.stop = on_event, outcome_sinks, stop
        return await bench.sync(**options)

    return (streams or EventStreams()).open(run, buffer, (), bench.stop)


def all_of(queue: EventQueue) -> list[Event]:
    taken: list[Event] = []
    while (event := queue.take()) is not None:
        taken.append(event)
    return taken


async def read(events: SyncEvents, seen: list[Event]) -> None:
    async for event in events:
        seen.append(event)  # noqa: PERF401 - what was seen before an error counts


def uploaded(events: list[Event]) -> list[str]:
    return sorted(event.key for event in events if isinstance(event, ObjectUploaded))


async def test_all_events_come_and_the_report_is_last(bench: Bench) -> None:
    bench.tree({f"f{n}": str(n) for n in range(20)})
    events = stream(bench)
    with pytest.raises(UsageError, match="the run has not ended"):
        _ = events.report
    seen = [event async for event in events]
    assert len(uploaded(seen)) == 20
    assert seen[-1] == Finished(events.report)
    assert events.report.uploaded == 20
    assert events.dropped == 0
    assert [event async for event in events] == []


async def test_an_error_of_the_run_is_raised_after_its_event(bench: Bench) -> None:
    bench.tree({"a": "1"})
    bench.faults.on("list_page", times=-1, error=BucketNotFoundError("no such bucket"))
    seen: list[Event] = []
    events = stream(bench)
    with pytest.raises(BucketNotFoundError):
        await read(events, seen)
    assert isinstance(seen[-1], Failed)
    with pytest.raises(BucketNotFoundError):
        _ = events.report


@pytest.mark.parametrize("buffer", [1, 100])
async def test_a_slow_reader_slows_the_run_down(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, buffer: int
) -> None:
    """The run waits for its reader before it ends, and no event of an object is lost."""
    wait, waits = EventQueue.outcomes, asyncio.Event()

    async def outcomes(queue: EventQueue, batch: Any) -> None:
        waiting = asyncio.ensure_future(wait(queue, batch))
        await asyncio.sleep(0)
        if not waiting.done():
            waits.set()
        await waiting

    monkeypatch.setattr(EventQueue, "outcomes", outcomes)
    bench.tree({f"f{n:04}": str(n) for n in range(4000)})
    streams = EventStreams()
    async with stream(bench, buffer, streams) as events:
        seen = [await anext(events)]
        (run,) = streams._queues
        ended, _ = await asyncio.wait(
            {run, asyncio.ensure_future(waits.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        assert run not in ended
        await read(events, seen)
    assert len(uploaded(seen)) == 4000 == len(set(uploaded(seen)))
    assert events.dropped == 0


async def test_a_full_queue_is_waited_for() -> None:
    queue = EventQueue(2, Stop())
    for number in range(3):
        queue(ObjectUploaded(str(number), 1, "", ""))
    waiting = asyncio.ensure_future(queue.outcomes([]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    queue.take()
    queue.take()
    await waiting


async def test_a_reader_that_breaks_stops_the_run_orderly(bench: Bench) -> None:
    """What was uploaded is recorded; the report of the run says that it was stopped."""
    bench.tree({f"f{n:04}": str(n) for n in range(4000)})
    async with stream(bench, 1) as events:
        async for event in events:
            if isinstance(event, ObjectUploaded):
                break
    report = events.report
    assert 0 < report.uploaded == len(bench.objects()) < 4000
    assert report.exit_code == 130
    bench.stop, bench.on_event, bench.outcome_sinks = Stop(), None, ()
    again = await bench.sync()
    assert (again.uploaded, again.kept) == (4000 - report.uploaded, report.uploaded)


async def test_a_reader_that_is_cancelled_stops_the_run_orderly(bench: Bench) -> None:
    bench.tree({f"f{n:03}": str(n) for n in range(50)})
    sending, go_on = anyio.Event(), anyio.Event()
    bench.faults.on("put", reached=sending, wait=go_on)
    events = stream(bench)
    reader = asyncio.create_task(read(events, []))
    await sending.wait()
    reader.cancel()
    await asyncio.sleep(0)
    assert not reader.done()  # the object under way may arrive
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert events.report.exit_code == 130
    assert events.report.uploaded == len(bench.objects()) > 0


async def test_an_iterator_that_is_dropped_stops_the_run(bench: Bench) -> None:
    """``break`` leaves the only reference: the session waits for the run, which has been stopped."""
    bench.tree({f"f{n:04}": str(n) for n in range(4000)})
    running = EventStreams()
    async for event in stream(bench, 1, running):
        if isinstance(event, ObjectUploaded):
            break
    gc.collect()
    assert bench.stop.signal
    await running.close()
    assert len(bench.objects()) < 4000


async def test_a_stop_of_ones_own_is_not_asked_after_the_end(bench: Bench) -> None:
    bench.tree({"a": "1"})
    async with stream(bench) as events:
        assert [event async for event in events]
    del events
    gc.collect()
    assert not bench.stop.signal


async def test_closing_before_the_first_event_begins_nothing(bench: Bench) -> None:
    bench.tree({"a": "1"})
    events = stream(bench)
    await events.aclose()
    assert [event async for event in events] == []
    assert bench.objects() == {}


def test_a_full_queue_adds_up_counts_and_keeps_the_rest() -> None:
    queue = EventQueue(3, Stop())
    events: list[Event] = [ObjectUploaded("a", 1, "", ""), Scanned(1, 10), BytesSent("big", 5), Decided(1)]
    for event in (*events, Scanned(2, 20), BytesSent("big", -5), BytesSent("other", 1), Decided(4)):
        queue(event)
    queue(ObjectUploaded("b", 1, "", ""))
    taken = all_of(queue)
    assert taken == [
        events[0],
        Scanned(3, 30),
        BytesSent("big", 0),
        Decided(5),
        BytesSent("other", 1),
        ObjectUploaded("b", 1, "", ""),
    ]


def test_a_queue_is_bounded_and_takes_the_last_event() -> None:
    queue = EventQueue(10, Stop())
    for number in range(10_000):
        queue(ObjectUploaded(str(number), 1, "", ""))
    queue(Finished("report"))
    taken = all_of(queue)
    assert len(taken) == 10 + 4096 + 1
    assert taken[-1] == Finished("report")
    assert queue.dropped == 10_000 - 10 - 4096


# Through a session


@asynccontextmanager
async def session_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    """A session whose syncs are those of the bench."""

    async def sync(
        _: Session, *__: Any, on_event: Any, outcome_sinks: Any, stop: Any, **___: Any
    ) -> SyncReport:
        bench.on_event, bench.outcome_sinks, bench.stop = on_event, outcome_sinks, stop
        return await bench.sync()

    monkeypatch.setattr(Session, "sync", sync)
    async with aios3sync.connect(endpoint_url="http://127.0.0.1:9") as session:
        yield session


async def test_a_session_that_closes_stops_its_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.tree({f"f{n:04}": str(n) for n in range(4000)})
    async with session_of(bench, monkeypatch) as s3:
        events = s3.sync_events("data", "s3://bucket", buffer=1)
        await anext(events)
    assert events.report.exit_code == 130


async def test_a_session_runs_and_ends_like_sync(tmp_path: Path) -> None:
    """What cannot begin is the last event, then raised; a buffer of nothing is refused."""
    root = make_tree(tmp_path / "t", {"a": "1"})
    async with aios3sync.connect(endpoint_url="http://127.0.0.1:9") as s3:
        with pytest.raises(UsageError, match="buffer: 0 is less than 1"):
            s3.sync_events(root, "s3://bucket", buffer=0)
        seen: list[Event] = []
        with pytest.raises(UsageError, match="part_size"):
            await read(s3.sync_events(root, "s3://bucket", part_size=1), seen)
    assert [type(event) for event in seen] == [Failed]
