"""What goes wrong on the way, and what is true afterwards: P8 to P10, C1, C4, C18."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from blockbuster import BlockBuster

from aios3sync import BucketNotFoundError, LockedError, ManifestError, UnavailableError
from aios3sync.events import BytesSent, Failed, Finished, ObjectUploaded, Uploaded
from aios3sync.local.open_file import OpenFile
from aios3sync.local.read import ATTEMPTS
from aios3sync.local.tree import LocalTree
from aios3sync.sync.transfers import multipart
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import throttled, unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import MIB, Bench, Crash

pytestmark = pytest.mark.usefixtures("settle")


async def test_C4_a_failed_upload_is_counted_reported_and_does_not_stop_the_rest(bench: Bench) -> None:
    """P9: every planned item ends in exactly one counted state, and the exit code tells."""
    bench.tree({f"f{n}": str(n) for n in range(20)})
    bench.faults.on("put", key="p/f7", times=-1, error=unavailable())
    report = await bench.sync()
    assert (report.uploaded, report.failed, report.exit_code) == (19, 1, 3)
    assert [error.key for error in report.errors] == ["f7"]
    assert any(isinstance(event, Failed) for event in bench.events)
    assert isinstance(bench.events[-1], Finished)


async def test_what_failed_is_looked_for_by_the_next_run(bench: Bench) -> None:
    """A failed upload may have landed: the next run lists instead of trusting the manifest."""
    bench.tree({"a": "1", "b": "2"})
    bench.faults.on("put", key="p/b", times=3, late=unavailable())
    assert (await bench.sync()).failed == 1
    report = await bench.sync()
    assert (report.checked, report.kept, report.adopted, report.uploaded) == ("list", 1, 1, 0)
    assert (await bench.sync()).requests == {}


async def test_passing_failures_are_retried(bench: Bench) -> None:
    bench.tree({"a": "1"})
    bench.faults.on("put", times=1, error=throttled())
    bench.faults.on("list_page", times=1, error=unavailable())
    report = await bench.sync()
    assert (report.uploaded, report.retries, report.exit_code) == (1, 2, 0)


async def test_a_bucket_that_is_gone_ends_the_run_at_once(bench: Bench) -> None:
    bench.tree({f"f{n}": "x" for n in range(50)})
    await bench.sync()
    bench.tree({f"f{n}": "changed" for n in range(50)})
    bench.memory.exists = False
    with pytest.raises(BucketNotFoundError):
        await bench.sync()


async def test_an_endpoint_that_goes_away_ends_the_run_instead_of_failing_every_file(bench: Bench) -> None:
    bench.tree({f"f{n:03}": "x" for n in range(500)})
    bench.faults.on("put", skip=20, times=-1, error=UnavailableError("no connection"))
    with pytest.raises(UnavailableError):
        await bench.sync()
    assert bench.faults.calls["put"] < 300
    bench.faults.inner = bench.memory


def writing_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
    """Let the file grow between the stat before and the stat after its reading."""
    from aios3sync.local import read as reading

    real, left = reading._read_all, [times]

    def grow(descriptor: int, size: int) -> bytes:
        body = real(descriptor, size)
        if left[0] and os.readlink(f"/proc/self/fd/{descriptor}").endswith(name):
            left[0] -= 1
            with open(bench.root / name, "ab") as file:
                file.write(b"+")
        return body

    monkeypatch.setattr(reading, "_read_all", grow)


async def test_C1_a_file_that_changes_while_it_is_read_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "1"})
    writing_behind(bench, monkeypatch, "a", times=2)
    assert (await bench.sync()).uploaded == 1
    assert bench.objects()["a"] == b"1++"


async def test_P8_a_file_that_never_holds_still_is_failed_and_not_recorded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "1", "b": "2"})
    writing_behind(bench, monkeypatch, "a", times=99)
    report = await bench.sync()
    assert (report.failed, report.uploaded) == (1, 1)
    assert "changed while it was read" in report.errors[0].error
    monkeypatch.undo()
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))


async def test_P8_a_file_that_changes_while_it_is_sent_is_not_recorded(
    bench: Bench, no_blocking: BlockBuster
) -> None:
    no_blocking.deactivate()  # the test itself writes while the loop runs
    bench.tree({"a": "1"})

    def change(result: Any) -> Any:
        (bench.root / "a").write_text("changed meanwhile")
        return result

    bench.faults.on("put", change=change)
    report = await bench.sync()
    assert (report.failed, report.uploaded, report.exit_code) == (1, 0, 3)
    assert "changed while it was sent" in report.errors[0].error
    assert (await bench.sync()).uploaded == 1
    assert bench.objects()["a"] == b"changed meanwhile"


async def test_P8_a_large_file_that_changes_while_it_is_sent_is_aborted_and_sent_anew(
    bench: Bench, no_blocking: BlockBuster
) -> None:
    no_blocking.deactivate()  # the test itself writes while the loop runs
    bench.tree({"big": os.urandom(11 * MIB)})

    def change(result: Any) -> Any:
        with open(bench.root / "big", "r+b") as file:
            file.write(b"changed")
        return result

    bench.faults.on("put_part", skip=1, change=change)
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert report.uploaded == 1
    assert bench.objects()["big"] == (bench.root / "big").read_bytes()
    assert bench.faults.calls["abort_multipart"] == 1
    assert await bench.memory.list_multiparts("") == []


@pytest.mark.parametrize(("times", "uploaded"), [(1, 1), (99, 0)])
async def test_P8_a_large_file_whose_bytes_change_without_its_stat_is_aborted_and_sent_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, times: int, uploaded: int
) -> None:
    """Its parts are hashed before they are sent, and the endpoint checks what it receives."""
    bench.tree({"big": os.urandom(11 * MIB)})
    real, left = OpenFile.read_into, [times]

    def read_into(file: OpenFile, offset: int, buffer: memoryview) -> None:
        real(file, offset, buffer)
        if offset == 5 * MIB and left[0]:
            left[0] -= 1
            buffer[0] ^= 1

    monkeypatch.setattr(OpenFile, "read_into", read_into)
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert (report.uploaded, report.failed) == (uploaded, 1 - uploaded)
    assert bench.faults.calls["abort_multipart"] == min(times, ATTEMPTS)
    assert await bench.memory.list_multiparts("") == []
    if uploaded:
        assert bench.objects()["big"] == (bench.root / "big").read_bytes()
    else:
        assert "changed while it was read" in report.errors[0].error


async def test_a_part_is_hashed_when_the_file_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.tree({"big": os.urandom(11 * MIB)})
    monkeypatch.setattr(multipart, "md5_of", None)
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert report.uploaded == 1
    assert bench.memory.objects["p/big"].etag.endswith("-3")


async def test_two_large_files_are_hashed_at_once_so_that_the_first_is_sent_soon(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({f"big{n}": os.urandom(6 * MIB) for n in range(4)})
    real, now, most = LocalTree.digest, set[str](), [0]

    def digest(tree: LocalTree, key: str, *arguments: Any, **options: Any) -> Any:
        now.add(key)
        most.append(len(now))
        try:
            return real(tree, key, *arguments, **options)
        finally:
            now.discard(key)

    monkeypatch.setattr(LocalTree, "digest", digest)
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert (report.uploaded, len(most)) == (4, 5)
    assert max(most) <= 2


async def test_a_large_upload_that_fails_is_aborted(bench: Bench) -> None:
    bench.tree({"big": os.urandom(11 * MIB), "small": "1"})
    bench.faults.on("put_part", skip=1, times=-1, error=unavailable())
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert (report.failed, report.uploaded) == (1, 1)
    assert await bench.memory.list_multiparts("") == []
    sent = [event.size for event in bench.events if isinstance(event, BytesSent) and event.key == "big"]
    assert sum(sent) == 0, "progress goes back with what was aborted"


async def test_a_vanished_file_is_neither_failure_nor_upload(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aios3sync.sync.transfers import uploads

    bench.tree({"a": "1", "b": "2"})
    real = uploads._read_files

    def vanish(*given: Any) -> Any:
        (bench.root / "b").unlink(missing_ok=True)
        return real(*given)

    monkeypatch.setattr(uploads, "_read_files", vanish)
    report = await bench.sync()
    assert (report.uploaded, report.vanished, report.failed, report.exit_code) == (1, 1, 0, 0)


async def test_P10_a_run_that_dies_keeps_what_it_recorded(bench: Bench) -> None:
    """The outcomes until the crash are in the manifest; the next run sends only the rest."""
    bench.tree({f"f{n:02}": str(n) for n in range(40)})
    bench.workers = 1
    bench.faults.on("put", skip=25, error=Crash("crash"))
    with pytest.raises(Crash):
        await bench.sync()
    report = await bench.sync()
    assert (report.kept + report.adopted, report.uploaded) == (25, 15)
    assert len(bench.objects()) == 40


async def test_a_stop_ends_the_run_orderly(bench: Bench) -> None:
    bench.tree({f"f{n:03}": str(n) for n in range(300)})
    bench.workers = 4

    def stop(event: object) -> None:
        if isinstance(event, ObjectUploaded):
            bench.stop.request(15)

    bench.on_event = stop
    bench.faults.on("put", times=-1, delay=0.002)
    report = await bench.sync(delete="mirror")
    assert (report.interrupted, report.exit_code) == (15, 143)
    assert report.cancelled > 0
    assert report.uploaded == len(bench.objects())
    bench.stop.signal = 0
    bench.on_event = None
    again = await bench.sync()
    assert again.checked == "list"
    assert again.kept == report.uploaded


async def test_a_stop_does_not_wait_for_a_request_that_hangs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.execution._GRACE", 0.05)
    bench.tree({"a": "1", "big": os.urandom(6 * MIB)})
    hanging, also_hanging = anyio.Event(), anyio.Event()
    fault = bench.faults.on("put", times=-1, wait=anyio.Event(), reached=hanging)
    bench.faults.on("put_part", times=-1, wait=anyio.Event(), reached=also_hanging)
    async with anyio.create_task_group() as tasks:

        async def stop_when_hanging() -> None:
            await hanging.wait()
            await also_hanging.wait()
            bench.stop.request(2)

        tasks.start_soon(stop_when_hanging)
        with anyio.fail_after(240):
            report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert fault.times < -1
    assert (report.cancelled, report.exit_code) == (2, 130)
    assert await bench.memory.list_multiparts("") == []


async def test_cancelling_a_sync_leaves_no_thread_task_or_upload_behind(bench: Bench) -> None:
    bench.tree({**{f"f{n}": "x" for n in range(50)}, "big": os.urandom(6 * MIB)})
    hanging = anyio.Event()
    bench.faults.on("put_part", times=-1, wait=anyio.Event(), reached=hanging)
    before = threading.active_count()
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)

        tasks.start_soon(run)
        await hanging.wait()
        tasks.cancel_scope.cancel()
    assert await bench.memory.list_multiparts("") == []
    assert threading.active_count() <= before + 20
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB, dry_run=True)
    assert report.uploaded + report.kept + report.adopted == 51


async def test_two_runs_of_the_same_pair_do_not_meet(bench: Bench) -> None:
    bench.tree({"a": "1"})
    hanging, go = anyio.Event(), anyio.Event()
    bench.faults.on("put", wait=go, reached=hanging)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.sync)
        await hanging.wait()
        with pytest.raises(LockedError, match="another run"):
            await bench.sync()
        go.set()
    assert (await bench.sync()).kept == 1


async def test_outcome_sinks_get_every_outcome_in_order_after_it_is_recorded(bench: Bench) -> None:
    class Sink:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        async def outcomes(self, batch: Any) -> None:
            self.seen += batch

    sink = Sink()
    bench.outcome_sinks = (sink,)
    bench.tree({f"f{n}": "x" for n in range(300)})
    await bench.sync()
    assert {outcome.row.key for outcome in sink.seen if isinstance(outcome, Uploaded)} == {
        f"f{n}" for n in range(300)
    }


async def test_memory_in_flight_stays_within_the_budget(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.sync import conftest

    class Watched(ByteSemaphore):
        peak = 0

        async def acquire(self, size: int) -> None:
            await super().acquire(size)
            Watched.peak = max(Watched.peak, self.in_use)

    monkeypatch.setattr(conftest, "ByteSemaphore", Watched)
    monkeypatch.setattr(conftest, "MIB", 32 * 1024)
    bench.tree({f"f{n:02}": os.urandom(200_000) for n in range(60)})
    assert (await bench.sync()).uploaded == 60
    assert 0 < Watched.peak <= 64 * 32 * 1024


async def test_an_unwritable_place_for_the_manifest_is_worked_around_with_a_warning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    bench.tree({"a": "1"})
    report = await bench.sync()
    assert report.uploaded == 1
    assert any("without a manifest" in text for text in report.warnings)


async def test_very_many_failures_go_to_a_file(bench: Bench, isolated: Path) -> None:
    bench.tree({f"f{n:04}": "x" for n in range(1200)})
    bench.faults.on("put", times=-1, error=unavailable())
    report = await bench.sync()
    assert (report.failed, len(report.errors)) == (1200, 1000)
    assert report.errors_file is not None
    assert len(Path(report.errors_file).read_text().splitlines()) == 1200


def test_stop_may_be_asked_for_before_the_run(bench: Bench) -> None:
    seen: list[Callable[..., object]] = []

    async def main() -> None:
        bench.stop.request(2)
        bench.tree({"a": "1"})
        report = await bench.sync()
        assert report.exit_code == 130
        seen.append(bench.sync)

    anyio.run(main)
    assert seen


async def test_a_file_that_is_no_manifest_gets_no_lock_file(bench: Bench) -> None:
    bench.tree({"a": "1", "photo.jpg": b"\xff\xd8"})
    with pytest.raises(ManifestError, match="is not a manifest"):
        await bench.sync(manifest=str(bench.root / "photo.jpg"))
    assert {entry.name for entry in os.scandir(bench.root)} == {"a", "photo.jpg"}


async def test_every_part_has_its_md5_also_where_etags_are_known_to_prove_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []
    put_part = bench.memory.put_part

    async def seen(*arguments: Any, md5: bytes) -> Any:
        given.append(md5)
        return await put_part(*arguments, md5=md5)

    monkeypatch.setattr(bench.memory, "put_part", seen)
    bench.tree({"big": os.urandom(6 * MIB)})
    await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert [len(md5) for md5 in given] == [16, 16]
    opaque = replace(bench.memory.capabilities, opaque_etags=True)
    monkeypatch.setattr(MemoryStore, "capabilities", property(lambda store: opaque))
    await bench.sync("s3://bucket/q", multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert sorted(given[2:]) == sorted(given[:2]), "Object Lock demands it, and other endpoints check it"


@pytest.mark.parametrize("full", [True, False], ids=["full", "unusable"])
async def test_a_large_file_that_has_no_space_for_its_compressed_copy_fails_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    def no_directory(**_: object) -> Any:
        if full:
            return open("/dev/full", "w+b")
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryFile", no_directory)
    bench.tree({"large.txt": os.urandom(300_000), "small.txt": "1"})
    report = await bench.sync(gzip=("txt",), multipart_threshold=200_000)
    assert (report.uploaded, report.failed, report.vanished) == (1, 1, 0)
    assert "TMPDIR" in report.errors[0].error
