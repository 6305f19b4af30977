"""Renamed files: their objects are copied on the server, nothing is sent, and nothing is lost."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aios3sync.core.actions import Reason, Upload
from aios3sync.core.entries import RecordedEntry, SourceEntry
from aios3sync.errors import PreconditionFailedError, StoreError, UsageError
from aios3sync.options import SyncOptions
from aios3sync.sync import renames as renames_module
from aios3sync.sync.renames import Renames
from aios3sync.sync.upload_options import check_upload_options
from tests.sync.conftest import Bench, body_tree

pytestmark = pytest.mark.usefixtures("settle")
TRACKED: dict[str, Any] = {"delete": "tracked", "track_renames": True}


async def test_a_renamed_folder_sends_nothing(bench: Bench) -> None:
    bench.tree({f"old/{number:04}": f"content {number}" for number in range(1000)})
    await bench.sync()
    (bench.root / "old").rename(bench.root / "new")
    report = await bench.sync(**TRACKED)
    assert (report.copied, report.uploaded, report.uploaded_bytes, report.deleted) == (1000, 0, 0, 1000)
    assert "PutObject" not in report.requests
    assert bench.objects() == body_tree(bench.root)
    again = await bench.sync(**TRACKED)
    assert (again.kept, again.requests) == (1000, {})


async def test_renames_do_not_count_against_the_limits_and_other_deletes_do(bench: Bench) -> None:
    bench.tree({"old/a": "11", "old/b": "22", "c": "333", "d": "4444"})
    await bench.sync()
    (bench.root / "old").rename(bench.root / "new")
    (bench.root / "c").unlink()
    report = await bench.sync(max_delete=0, **TRACKED)
    assert (report.copied, report.deleted, report.withheld) == (2, 0, 3)
    assert report.refused is not None
    assert "1 delete is planned, --max-delete allows 0" in report.refused["message"]
    bench.tree({"c": "333"})
    assert (await bench.sync(max_delete=0, **TRACKED)).refused is not None, "they are old names by now"


async def test_a_new_name_before_the_old_one_is_found_too(bench: Bench) -> None:
    bench.tree({"z": "the content"})
    await bench.sync()
    (bench.root / "z").rename(bench.root / "a")
    report = await bench.sync(**TRACKED)
    assert (report.copied, report.deleted, report.uploaded) == (1, 1, 0)
    assert bench.objects() == {"a": b"the content"}


async def test_other_content_of_the_same_size_is_uploaded(bench: Bench) -> None:
    bench.tree({"old": "12345"})
    await bench.sync()
    (bench.root / "old").unlink()
    bench.tree({"new": "54321", "more": "1234567"})
    report = await bench.sync(**TRACKED)
    assert (report.copied, report.uploaded, report.deleted) == (0, 2, 1)
    assert bench.objects() == {"new": b"54321", "more": b"1234567"}


async def test_several_new_files_may_be_one_that_is_gone(bench: Bench) -> None:
    bench.tree({"old": "12345"})
    await bench.sync()
    (bench.root / "old").unlink()
    bench.tree({"one": "12345", "two": "12345"})
    report = await bench.sync(**TRACKED)
    assert (report.copied, report.deleted) == (2, 1)
    assert bench.objects() == {"one": b"12345", "two": b"12345"}


async def test_the_headers_of_the_new_name_are_those_of_an_upload(bench: Bench) -> None:
    bench.tree({"page.txt": "<p>text</p>", "same.html": "<p>html</p>"})
    await bench.sync()
    (bench.root / "page.txt").rename(bench.root / "page.html")
    (bench.root / "same.html").rename(bench.root / "other.html")
    report = await bench.sync(**TRACKED)
    assert report.copied == 2
    for key in ("page.html", "other.html"):
        head = await bench.memory.head(f"p/{key}")
        assert head.content_type.startswith("text/html")
        assert head.metadata["mtime"]


async def test_a_new_mtime_is_that_of_the_object(bench: Bench) -> None:
    bench.tree({"old": "12345"})
    await bench.sync()
    (bench.root / "old").rename(bench.root / "new")
    os.utime(bench.root / "new", ns=(5 * 10**9, 5 * 10**9))
    assert (await bench.sync(**TRACKED)).copied == 1
    assert float((await bench.memory.head("p/new")).metadata["mtime"]) == 5


@pytest.mark.parametrize(
    "error",
    [
        PreconditionFailedError("replaced", operation="CopyObject"),
        StoreError("not here", operation="CopyObject", code="NotImplemented", status=501),
    ],
)
async def test_what_cannot_be_copied_is_uploaded(bench: Bench, error: StoreError) -> None:
    bench.tree({"old": "12345"})
    await bench.sync()
    (bench.root / "old").rename(bench.root / "new")
    bench.faults.on("copy", error=error, times=-1)
    report = await bench.sync(**TRACKED)
    assert (report.copied, report.uploaded, report.deleted, report.exit_code) == (0, 1, 1, 0)
    assert bench.objects() == {"new": b"12345"}


async def test_an_object_that_was_replaced_is_not_copied(bench: Bench) -> None:
    bench.tree({"old": "12345"})
    await bench.sync()
    (bench.root / "old").rename(bench.root / "new")
    await bench.store({"old": b"other"})
    report = await bench.sync(**TRACKED)
    assert (report.copied, report.uploaded, report.conflicts) == (0, 1, 1)
    assert bench.objects() == {"new": b"12345", "old": b"other"}


async def test_compressed_files_are_renamed_too(bench: Bench) -> None:
    bench.tree({"old.csv": "1,2,3\n" * 100})
    await bench.sync(gzip=("csv",))
    (bench.root / "old.csv").rename(bench.root / "new.csv")
    report = await bench.sync(gzip=("csv",), **TRACKED)
    assert (report.copied, report.uploaded) == (1, 0)
    again = await bench.sync(gzip=("csv",), check="list")
    assert (again.kept, again.uploaded) == (1, 0)


async def test_a_dry_run_copies_nothing(bench: Bench) -> None:
    bench.tree({"old": "12345"})
    await bench.sync()
    (bench.root / "old").rename(bench.root / "new")
    report = await bench.sync(dry_run=True, **TRACKED)
    assert (report.uploaded, report.deleted) == (1, 1)
    assert bench.objects() == {"old": b"12345"}


async def test_a_file_that_cannot_be_read_fails_alone_and_keeps_its_old_object(bench: Bench) -> None:
    bench.tree({"old": "12345", "b": "22"})
    await bench.sync()
    (bench.root / "old").rename(bench.root / "new")
    bench.faults.on("copy", error=StoreError("no", operation="CopyObject"), times=-1)
    bench.faults.on("put", key="p/new", error=StoreError("no", operation="PutObject"), times=-1)
    report = await bench.sync(**TRACKED)
    assert (report.failed, report.withheld) == (1, 1)
    assert bench.objects() == {"old": b"12345", "b": b"22"}


def test_it_goes_with_a_delete() -> None:
    with pytest.raises(UsageError, match="track_renames: say with delete"):
        check_upload_options(SyncOptions(track_renames=True))


def test_both_sides_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renames_module, "_MOST_HELD", 2)
    monkeypatch.setattr(renames_module, "_MOST_ROWS", 1)
    renames = Renames()
    uploads = [Upload(SourceEntry(name, 1, 2, 3, 4), Reason.NEW) for name in "abc"]
    assert renames.hold(uploads) == uploads[2:]
    for name in "xy":
        renames.gone(RecordedEntry(name, 1, 2, 3, 4, f"md5 of {name}", "etag"))
    assert renames.find(1, "md5 of x") is not None
    assert renames.find(1, "md5 of y") is None
    assert renames.release() == uploads[:2]
    assert renames.release() == []
