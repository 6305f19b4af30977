"""What a run tells: the last event is the end, whatever the end was, and events add up to the report."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import asyncio
import os
from collections import Counter
from hashlib import md5
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import aios3sync
from aios3sync.errors import AioS3SyncError, BucketNotFoundError, SourceError, UsageError
from aios3sync.events import (
    BytesSent,
    Event,
    Failed,
    Finished,
    ObjectAdopted,
    ObjectTouched,
    PhaseBegan,
    Skipped,
    UploadBegan,
    concluded,
)
from aios3sync.progress import Progress
from aios3sync.store.protocol import PutOptions
from aios3sync.store.send_window import AdaptiveSendWindow
from aios3sync.testing.faulty import throttled, unavailable
from tests.sync.conftest import MIB

if TYPE_CHECKING:
    from tests.sync.conftest import Bench

pytestmark = pytest.mark.usefixtures("settle")


def the_end(events: list[Event]) -> Event:
    """The last event, which is the only one of its kind."""
    ends = [event for event in events if isinstance(event, Finished) or _is_of_the_run(event)]
    assert ends == events[-1:]
    return ends[0]


def _is_of_the_run(event: Event) -> bool:
    return isinstance(event, Failed) and event.error is not None


async def test_the_last_event_of_a_run_that_ends_well_has_its_report(bench: Bench) -> None:
    bench.tree({"a": "1"})
    report = await bench.sync()
    assert the_end(bench.events) == Finished(report)


async def test_a_missing_bucket_is_the_last_event(bench: Bench) -> None:
    bench.tree({"a": "1"})
    bench.faults.on("list_page", times=-1, error=BucketNotFoundError("no such bucket"))
    with pytest.raises(BucketNotFoundError) as caught:
        await bench.sync()
    end = the_end(bench.events)
    assert isinstance(end, Failed)
    assert end.error is caught.value
    assert (end.failure.key, end.failure.stage, end.failure.error) == ("", "run", "no such bucket")


@pytest.mark.parametrize("timeout", [True, False], ids=["time-out", "cancel"])
async def test_a_run_that_is_cancelled_says_so_last(bench: Bench, *, timeout: bool) -> None:
    bench.tree({"a": "1"})
    sending = anyio.Event()
    bench.faults.on("put", reached=sending, wait=anyio.Event())
    run = asyncio.create_task(bench.sync())
    await sending.wait()
    if timeout:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run, 0)
    else:
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    end = the_end(bench.events)
    assert isinstance(end, Failed)
    assert isinstance(end.error, asyncio.CancelledError)


@pytest.mark.parametrize(
    ("source", "options", "kind"),
    [("/no/such/place", {}, SourceError), ("/", {"part_size": 1}, UsageError)],
)
@pytest.mark.parametrize("command", ["sync", "verify"])
async def test_what_cannot_even_begin_is_the_last_event_too(
    command: str, source: str, options: dict[str, Any], kind: type[AioS3SyncError]
) -> None:
    progress = Progress()
    async with aios3sync.connect() as s3:
        with pytest.raises(kind):
            await getattr(s3, command)(source, "s3://bucket/p", on_event=progress, **options)
    assert isinstance(progress.error, kind)
    assert progress.failed == 0


async def test_a_sink_that_fails_at_the_end_does_not_hide_why() -> None:
    def sink(event: Event, /) -> None:
        raise RuntimeError("the application's own")

    async def run() -> None:
        raise SourceError("gone")

    with pytest.raises(SourceError):
        await concluded(sink, run())


async def test_events_add_up_to_the_report(bench: Bench) -> None:
    """P9: what an application counts from events is what the report says, also where it compared twice."""
    bench.tree({f"f{n}": str(n) for n in range(9)})
    await bench.sync()
    os.utime(bench.root / "f1", (1, 1))
    (bench.root / "f2").write_text("changed")
    (bench.root / "f3").unlink()
    (bench.root / "there").write_text("same")
    await bench.memory.put("p/there", b"same", PutOptions(), md5=md5(b"same").digest())
    os.mkfifo(bench.root / "fifo")
    bench.events.clear()
    report = await bench.sync(delete="tracked", check="auto")
    progress = Progress()
    for event in bench.events:
        progress(event)
    assert (progress.scanned, progress.kept) == (report.scanned, report.kept)
    assert (progress.uploaded, progress.deleted) == (report.uploaded, report.deleted) == (1, 1)
    assert (progress.adopted, progress.touched) == (report.adopted, report.touched) == (1, 1)
    assert (progress.skipped, progress.failed) == (report.skipped, report.failed) == (1, 0)
    assert progress.sent == progress.upload_size == len("changed")
    assert progress.report is report
    assert [event.key for event in bench.events if isinstance(event, ObjectAdopted)] == ["there"]
    assert [event.key for event in bench.events if isinstance(event, ObjectTouched)] == ["f1"]
    assert {event.key for event in bench.events if isinstance(event, Skipped)} == {"fifo"}
    assert sum(event == PhaseBegan("compare") for event in bench.events) == 2


async def test_the_report_says_how_often_the_endpoint_asked_to_slow_down(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    bench.faults.on("put", key="p/a", times=2, error=throttled())
    bench.faults.on("put", key="p/b", error=unavailable())
    report = await bench.sync()
    assert (report.uploaded, report.retries, report.throttled) == (2, 3, 2)


async def test_large_files_begin_and_their_bytes_add_up_whatever_goes_wrong(bench: Bench) -> None:
    """One goes whole, one in parts, one compressed, one fails; this transport reports none of their bytes."""
    bench.tree({name: os.urandom(12 * MIB) for name in ("parts", "fails.gz", "zip.txt")})
    bench.tree({"whole": bytes(2 * MIB), "small": "1"})
    bench.faults.on("put_part", key="p/fails.gz", skip=1, times=-1, error=unavailable())
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB, gzip=("txt",))
    assert (report.uploaded, report.failed) == (4, 1)
    progress = Progress()
    began, sent = {}, Counter[str]()
    for event in bench.events:
        progress(event)
        if isinstance(event, UploadBegan):
            began[event.key] = event.size
        if isinstance(event, BytesSent):
            sent[event.key] += event.size
    assert began == {"parts": 12 * MIB, "fails.gz": 12 * MIB, "zip.txt": 12 * MIB, "whole": 2 * MIB}
    assert sent == {"parts": 12 * MIB, "zip.txt": 12 * MIB, "whole": 2 * MIB, "small": 1, "fails.gz": 0}
    assert progress.sent == 26 * MIB + 1
    assert progress.in_flight == {}


@pytest.mark.parametrize("in_parts", [True, False], ids=["parts", "whole"])
async def test_large_files_are_on_their_way_as_the_window_lets_them(bench: Bench, *, in_parts: bool) -> None:
    """The window is the session's; small files pass it, and all of it is given back."""
    bench.tree({f"large{n}": os.urandom(6 * MIB) for n in range(6)} | {f"small{n}": "1" for n in range(50)})
    window = bench.window = AdaptiveSendWindow(clock=lambda: 0.0)  # in no time nothing is learnt
    most = 0

    def watch(event: Event) -> None:
        nonlocal most
        bench.events.append(event)
        most = max(most, window.in_flight)

    bench.on_event = watch
    report = await bench.sync(multipart_threshold=5 * MIB if in_parts else 16 * MIB, part_size=5 * MIB)
    assert (report.uploaded, report.failed) == (56, 0)
    assert 5 * MIB <= most <= 12 * MIB
    assert window.in_flight == 0


@pytest.mark.parametrize("verb", ["put", "put_part"])
async def test_a_cancelled_run_gives_the_window_back(bench: Bench, verb: str) -> None:
    bench.tree({f"large{n}": os.urandom(6 * MIB) for n in range(8)})
    window = bench.window = AdaptiveSendWindow()
    sending = anyio.Event()
    bench.faults.on(verb, reached=sending, wait=anyio.Event(), times=-1)
    threshold = 5 * MIB if verb == "put_part" else 16 * MIB
    run = asyncio.create_task(bench.sync(multipart_threshold=threshold, part_size=5 * MIB))
    await sending.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert window.in_flight == 0
