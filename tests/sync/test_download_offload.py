"""Which objects download processes fetch; they are recorded like those that this process fetches."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anyio import Event, to_thread

from aios3sync.core.actions import Download, Reason
from aios3sync.core.entries import SourceEntry
from aios3sync.core.metadata import META_MD5
from aios3sync.events import BytesReceived, Downloaded, NotDone
from aios3sync.local.write import NewFile, TreeWriter
from aios3sync.processes.protocol import (
    MAX_JOB_BYTES,
    DownloadJob,
    DownloadResult,
    DownloadTree,
    OnWritten,
)
from aios3sync.store.endpoint_profile import EndpointProfile
from tests.sync.downloading import DownloadBench, written


@dataclass
class FakeDownloader:
    """Writes what the store of the bench has.

    Attributes:
        refuse: whether the job of a key is returned.
        silent: whether the file of a key is written, and its job returned, as by a process that is killed.
        waiting: set where jobs wait until they are cancelled.
    """

    bench: DownloadBench
    refuse: Callable[[str], bool] = lambda key: False
    silent: Callable[[str], bool] = lambda key: False
    error: Exception | None = None
    waits: bool = False
    done: list[str] = field(default_factory=list)
    closed: int = 0
    tree: DownloadTree | None = None

    def __post_init__(self) -> None:
        self.cancelled = Event()

    async def open(self, tree: DownloadTree) -> FakeDownloader:
        self.tree = tree
        return self

    async def download(self, jobs: Sequence[DownloadJob], on_written: OnWritten) -> list[int]:
        if self.error is not None:
            raise self.error
        if self.waits:
            self.bench.stop.request()
            await self.cancelled.wait()
            return [*range(len(jobs))]
        returned = []
        for position, job in enumerate(jobs):
            file = None if self.refuse(job.key) else await to_thread.run_sync(self._write, job)
            if file is None or self.silent(job.key):
                returned.append(position)
                continue
            self.done.append(job.key)
            on_written(position, DownloadResult(file, 10**19, "AES256"))
        return returned

    def _write(self, job: DownloadJob) -> SourceEntry | None:
        writer = TreeWriter(str(self.bench.root), fsync=False)
        writer.open()
        try:
            body = self.bench.memory.objects[job.full_key].body
            replaces = None if job.replaces is None else SourceEntry(job.key, *job.replaces)
            (result,) = writer.write_many([NewFile(job.key, body, 10**18, replaces)])
        finally:
            writer.close()
        return None if isinstance(result, Exception) else result

    def cancel_pending(self) -> None:
        self.cancelled.set()

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def bench(tmp_path: Path) -> DownloadBench:
    root = tmp_path / "target"
    root.mkdir()
    return DownloadBench(root)


@pytest.fixture
def downloader(bench: DownloadBench, monkeypatch: pytest.MonkeyPatch) -> FakeDownloader:
    """The downloader that the bench opens, worth it from the first object on."""
    monkeypatch.setattr("aios3sync.sync.transfers.download_offload._OBJECTS_BEFORE", 0)
    fake = FakeDownloader(bench)
    bench.open_downloader = fake.open
    return fake


async def test_offloaded_objects_are_recorded_like_the_rest(
    bench: DownloadBench, downloader: FakeDownloader
) -> None:
    bodies = {f"d/f{n:03}": f"body {n}".encode() for n in range(600)}
    entries = [await bench.put(key, body) for key, body in bodies.items()]
    downloader.refuse = lambda key: key.endswith("7")
    outcomes = await bench.fetch(*entries)
    assert written(outcomes) == sorted(bodies)
    assert bench.files() == bodies
    assert (len(downloader.done), downloader.closed) == (540, 1)
    rows = {outcome.row.key: outcome.row for outcome in outcomes if isinstance(outcome, Downloaded)}
    for entry in entries:
        row, seen = rows[entry.key], bench.seen(entry.key)
        assert (row.md5, row.etag, row.size) == (entry.etag, entry.etag, entry.size)
        assert (row.mtime_ns, row.ctime_ns, row.inode) == (seen.mtime_ns, seen.ctime_ns, seen.inode)
    received = {event.key for event in bench.events if isinstance(event, BytesReceived)}
    assert received == set(bodies)
    stat = bench.root.stat()
    assert downloader.tree == (str(bench.root), stat.st_dev, stat.st_ino, False)


async def test_objects_that_need_more_are_fetched_in_this_process(
    bench: DownloadBench, downloader: FakeDownloader
) -> None:
    (bench.root / "compared").write_bytes(b"old")
    plain = await bench.put("plain", b"1")
    parts = await bench.put("parts", b"12345678", part_size=4)
    large = await bench.put("large", bytes(MAX_JOB_BYTES + 1))
    version = (await bench.put("version", b"3"))._replace(etag="")
    compared = await bench.put("compared", b"new")
    digest = "0" * 32
    outcomes = await bench.fetch(
        plain, parts, large, version, Download(compared, Reason.CONTENT, bench.seen("compared"), digest, True)
    )
    assert written(outcomes) == ["compared", "large", "parts", "plain", "version"]
    assert downloader.done == ["plain"]


async def test_where_etags_prove_nothing_no_object_is_offloaded(
    bench: DownloadBench, downloader: FakeDownloader
) -> None:
    entry = await bench.put("a", b"1", metadata={META_MD5: "xMpCOKC5I4INzFCab3WEmw=="})
    bench.profile = EndpointProfile(etags="opaque")
    assert written(await bench.fetch(entry)) == ["a"]
    assert downloader.done == []


async def test_a_file_that_a_lost_process_wrote_is_no_conflict(
    bench: DownloadBench, downloader: FakeDownloader
) -> None:
    entries = [await bench.put(key, key.encode()) for key in "abc"]
    downloader.silent = lambda key: key == "b"
    assert written(await bench.fetch(*entries)) == ["a", "b", "c"]
    assert bench.faults.calls == {}, "b was not read again"


async def test_a_file_of_others_in_the_way_stays_a_conflict(
    bench: DownloadBench, downloader: FakeDownloader
) -> None:
    entry = await bench.put("a", b"new")
    (bench.root / "a").write_bytes(b"our")
    (outcome,) = await bench.fetch(entry)
    assert not isinstance(outcome, Downloaded)
    assert bench.files() == {"a": b"our"}


async def test_a_downloader_that_fails_leaves_all_to_this_process(
    bench: DownloadBench, downloader: FakeDownloader
) -> None:
    entries = [await bench.put(key, key.encode()) for key in "abc"]
    downloader.error = RuntimeError("no")
    assert written(await bench.fetch(*entries)) == ["a", "b", "c"]


async def test_a_full_disk_ends_all_downloads(bench: DownloadBench, downloader: FakeDownloader) -> None:
    entries = [await bench.put(key, key.encode()) for key in "abc"]
    downloader.error = OSError(errno.ENOSPC, "No space left on device", "b")
    outcomes = await bench.fetch(*entries)
    assert sorted(outcome.key for outcome in outcomes if isinstance(outcome, NotDone)) == ["a", "b", "c"]
    assert bench.run is not None
    assert "the disk is full: 'b'" in bench.run.builder.aborted
    assert bench.faults.calls == {}, "nothing more was asked for"


async def test_a_stop_has_the_jobs_returned(bench: DownloadBench, downloader: FakeDownloader) -> None:
    entries = [await bench.put(key, key.encode()) for key in "abc"]
    downloader.waits = True
    outcomes = await bench.fetch(*entries)
    assert written(outcomes) == []
    assert bench.files() == {}


async def test_few_objects_are_not_worth_a_process(
    bench: DownloadBench, downloader: FakeDownloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.download_offload._OBJECTS_BEFORE", 3)
    entries = [await bench.put(key, key.encode()) for key in "abc"]
    assert written(await bench.fetch(*entries)) == ["a", "b", "c"]
    assert downloader.tree is None
