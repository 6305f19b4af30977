"""The transfer stage of a download with small objects: content, times, faults, conflicts, full disks."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from aios3sync.core.actions import Download, Reason
from aios3sync.core.entries import TargetEntry
from aios3sync.errors import AccessDeniedError, PreconditionFailedError
from aios3sync.events import Adopted, Archived, BytesReceived, Downloaded, NotDone
from aios3sync.local.compress import compress
from aios3sync.testing.faulty import unavailable
from tests.sync.downloading import MIB, DownloadBench, written


@pytest.fixture
def bench(tmp_path: Path) -> DownloadBench:
    return DownloadBench(tmp_path / "tree")


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()  # noqa: S324


def only(outcomes: list[Any]) -> Any:
    (outcome,) = outcomes
    return outcome


async def test_objects_become_files_with_their_times(bench: DownloadBench) -> None:
    bodies = {f"d{n % 7}/f{n:04}": os.urandom(n % 50) for n in range(1500)}
    bodies["odd é\n\x7f%2e name"] = b"x"
    entries = [await bench.put(key, body, metadata={"mtime": "1600000000.5"}) for key, body in bodies.items()]
    outcomes = await bench.fetch(*entries)
    assert bench.files() == bodies
    assert written(outcomes) == sorted(bodies)
    for outcome in outcomes:
        assert isinstance(outcome, Downloaded)
        row, body = outcome.row, bodies[outcome.row.key]
        assert row[:5] == bench.seen(row.key)
        assert (row.md5, row.etag, row.encoding, row.run) == (md5(body), md5(body), "", 1)
        assert row.settled
        assert (row.mtime_ns, outcome.received, outcome.reason) == (
            1_600_000_000_500_000_000,
            len(body),
            "new",
        )
    assert sum(event.size for event in bench.events if isinstance(event, BytesReceived)) == sum(
        map(len, bodies.values())
    )


async def test_without_a_time_in_the_metadata_last_modified_counts(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"1")
    outcome = only(await bench.fetch(entry))
    assert outcome.row.mtime_ns == int(bench.memory.objects["p/a"].last_modified) * 10**9


async def test_a_file_that_looks_new_is_not_settled(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"1", metadata={"mtime": f"{time.time() + 60:.3f}"})
    assert not only(await bench.fetch(entry)).row.settled


async def test_each_object_is_read_once_in_the_listed_version(bench: DownloadBench) -> None:
    await bench.fetch(*[await bench.put(f"f{n}", b"x") for n in range(20)])
    assert bench.faults.calls == {"get": 20}


async def test_an_empty_file_and_an_endpoint_without_etags(bench: DownloadBench) -> None:
    entries = [await bench.put("empty", b""), (await bench.put("plain", b"1"))._replace(etag="")]
    assert written(await bench.fetch(*entries)) == ["empty", "plain"]
    assert bench.files() == {"empty": b"", "plain": b"1"}


# Bytes that are wrong


@pytest.mark.parametrize("body", [b"other!", b"con", b"content and more", b""])
async def test_wrong_bytes_are_read_again(bench: DownloadBench, body: bytes) -> None:
    entry = await bench.put("a", b"content")
    bench.faults.on("get", times=2, change=lambda result: result._replace(body=body))
    assert written(await bench.fetch(entry)) == ["a"]
    assert bench.files() == {"a": b"content"}
    assert bench.faults.calls["get"] == 3


@pytest.mark.parametrize("body", [b"CONTENT", b"con", b"content and more"])
async def test_bytes_that_stay_wrong_fail_and_leave_nothing(bench: DownloadBench, body: bytes) -> None:
    entries = [await bench.put("a", b"content"), await bench.put("b", b"fine")]
    bench.faults.on("get", key="p/a", times=-1, change=lambda result: result._replace(body=body))
    outcomes = await bench.fetch(*entries)
    failure = next(outcome for outcome in outcomes if isinstance(outcome, NotDone))
    assert (failure.key, failure.state, failure.stage) == ("a", "failed", "download")
    assert failure.error.startswith("these are not the bytes of the object, after 3 attempts: ")
    assert bench.files() == {"b": b"fine"}
    assert bench.faults.keys.count(("get", "p/a")) == 3


async def test_a_failure_that_passes_is_retried(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"content")
    bench.faults.on("get", times=2, error=unavailable())
    assert written(await bench.fetch(entry)) == ["a"]


async def test_an_object_that_cannot_be_read_fails_alone(bench: DownloadBench) -> None:
    entries = [await bench.put("a", b"1"), await bench.put("b", b"2")]
    bench.faults.on("get", key="p/a", times=-1, error=unavailable())
    outcomes = await bench.fetch(*entries)
    assert written(outcomes) == ["b"]
    assert {outcome.state for outcome in outcomes if isinstance(outcome, NotDone)} == {"failed"}


# Objects that change


async def test_an_object_that_changed_since_the_listing_is_read_as_it_is_now(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"old")
    await bench.put("a", b"newer content")
    outcome = only(await bench.fetch(entry))
    assert bench.files() == {"a": b"newer content"}
    assert (outcome.row.etag, outcome.row.size) == (md5(b"newer content"), 13)


async def test_an_object_that_grew_large_since_the_listing(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"old")
    large = os.urandom(9 * MIB)
    await bench.put("a", large)
    assert only(await bench.fetch(entry)).row.etag == md5(large)
    assert bench.files() == {"a": large}


async def test_an_object_that_changes_whenever_it_is_read_fails(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"old")
    bench.faults.on(
        "get", times=-1, error=PreconditionFailedError("no", code="PreconditionFailed", status=412)
    )
    outcome = only(await bench.fetch(entry))
    assert (outcome.state, outcome.error) == ("failed", "changed while it was read")
    assert bench.files() == {}
    assert bench.faults.calls == {"get": 3, "head": 2}


async def test_an_endpoint_that_ignores_conditions_is_noticed(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"old")
    await bench.put("a", b"new")

    def as_asked(result: Any) -> Any:
        return result._replace(body=b"new", head=result.head._replace(etag=md5(b"new")))

    bench.faults.on("get", change=as_asked, times=-1)
    stale = entry._replace(etag=md5(b"new")[::-1])
    bench.memory._stored = lambda *_, **__: bench.memory.objects["p/a"]  # type: ignore[method-assign]
    assert only(await bench.fetch(stale)).row.md5 == md5(b"new")


async def test_an_object_that_is_gone_has_vanished(bench: DownloadBench) -> None:
    outcome = only(await bench.fetch(TargetEntry("a", 3, md5(b"abc"))))
    assert (outcome.state, outcome.stage, outcome.error) == ("vanished", "download", "")


async def test_an_object_in_an_archive_is_counted_as_such(bench: DownloadBench) -> None:
    entry = await bench.put("a", b"cold")
    error = AccessDeniedError("it is archived", code="InvalidObjectState", status=403)
    bench.faults.on("get", times=-1, error=error)
    assert await bench.fetch(entry) == [Archived("a", 4)]


# Files that are there


def replacing(bench: DownloadBench, entry: TargetEntry, **facts: Any) -> Download:
    return Download(entry, Reason.CONTENT, bench.seen(entry.key), **facts)


async def test_the_compared_file_is_replaced(bench: DownloadBench) -> None:
    bench.root.mkdir()
    (bench.root / "a").write_bytes(b"old")
    entry = await bench.put("a", b"new")
    assert written(await bench.fetch(replacing(bench, entry))) == ["a"]
    assert bench.files() == {"a": b"new"}


async def test_a_file_that_changed_since_the_comparison_is_kept(bench: DownloadBench) -> None:
    bench.root.mkdir()
    (bench.root / "a").write_bytes(b"old")
    replaced, added = replacing(bench, await bench.put("a", b"new")), await bench.put("b", b"new")
    (bench.root / "a").write_bytes(b"edited")
    (bench.root / "b").write_bytes(b"appeared")
    outcomes = await bench.fetch(replaced, added)
    assert [outcome.state for outcome in outcomes if isinstance(outcome, NotDone)] == ["conflicts"] * 2
    assert all(isinstance(outcome, NotDone) and outcome.error.endswith("; kept") for outcome in outcomes)
    assert bench.files() == {"a": b"edited", "b": b"appeared"}


@pytest.mark.parametrize(
    ("overwrite", "file", "expected"),
    [
        (False, b"same", b"same"),
        (True, b"same", b"same"),
        (False, b"mine", b"mine"),
        (True, b"mine", b"same"),
    ],
)
@pytest.mark.parametrize("size", [4, 9 * MIB])
async def test_what_nothing_else_proves_is_fetched_and_compared(
    bench: DownloadBench, overwrite: bool, file: bytes, expected: bytes, size: int
) -> None:
    body, file, expected = (content.ljust(size, b".") for content in (b"same", file, expected))
    bench.root.mkdir()
    (bench.root / "a").write_bytes(file)
    before = bench.seen("a")
    entry = await bench.put("a", body, sse="aws:kms")
    outcome = only(await bench.fetch(replacing(bench, entry, md5=md5(file), overwrite=overwrite)))
    assert bench.files() == {"a": expected}
    if file == body:
        assert isinstance(outcome, Adopted)
        assert outcome.row[:5] == before
        assert (outcome.row.md5, outcome.row.etag, outcome.stored) == (md5(body), entry.etag, entry)
    elif overwrite:
        assert outcome.row.md5 == md5(body)
    else:
        assert (outcome.state, outcome.error) == (
            "conflicts",
            "the file differs from the object; kept, --on-conflict overwrite replaces it",
        )


async def test_a_link_in_the_place_of_a_directory_fails_that_file_alone(
    bench: DownloadBench, tmp_path: Path
) -> None:
    bench.root.mkdir()
    (tmp_path / "outside").mkdir()
    (bench.root / "d").symlink_to(tmp_path / "outside")
    outcomes = await bench.fetch(await bench.put("d/a", b"1"), await bench.put("e/a", b"2"))
    assert written(outcomes) == ["e/a"]
    failure = next(outcome for outcome in outcomes if isinstance(outcome, NotDone))
    assert "symbolic link" in failure.error
    assert list((tmp_path / "outside").iterdir()) == []


# Disks that are full


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("size", [5, 9 * MIB])
async def test_a_full_disk_ends_the_downloads_and_leaves_no_half_file(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch, code: int, size: int
) -> None:
    def full(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    entries = [await bench.put(f"f{n:03}", bytes([n + 1]) * size) for n in range(6)]
    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        patch.setattr("os.pwrite", full)
        outcomes = await bench.fetch(*entries)
    states = [outcome.state for outcome in outcomes if isinstance(outcome, NotDone)]
    assert states == ["cancelled"] * 6
    assert bench.run is not None
    assert "the disk is full" in bench.run.refusals.reason
    assert bench.run.builder.aborted.startswith("the disk is full: 'f00")
    assert [name for name in bench.files() if not name.startswith(".aios3sync-")] == []
    assert len(written(await bench.fetch(*entries))) == 6
    assert sorted(bench.files()) == [entry.key for entry in entries]


async def test_after_a_stop_the_rest_is_only_drained(bench: DownloadBench) -> None:
    entries = [await bench.put(f"f{n}", b"1") for n in range(10)] + [await bench.put("l", bytes(9 * MIB))]
    reason = "it was said so"

    def end(result: Any) -> Any:
        assert bench.run is not None
        bench.run.refusals.end(reason)
        return result

    bench.workers = 1
    bench.faults.on("get", change=end)
    outcomes = await bench.fetch(*entries)
    states = [outcome.state for outcome in outcomes if isinstance(outcome, NotDone)]
    assert states.count("cancelled") >= 9


# Gzip of ours


def metadata_of(body: bytes) -> dict[str, str]:
    return {"aios3sync-md5": md5(body), "aios3sync-size": str(len(body))}


@pytest.mark.parametrize("size", [10, 3 * MIB, 20 * MIB])
async def test_what_we_compressed_is_decompressed(bench: DownloadBench, size: int) -> None:
    body = b"line of text\n" * (size // 13)
    stored = compress(body)
    entry = await bench.put("a.txt", stored, metadata=metadata_of(body), content_encoding="gzip")
    outcome = only(await bench.fetch(entry))
    assert bench.files() == {"a.txt": body}
    row = outcome.row
    assert (row.md5, row.encoding, row.size, row.etag) == (md5(body), "gzip", len(body), md5(stored))
    assert outcome.received == len(stored)


@pytest.mark.parametrize("options", [{"decode": False}, {}])
async def test_other_gzip_is_kept_as_it_is(bench: DownloadBench, options: dict[str, bool]) -> None:
    body = b"text" * 100
    stored = compress(body)
    metadata = metadata_of(body) if options else {}
    entry = await bench.put("a", stored, metadata=metadata, content_encoding="gzip")
    row = only(await bench.fetch(entry, **options)).row
    assert bench.files() == {"a": stored}
    assert (row.md5, row.encoding) == (md5(stored), "")


@pytest.mark.parametrize("size", [1, 1000, 64 * MIB])
async def test_a_bomb_writes_nothing(bench: DownloadBench, size: int) -> None:
    stored = compress(bytes(96 * MIB))
    metadata = {"aios3sync-md5": md5(b""), "aios3sync-size": str(size)}
    entry = await bench.put("a", stored, metadata=metadata, content_encoding="gzip")
    outcome = only(await bench.fetch(entry))
    assert (outcome.state, outcome.stage) == ("failed", "download")
    assert bench.files() == {}


# The session


async def test_a_hopeless_error_ends_the_stage(bench: DownloadBench) -> None:
    entries = [await bench.put(f"f{n}", b"1") for n in range(100)]
    error = AccessDeniedError("who are you", code="InvalidAccessKeyId", status=403)
    bench.faults.on("get", times=-1, error=error)
    with pytest.raises(BaseExceptionGroup):
        await bench.fetch(*entries)


async def test_a_dry_run_asks_nothing(bench: DownloadBench) -> None:
    outcomes = await bench.fetch(await bench.put("a", b"123"), preview=True)
    assert written(outcomes) == ["a"]
    assert not bench.faults.calls
    assert bench.files() == {}
