"""Copies in parts that a killed run has left are continued, or aborted; those of others are left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aios3sync.errors import StoreError
from aios3sync.manifest.unfinished import UnfinishedUpload, UnfinishedUploads
from aios3sync.store.protocol import PutOptions
from aios3sync.testing.faulty import unavailable
from tests.sync.conftest import Crash
from tests.sync.copying import MIB, PLAIN, CopyBench

FIVE = 5 * MIB
BODIES = (b"1" * FIVE, b"2" * FIVE, b"3" * FIVE, b"4")


@pytest.fixture(params=[False, True], ids=["on the server", "through memory"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CopyBench:
    # One part after the other, so that it is known which are there when the run is killed.
    monkeypatch.setattr("aios3sync.sync.transfers.large_copies._PARTS_AT_ONCE", 1)
    return CopyBench(tmp_path, apart=request.param)


def sent(bench: CopyBench) -> int:
    """Return how many parts were stored since the last call."""
    counts = bench.requests()
    return counts.get("copy_part", 0) + counts.get("put_part", 0)


def journal(bench: CopyBench) -> list[dict[str, str]]:
    path = bench.place / "pair.sqlite.uploads"
    return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


async def killed(bench: CopyBench, after: int, **options: Any) -> None:
    """Run until some parts are stored, and end as kill -9 ends it: nothing is aborted."""
    operation = "put_part" if bench.apart else "copy_part"
    crash = bench.writes.on(operation, skip=after, times=-1, error=Crash("kill -9"))
    abort = bench.writes.on("abort_multipart", times=-1, error=Crash("kill -9"))
    with pytest.raises(Crash):
        await bench.sync(copy_part_threshold=FIVE, **options)
    crash.times = abort.times = 0
    assert len(bench.target._uploads) == 1
    bench.requests()


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_the_parts_that_are_there_are_not_copied_again(bench: CopyBench, after: int) -> None:
    await bench.put_parts("big", *BODIES, metadata={"m": "x"}, content_type="text/x")
    await killed(bench, after)
    report = await bench.sync(copy_part_threshold=FIVE)
    assert (report.exit_code, report.copied) == (0, 1)
    assert sent(bench) == len(BODIES) - after
    copied = bench.target.objects["b/big"]
    assert copied.body == b"".join(BODIES)
    assert copied.etag == bench.source.objects["a/big"].etag
    assert (copied.options.content_type, dict(copied.options.metadata)) == ("text/x", {"m": "x"})
    assert not bench.target._uploads
    assert not (bench.place / "pair.sqlite.uploads").exists(), "nothing is unfinished"
    assert (await bench.sync(copy_part_threshold=FIVE)).kept == 1


async def test_a_run_that_is_killed_again_and_again_ends_some_day(bench: CopyBench) -> None:
    await bench.put_parts("big", *BODIES)
    for parts in range(1, len(BODIES)):
        await killed(bench, 1)
        (upload,) = bench.target._uploads.values()
        assert len(upload.parts) == parts, "each run adds to what is there"
    await bench.sync(copy_part_threshold=FIVE)
    assert bench.copies() == {"big": b"".join(BODIES)}


@pytest.mark.parametrize("change", ["source", "layout", "headers", "tags"])
async def test_another_version_begins_anew(bench: CopyBench, change: str) -> None:
    await bench.put_parts("big", *BODIES)
    await killed(bench, 2)
    bodies: tuple[bytes, ...] = BODIES
    options: dict[str, Any] = {}
    if change == "source":
        bodies = (b"x" * FIVE, *BODIES[1:])
    elif change == "layout":
        bodies = (b"1" * FIVE + b"2" * FIVE, *BODIES[2:])
    elif change == "tags":
        await bench.put_parts("big", *BODIES, tags={"a": "b"})
    else:
        options = {"storage_class": "STANDARD_IA"}
    if bodies != BODIES:
        await bench.put_parts("big", *bodies)
    bench.requests()
    report = await bench.sync(copy_part_threshold=FIVE, **options)
    assert report.exit_code == 0
    assert sent(bench) == len(bodies)
    assert bench.copies() == {"big": b"".join(bodies)}
    assert not bench.target._uploads, "the parts of the old version are aborted"


async def test_an_upload_that_is_gone_begins_anew(bench: CopyBench) -> None:
    await bench.put_parts("big", *BODIES)
    await killed(bench, 2)
    bench.target._uploads.clear()
    assert (await bench.sync(copy_part_threshold=FIVE)).copied == 1
    assert sent(bench) == len(BODIES)
    assert bench.copies() == {"big": b"".join(BODIES)}
    assert bench.target._uploads == {}


async def test_a_part_of_another_size_is_copied_again(bench: CopyBench) -> None:
    await bench.put_parts("big", *BODIES)
    await killed(bench, 3)
    (upload,) = bench.target._uploads.values()
    upload.parts[2] = (upload.parts[2][0], b"cut off")
    assert (await bench.sync(copy_part_threshold=FIVE)).copied == 1
    assert sent(bench) == len(BODIES) - 3 + 1
    assert bench.copies() == {"big": b"".join(BODIES)}


async def test_parts_that_cannot_be_joined_are_copied_again(bench: CopyBench) -> None:
    """An endpoint that lists parts which it then does not accept."""
    await bench.put_parts("big", *BODIES)
    await killed(bench, 2)
    refusal = StoreError(
        "not these", operation="CompleteMultipartUpload", bucket="target", code="InvalidPart", status=400
    )
    bench.writes.on("complete_multipart", error=refusal)
    report = await bench.sync(copy_part_threshold=FIVE)
    assert (report.exit_code, report.copied) == (0, 1)
    assert bench.copies() == {"big": b"".join(BODIES)}
    assert not bench.target._uploads


async def test_parts_that_may_not_be_listed_are_aborted(bench: CopyBench) -> None:
    await bench.put_parts("big", *BODIES)
    await killed(bench, 2)
    bench.writes.on("list_parts", times=-1, error=StoreError("no", operation="ListParts", bucket="target"))
    assert (await bench.sync(copy_part_threshold=FIVE)).copied == 1
    assert sent(bench) == len(BODIES)
    assert not bench.target._uploads


@pytest.mark.parametrize("scoped", [False, True])
async def test_what_nothing_needs_any_more_is_aborted(bench: CopyBench, scoped: bool) -> None:
    """A run that sees only a part of the source does not know what the others need."""
    await bench.put_parts("big", *BODIES)
    await bench.put({"small": b"1"})
    await killed(bench, 2)
    if not scoped:
        del bench.source.objects["a/big"]
    await bench.sync(exclude=("big",) if scoped else ())
    assert bool(bench.target._uploads) == scoped
    if scoped:
        await bench.sync(copy_part_threshold=FIVE)
        assert sent(bench) == len(BODIES) - 2
    assert journal(bench) == []


async def test_uploads_of_others_are_left_alone(bench: CopyBench) -> None:
    await bench.put_parts("big", *BODIES)
    foreign = await bench.target.create_multipart("b/big", PutOptions(metadata={"of": "others"}))
    await bench.target.put_part("b/big", foreign, 1, BODIES[0], PLAIN, md5=b"")
    await bench.sync(copy_part_threshold=FIVE)
    assert sent(bench) == len(BODIES)
    assert list(bench.target._uploads) == [foreign]


@pytest.mark.parametrize("options", [{"manifest": False}, {"sse_customer_key": b"k" * 32}])
async def test_without_a_record_nothing_is_continued(bench: CopyBench, options: dict[str, Any]) -> None:
    await bench.put_parts("big", *BODIES)
    await killed(bench, 2, **options)
    assert journal(bench) == []
    await bench.sync(copy_part_threshold=FIVE, **options)
    assert sent(bench) == len(BODIES)


async def test_a_failed_copy_that_cannot_be_aborted_is_continued(bench: CopyBench) -> None:
    """Where the endpoint is gone, its parts stay: the run warns, and the next one goes on with them."""
    await bench.put_parts("big", *BODIES)
    operation = "put_part" if bench.apart else "copy_part"
    broken = bench.writes.on(operation, skip=2, times=-1, error=unavailable())
    bench.writes.on("abort_multipart", times=3, error=unavailable())
    report = await bench.sync(copy_part_threshold=FIVE)
    assert report.failed == 1
    assert any("may be left over" in warning for warning in report.warnings)
    broken.times = 0
    bench.requests()
    assert (await bench.sync(copy_part_threshold=FIVE)).copied == 1
    assert sent(bench) == len(BODIES) - 2
    assert not bench.target._uploads


async def test_a_journal_may_hold_anything(tmp_path: Path) -> None:
    manifest, path = str(tmp_path / "m"), tmp_path / "m.uploads"
    one = UnfinishedUpload("k\n\udc80é", "id", "version")
    writing = UnfinishedUploads(manifest, "aws bucket")
    await writing.began(one)
    await UnfinishedUploads(manifest, "aws other").began(one._replace(upload_id="theirs"))
    path.write_bytes(b"not JSON\n[]\n{}\n" + path.read_bytes() + b'{"target": "aws bucket", "ke')
    assert path.stat().st_size > 0
    reading = UnfinishedUploads(manifest, "aws bucket")
    assert await reading.left() == [one]
    assert await reading.take(one.key) == one
    assert await reading.take(one.key) is None
    await writing.ended(one)
    assert await UnfinishedUploads(manifest, "aws bucket").left() == []
    assert path.exists(), "it holds a copy to another bucket"


async def test_a_journal_is_private(tmp_path: Path) -> None:
    manifest, path = str(tmp_path / "new" / "m"), tmp_path / "new" / "m.uploads"
    await UnfinishedUploads(manifest, "aws bucket").began(UnfinishedUpload("k", "id", "version"))
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
