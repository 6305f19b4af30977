"""Which files upload processes send, and that these are recorded like the files that this process sends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.events import ObjectUploaded
from aios3sync.local.read import path_of
from aios3sync.processes.protocol import MAX_JOB_BYTES, OnStored, UploadJob, UploadResult
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.testing.faulty import unavailable
from tests.sync.conftest import Bench

pytestmark = pytest.mark.usefixtures("settle", "at_once")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload processes are worth it from the first file on."""
    monkeypatch.setattr("aios3sync.sync.transfers.offload._FILES_BEFORE", 0)


@dataclass
class FakeOffloader:
    """Puts into the store of the bench.

    Attributes:
        refuse: whether the job of a key is returned.
        encryption: of every result.
    """

    bench: Bench
    refuse: Callable[[str], bool] = lambda key: False
    encryption: str = ""
    templates: list[PutOptions] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    cancelled: int = 0
    closed: int = 0

    def header_template(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        assert mtime_name in options.metadata
        assert (md5_name == "md5chksum") == ("md5chksum" in options.metadata)
        assert utf8 == options.content_type.endswith("; charset=utf-8")
        self.templates.append(options)
        return len(self.templates) - 1

    async def upload(self, jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        returned = []
        for position, job in enumerate(jobs):
            if self.refuse(job.key):
                returned.append(position)
                continue
            body = await anyio.Path(path_of(job.place)).read_bytes()
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            result = await self.bench.memory.put(job.key, body, self.templates[job.template], md5=digest)
            self.stored.append(job.key)
            on_stored(position, UploadResult(digest, 10**19, PutResult(result.etag, self.encryption)))
        return returned

    def cancel_pending(self) -> None:
        self.cancelled += 1

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def offloader(bench: Bench) -> FakeOffloader:
    """The offloader that the bench opens."""
    offloader = FakeOffloader(bench)

    async def open_offloader() -> FakeOffloader:
        return offloader

    bench.open_offloader = open_offloader
    return offloader


async def test_offloaded_files_are_recorded_like_the_rest(bench: Bench, offloader: FakeOffloader) -> None:
    bench.tree({f"d/f{n:03}.txt": f"body {n}" for n in range(300)})
    offloader.refuse = lambda key: key.endswith("7.txt")
    recorded: list[Any] = []

    class Sink:
        async def outcomes(self, batch: Sequence[Any]) -> None:
            recorded.extend(batch)

    bench.outcome_sinks = (Sink(),)
    report = await bench.sync()
    assert (report.uploaded, report.failed, offloader.closed) == (300, 0, 1)
    assert len(offloader.stored) == 270
    assert report.uploaded_bytes == sum(len(f"body {n}") for n in range(300))
    assert {outcome.row.key: (outcome.row.md5, outcome.content_type) for outcome in recorded} == {
        f"d/f{n:03}.txt": (hashlib.md5(f"body {n}".encode()).hexdigest(), "text/plain; charset=utf-8")  # noqa: S324
        for n in range(300)
    }
    again = await bench.sync()
    assert (again.kept, again.uploaded, again.requests) == (300, 0, {})


async def test_files_that_need_more_are_sent_in_this_process(bench: Bench, offloader: FakeOffloader) -> None:
    bench.tree({"plain.bin": "x", "page.html": "<p>", "large.bin": b"x" * (MAX_JOB_BYTES + 1), "b.txt": "y"})
    assert (await bench.sync(gzip=("html",))).uploaded == 4
    assert sorted(offloader.stored) == ["p/b.txt", "p/plain.bin"]
    assert [options.content_type for options in offloader.templates] == [
        "text/plain; charset=utf-8",
        "application/octet-stream",
    ]


async def test_headers_of_offloaded_files_are_recorded_and_differ_by_pattern(
    bench: Bench, offloader: FakeOffloader
) -> None:
    bench.tree({"a.txt": "1", "b.txt": "2", "c.html": "3"})
    rules = ("b*:cache-control=no-cache",)
    assert (await bench.sync(header_for=rules)).uploaded == 3
    assert sorted(offloader.stored) == ["p/a.txt", "p/b.txt", "p/c.html"]
    sent = {key: stored.options.cache_control for key, stored in bench.memory.objects.items()}
    assert sent == {"p/a.txt": "", "p/b.txt": "no-cache", "p/c.html": ""}
    assert (await bench.sync(header_for=rules)).requests == {}
    assert (await bench.sync()).updated == 1


async def test_no_file_is_offloaded_where_etags_prove_nothing(bench: Bench, offloader: FakeOffloader) -> None:
    """Such objects have their MD5 in the request head, which has to be known before."""
    bench.tree({"a": "1"})
    assert (await bench.sync(sse="aws:kms")).uploaded == 1
    assert offloader.stored == []


async def test_encryption_in_a_response_has_later_templates_with_the_md5(
    bench: Bench, offloader: FakeOffloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.uploads._CHUNK_FILES", 10)
    monkeypatch.setattr("aios3sync.sync.transfers.uploads._READERS", 1)
    offloader.encryption = "aws:kms"
    bench.tree({f"f{n:02}": str(n) for n in range(40)})
    assert (await bench.sync()).uploaded == 40
    assert len(offloader.stored) == 40
    assert ["md5chksum" in options.metadata for options in offloader.templates] == [False, True]


async def test_before_the_first_response_the_template_has_the_md5(
    bench: Bench, offloader: FakeOffloader
) -> None:
    bench.profile = EndpointProfile("http://memory")
    bench.tree({"a": "1"})
    assert (await bench.sync()).uploaded == 1
    assert offloader.stored == ["p/a"]
    assert ["md5chksum" in options.metadata for options in offloader.templates] == [True]


async def test_inspected_images_are_sent_in_this_process(bench: Bench, offloader: FakeOffloader) -> None:
    bench.inspect = lambda key, body: (1, 2)
    bench.tree({"a.png": "1"})
    assert (await bench.sync()).uploaded == 1
    assert offloader.stored == []


async def test_files_that_are_not_inspected_are_offloaded_next_to_images(
    bench: Bench, offloader: FakeOffloader
) -> None:
    """A sync that feeds an index reads the size of images; that must not slow down all other files."""
    bench.inspect = lambda key, body: (1, 2)
    bench.inspected = lambda key: key.endswith(".png")
    bench.tree({"a.png": "1", "b.txt": "2"})
    assert (await bench.sync()).uploaded == 2
    assert [key.rpartition("/")[2] for key in offloader.stored] == ["b.txt"]


async def test_a_few_files_are_not_worth_a_process(
    bench: Bench, offloader: FakeOffloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.offload._FILES_BEFORE", 20)
    bench.tree({f"f{n:02}": str(n) for n in range(20)})
    assert (await bench.sync()).uploaded == 20
    assert offloader.stored == []


async def test_P8_a_file_that_changes_while_it_is_sent_is_not_recorded(
    bench: Bench, offloader: FakeOffloader, tmp_path: Path
) -> None:
    bench.tree({"a": "1", "b": "2"})
    real = offloader.upload

    async def slow(jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        returned = await real(jobs, on_stored)
        await anyio.Path(bench.root / "a").write_text("changed meanwhile")
        return returned

    offloader.upload = slow  # type: ignore[method-assign]
    report = await bench.sync()
    assert (report.failed, report.uploaded) == (1, 1)
    assert "changed while it was sent" in report.errors[0].error


async def test_a_stop_cancels_jobs_that_have_not_begun(bench: Bench, offloader: FakeOffloader) -> None:
    bench.tree({f"f{n}": str(n) for n in range(5)})
    asked = anyio.Event()

    async def stuck(jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        bench.stop.request()
        await asked.wait()
        return [*range(len(jobs))]

    def cancel_pending() -> None:
        asked.set()

    offloader.upload, offloader.cancel_pending = stuck, cancel_pending  # type: ignore[method-assign]
    report = await bench.sync()
    assert (report.uploaded, report.cancelled, report.exit_code) == (0, 5, 130)


@pytest.mark.parametrize("error", [RuntimeError("broken"), BrokenPipeError(), unavailable()], ids=repr)
async def test_an_error_of_the_offloader_fails_no_file_and_each_file_ends_once(
    bench: Bench, offloader: FakeOffloader, error: Exception
) -> None:
    """The file that was stored before is not sent again, and a late result does not count."""
    bench.tree({f"f{n}": "x" * 1000 for n in range(5)})
    real = offloader.upload
    late: list[Any] = []

    async def broken(jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        await real(jobs[:1], on_stored)
        late.append((on_stored, UploadResult(b"x" * 16, 0, PutResult("x"))))
        raise error

    def on_event(event: object) -> None:
        while isinstance(event, ObjectUploaded) and late:
            on_stored, result = late.pop()
            on_stored(3, result)

    offloader.upload, bench.on_event = broken, on_event  # type: ignore[method-assign]
    report = await bench.sync()
    assert (report.uploaded, report.failed, offloader.closed, bench.faults.calls["put"]) == (5, 0, 1, 4)
    assert not late


async def test_without_an_offloader_all_files_are_sent_in_this_process(bench: Bench) -> None:
    bench.tree({f"f{n}": str(n) for n in range(5)})

    async def broken() -> FakeOffloader:
        raise OSError("no more processes")

    bench.open_offloader = broken
    assert (await bench.sync()).uploaded == 5


async def test_a_file_whose_template_fails_is_sent_all_the_same(
    bench: Bench, offloader: FakeOffloader
) -> None:
    bench.tree({f"f{n}": str(n) for n in range(5)})

    def broken(options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False) -> int | None:
        raise ValueError("unexpected")

    offloader.header_template = broken  # type: ignore[method-assign]
    assert (await bench.sync()).uploaded == 5
