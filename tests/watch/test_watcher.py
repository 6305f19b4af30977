"""The loop of a watch, with scripted changes, runs and a clock of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from aios3sync.concurrency import Stop
from aios3sync.errors import AioS3SyncError, LockedError, SourceError, UnavailableError
from aios3sync.events import Event, Warned, Watching
from aios3sync.report import SyncReport
from aios3sync.watch.changes import Changes
from aios3sync.watch.pending import Batch, WatchTimes
from aios3sync.watch.watcher import watch

QUIET = Changes()


def report(**facts: Any) -> SyncReport:
    return SyncReport(source="s", target="t", checked="manifest", **facts)


@dataclass
class Script:
    """Changes, one a second, and what the runs of their batches return or raise."""

    changes: list[Changes]
    ends: list[SyncReport | AioS3SyncError] = field(default_factory=list)
    now: float = 0.0
    batches: list[Batch] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    closed: bool = False

    async def _changes(self) -> AsyncGenerator[Changes, None]:
        try:
            for change in self.changes:
                self.now += 1.0
                yield change
        finally:
            self.closed = True

    async def _run(self, batch: Batch) -> SyncReport:
        self.batches.append(batch)
        end = self.ends.pop(0) if self.ends else report(uploaded=1)
        if isinstance(end, AioS3SyncError):
            raise end
        return end

    async def reports(self, stable: float = 1.0) -> list[SyncReport]:
        times = WatchTimes(stable=stable, every=1000.0)
        found = watch(self._changes(), self._run, times, self.events.append, self.stop, lambda: self.now)
        async with aclosing(found) as reports:
            return [each async for each in reports]


async def test_a_change_is_synced_by_itself() -> None:
    script = Script([QUIET, Changes(("a",)), QUIET, QUIET])
    reports = await script.reports()
    assert script.batches == [Batch(everything=True), Batch(everything=False, paths=("a",))]
    assert len(reports) == 2
    assert script.closed


async def test_the_first_report_comes_also_where_nothing_was_to_do() -> None:
    script = Script([QUIET, Changes(("a",)), QUIET, QUIET], [report(kept=3), report(kept=1)])
    assert [each.kept for each in await script.reports()] == [3]


async def test_a_run_that_could_not_do_all_is_reported_and_made_again() -> None:
    script = Script([QUIET] * 9, [report(uploaded=1, failed=1), report(uploaded=1)])
    reports = await script.reports()
    assert [each.failed for each in reports] == [1, 0]
    assert script.batches == [Batch(everything=True)] * 2


@pytest.mark.parametrize(
    "error", [UnavailableError("no route", operation="PutObject"), LockedError("another run")]
)
async def test_what_may_pass_is_a_warning_and_tried_again(error: AioS3SyncError) -> None:
    script = Script([QUIET, Changes(("a",)), *[QUIET] * 9], [report(), error, error, report(uploaded=1)])
    reports = await script.reports()
    assert [each.uploaded for each in reports] == [0, 1]
    warnings = [event.message for event in script.events if isinstance(event, Warned)]
    assert [warning.rpartition("; ")[2] for warning in warnings] == [
        "trying again in 1 s",
        "trying again in 2 s",
    ]
    assert script.batches[-1] == Batch(everything=True), "what was seen meanwhile may not be all"


async def test_what_cannot_pass_is_raised() -> None:
    script = Script([QUIET, Changes(("a",)), QUIET, QUIET], [report(), SourceError("gone")])
    with pytest.raises(SourceError, match="gone"):
        await script.reports()
    assert script.closed


async def test_a_first_run_that_fails_is_raised() -> None:
    script = Script([QUIET], [UnavailableError("no route", operation="PutObject")])
    with pytest.raises(UnavailableError, match="no route"):
        await script.reports()


async def test_a_stop_ends_the_watch() -> None:
    script = Script([QUIET] * 5)
    script.stop.request()
    assert await script.reports() == []
    assert script.batches == []


async def test_what_waits_is_an_event() -> None:
    script = Script([QUIET, Changes(("a", "b"), rescan=True), QUIET])
    await script.reports(stable=1.5)
    waits = [event for event in script.events if isinstance(event, Watching)]
    assert waits == [Watching(0), Watching(2, rescan=True), Watching(2, rescan=True)]
