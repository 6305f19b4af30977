"""Notifications of a bucket as changes: what they start, and when their messages are deleted."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from aios3sync.concurrency import Stop
from aios3sync.core.keys import Location
from aios3sync.errors import AccessDeniedError, UnavailableError
from aios3sync.events import discard
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.sync.request import SyncRequest
from aios3sync.watch import queue_changes
from aios3sync.watch.changes import Changes
from aios3sync.watch.pending import WatchTimes
from aios3sync.watch.queue_changes import QueueChanges
from aios3sync.watch.start import watch_request
from tests.index.test_following import ScriptedQueue

PLACE = Location("bucket", "p/")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that cannot be read is asked again at once, and one without messages does not wait."""
    monkeypatch.setattr(queue_changes, "_PAUSE_S", 0.0)
    monkeypatch.setattr(queue_changes, "_WAIT_S", 0.0)


def notification(key: str, bucket: str = "bucket", name: str = "ObjectCreated:Put") -> str:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "eTag": "e", "sequencer": "01"}},
    }
    return json.dumps({"Records": [record]})


async def step(changes: AsyncGenerator[Changes, None]) -> bool:
    """Whether the next changes ask for a run."""
    return (await anext(changes)).rescan


async def test_a_message_stays_until_what_it_announces_is_done() -> None:
    queue = ScriptedQueue()
    source = QueueChanges(queue, PLACE)
    changes = source.changes()
    queue.send(notification("p/a"))
    assert await step(changes)
    assert not await step(changes)
    assert (queue.deleted, queue.hidden) == ([], {"m0": 600}), "the run waits"
    queue.send(notification("p/a", name="ObjectRemoved:Delete"))
    assert await step(changes)
    source.settle()
    assert not await step(changes)
    assert sorted(queue.deleted) == ["m0", "m1"]
    await changes.aclose()


async def test_a_watch_that_ends_leaves_what_it_has_not_done() -> None:
    queue = ScriptedQueue()
    queue.send(notification("p/a"))
    changes = QueueChanges(queue, PLACE).changes()
    assert await step(changes)
    await changes.aclose()
    assert list(queue.messages) == ["m0"]


async def test_duplicates_and_any_order_are_one_run_each_time() -> None:
    queue = ScriptedQueue()
    source = QueueChanges(queue, PLACE)
    changes = source.changes()
    for name in ("ObjectRemoved:Delete", "ObjectCreated:Put", "ObjectCreated:Put"):
        queue.send(notification("p/a", name=name))
    assert await step(changes)
    source.settle()
    queue.show_all()  # the run took longer than messages are hidden
    assert not await step(changes)
    assert not queue.messages
    await changes.aclose()


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "{}",
        '{"Records": [{}]}',
        notification("other/a"),
        notification("p/a", bucket="other"),
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bucket"}),
    ],
)
async def test_what_concerns_nothing_starts_no_run_and_does_not_come_again(
    body: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = ScriptedQueue()
    queue.send(body)
    changes = QueueChanges(queue, PLACE).changes()
    with caplog.at_level(logging.WARNING):
        assert not await step(changes)
    assert not await step(changes)
    assert queue.deleted == ["m0"]
    assert ("was passed over" in caplog.text) == (body in ("no JSON", "{}", '{"Records": [{}]}'))
    await changes.aclose()


async def test_messages_are_hidden_again_while_their_run_waits() -> None:
    now, queue = [0.0], ScriptedQueue()
    changes = QueueChanges(queue, PLACE, lambda: now[0]).changes()
    queue.send(*(notification(f"p/{number}") for number in range(12)))
    assert await step(changes)
    assert await step(changes)
    for each in queue.hidden:
        queue.hidden[each] = 1
    now[0] = 299.0
    assert not await step(changes)
    assert set(queue.hidden.values()) == {1}
    now[0] = 301.0
    assert not await step(changes)
    assert list(queue.hidden.values()) == [600] * 12
    await changes.aclose()


async def test_no_more_are_received_than_can_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_changes, "_MOST_HELD", 20)
    queue = ScriptedQueue()
    queue.send(*(notification(f"p/{number}") for number in range(50)))
    source = QueueChanges(queue, PLACE)
    changes = source.changes()
    assert [await step(changes) for _ in range(5)] == [True, True, False, False, False]
    source.settle()
    assert await step(changes)
    assert len(queue.deleted) == 20
    await changes.aclose()


async def test_a_queue_that_is_gone_for_a_while_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    queue = ScriptedQueue(faults=[None, UnavailableError("no route", operation="ReceiveMessage"), None])
    queue.delete_faults.append(UnavailableError("no route", operation="DeleteMessage"))
    source = QueueChanges(queue, PLACE)
    changes = source.changes()
    assert not await step(changes)
    queue.send(notification("p/a"))
    with caplog.at_level(logging.WARNING):
        assert not await step(changes)
        assert await step(changes)
        source.settle()
        assert not await step(changes)
    assert "queue cannot be read: " in caplog.text
    assert "messages of queue cannot be deleted" in caplog.text
    assert not await step(changes)
    assert queue.deleted == ["m0"], "deleted when the queue is back"
    await changes.aclose()


async def test_a_queue_that_cannot_be_read_at_all_is_an_error() -> None:
    queue = ScriptedQueue(faults=[AccessDeniedError("not allowed", operation="ReceiveMessage")])
    with pytest.raises(AccessDeniedError, match="not allowed"):
        await anext(QueueChanges(queue, PLACE).changes())


@dataclass
class Runs:
    """Runs of a watch: what each returns, and which messages were there when it began."""

    queue: ScriptedQueue
    ends: list[SyncReport]
    began: list[list[str]] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)

    async def __call__(self, options: SyncOptions) -> SyncReport:
        self.began.append(list(self.queue.messages))
        report = self.ends.pop(0)
        if not self.ends:
            self.stop.request()
        return report

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        """Open the queue."""
        yield self.queue


def report(**facts: Any) -> SyncReport:
    return SyncReport(source="s", target="t", checked="list", **facts)


@pytest.mark.parametrize(
    "not_done",
    [
        {"failed": 1},
        {"withheld": 3, "refused": {"guard": "max_delete"}},
        {"refused": {"guard": "swapped"}},
        {"cancelled": 1, "aborted": "the disk is full"},
    ],
    ids=["failed", "deletes refused", "all refused", "aborted"],
)
async def test_only_a_run_that_did_all_settles_the_messages(tmp_path: Any, not_done: Any) -> None:
    queue = ScriptedQueue()
    queue.send(notification("p/a"))
    runs = Runs(queue, [report(**not_done), report(downloaded=1), report(interrupted=2)])
    request = SyncRequest(
        root=str(tmp_path),
        location=PLACE,
        endpoint="e",
        direction="down",
        options=SyncOptions(),
    )
    times = WatchTimes(stable=0.001, every=0.002)
    with suppress(StopAsyncIteration):
        watch = watch_request(request, runs, times, runs.opened(), discard, runs.stop)
        async for _ in watch:
            pass
    assert runs.began == [["m0"], ["m0"], []]
