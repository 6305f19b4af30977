"""Multipart uploads that a killed run has left are continued, or aborted; others are left alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.concurrency import in_thread
from aios3sync.core.key_range import KeyRange
from aios3sync.core.keys import Location
from aios3sync.errors import StoreError
from aios3sync.events import BytesSent
from aios3sync.manifest.files import storable
from aios3sync.manifest.root_directory import shards_directory
from aios3sync.manifest.unfinished import (
    UnfinishedUpload,
    UnfinishedUploads,
    join_journals,
    uploads_path,
)
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.testing.memory import MemoryStore
from tests.manifest.shards import begin_shards
from tests.sync.conftest import MIB, Bench, Crash

FIVE = 5 * MIB
BODY = b"1" * FIVE + b"2" * FIVE + b"3" * FIVE + b"4"
PARTS = 4
LARGE: dict[str, Any] = {"part_size": FIVE, "multipart_threshold": FIVE}


@pytest.fixture(autouse=True)
def one_part_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is known which are there when the run is killed."""
    monkeypatch.setattr("aios3sync.sync.transfers.multipart.PARTS_AT_ONCE", 1)


def sent(bench: Bench) -> int:
    """Return how many parts were sent since the last call."""
    count = bench.faults.calls["put_part"]
    bench.faults.calls.clear()
    return count


async def broken_off(bench: Bench, after: int, **options: Any) -> None:
    """Run until some parts are stored, and end as kill -9 ends it: nothing is aborted."""
    crash = bench.faults.on("put_part", skip=after, times=-1, error=Crash("kill -9"))
    abort = bench.faults.on("abort_multipart", times=-1, error=Crash("kill -9"))
    with pytest.raises(Crash):
        await bench.sync(**LARGE | options)
    crash.times = abort.times = 0


def parts_wait_for_uploads(bench: Bench, count: int) -> None:
    """Let no part be stored before so many uploads have begun: a busy machine may begin them one by one."""
    begun, create, put = anyio.Event(), bench.memory.create_multipart, bench.memory.put_part

    async def create_and_note(key: str, options: PutOptions) -> str:
        upload_id = await create(key, options)
        if len(bench.memory._uploads) == count:
            begun.set()
        return upload_id

    async def wait_and_put(*arguments: Any, **more: Any) -> PutResult:
        await begun.wait()
        return await put(*arguments, **more)

    bench.memory.create_multipart = create_and_note  # type: ignore[method-assign]
    bench.memory.put_part = wait_and_put  # type: ignore[method-assign]


async def killed(bench: Bench, after: int, **options: Any) -> None:
    """Let the run of one large file be broken off."""
    await broken_off(bench, after, **options)
    (upload,) = bench.memory._uploads.values()
    assert len(upload.parts) == after
    sent(bench)
    bench.events.clear()


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_the_parts_that_are_there_are_not_sent_again(bench: Bench, after: int) -> None:
    bench.tree({"big": BODY})
    await killed(bench, after)
    report = await bench.sync(**LARGE)
    assert (report.exit_code, report.uploaded) == (0, 1)
    assert sent(bench) == PARTS - after
    assert bench.objects() == {"big": BODY}
    assert not bench.memory._uploads
    assert not list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.uploads")), "nothing is unfinished"
    sizes = [event.size for event in bench.events if isinstance(event, BytesSent)]
    assert sum(sizes) == len(BODY), "progress adds up to the file"
    assert (await bench.sync(**LARGE, check="list")).kept == 1


@pytest.mark.parametrize("change", ["content", "time", "part size", "headers"])
async def test_what_is_not_the_same_begins_anew(bench: Bench, change: str) -> None:
    bench.tree({"big": BODY})
    await killed(bench, 2)
    options: dict[str, Any] = {}
    if change == "content":
        bench.tree({"big": b"x" + BODY[1:]})
    elif change == "time":
        os.utime(bench.root / "big", ns=(1, 1))
    elif change == "part size":
        options = {"part_size": 6 * MIB}
    else:
        options = {"cache_control": "no-cache"}
    assert (await bench.sync(**LARGE | options)).uploaded == 1
    assert sent(bench) == (3 if change == "part size" else PARTS)
    assert bench.objects() == {"big": (bench.root / "big").read_bytes()}
    assert not bench.memory._uploads, "the parts of the old upload are aborted"


async def test_a_part_that_holds_other_bytes_is_sent_again(bench: Bench) -> None:
    bench.tree({"big": BODY})
    await killed(bench, 3)
    (upload,) = bench.memory._uploads.values()
    other = MemoryStore(objects={"x": b"x" * FIVE}).objects["x"]
    upload.parts[2] = (other.etag, other.body)
    assert (await bench.sync(**LARGE)).uploaded == 1
    assert sent(bench) == PARTS - 2
    assert bench.objects() == {"big": BODY}


async def test_parts_whose_etags_prove_nothing_are_sent_again(bench: Bench) -> None:
    bench.tree({"big": BODY})
    await killed(bench, 3)
    bench.profile.record("etags", "opaque", given=True)
    assert (await bench.sync(**LARGE)).uploaded == 1
    assert sent(bench) == PARTS
    assert bench.objects() == {"big": BODY}
    assert not bench.memory._uploads


async def test_a_compressed_copy_is_continued(bench: Bench) -> None:
    noise = os.urandom(2 * FIVE)
    bench.tree({"big.log": noise})
    await killed(bench, 1, gzip=("log",))
    report = await bench.sync(**LARGE, gzip=("log",))
    assert (report.exit_code, report.uploaded) == (0, 1)
    assert sent(bench) == 2, "its parts are read to find out what they are"
    assert bench.memory.objects["p/big.log"].options.content_encoding == "gzip"


async def test_an_upload_that_is_gone_begins_anew(bench: Bench) -> None:
    bench.tree({"big": BODY})
    await killed(bench, 2)
    bench.memory._uploads.clear()
    assert (await bench.sync(**LARGE)).uploaded == 1
    assert sent(bench) == PARTS
    assert bench.objects() == {"big": BODY}


async def test_parts_that_cannot_be_joined_are_sent_again(bench: Bench) -> None:
    """An endpoint that lists parts which it then does not accept."""
    bench.tree({"big": BODY})
    await killed(bench, 2)
    refusal = StoreError(
        "not these", operation="CompleteMultipartUpload", bucket="bucket", code="InvalidPart", status=400
    )
    bench.faults.on("complete_multipart", error=refusal)
    report = await bench.sync(**LARGE)
    assert (report.exit_code, report.uploaded) == (0, 1)
    assert sent(bench) == PARTS - 2 + PARTS
    assert bench.objects() == {"big": BODY}
    assert not bench.memory._uploads


@pytest.mark.parametrize("scoped", [False, True])
async def test_what_nothing_needs_any_more_is_aborted(bench: Bench, scoped: bool) -> None:
    bench.tree({"big": BODY, "small": b"1"})
    await killed(bench, 2)
    if not scoped:
        (bench.root / "big").unlink()
    await bench.sync(**LARGE, exclude=("big",) if scoped else ())
    assert bool(bench.memory._uploads) == scoped


async def test_uploads_of_others_are_left_alone(bench: Bench) -> None:
    bench.tree({"big": BODY})
    foreign = await bench.memory.create_multipart("p/big", PutOptions(metadata={"of": "others"}))
    await bench.sync(**LARGE)
    assert sent(bench) == PARTS
    assert list(bench.memory._uploads) == [foreign]


@pytest.mark.parametrize("options", [{"manifest": False}, {"sse_customer_key": b"k" * 32}])
async def test_without_a_record_nothing_is_continued(bench: Bench, options: dict[str, Any]) -> None:
    bench.tree({"big": BODY})
    await killed(bench, 2, **options)
    assert not list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.uploads"))
    await bench.sync(**LARGE | options)
    assert sent(bench) == PARTS


async def test_the_journal_in_the_source_is_not_sent(bench: Bench) -> None:
    bench.tree({"big": BODY})
    manifest = str(bench.root / "m.sqlite")
    await killed(bench, 2, manifest=manifest)
    assert (bench.root / "m.sqlite.uploads").exists()
    report = await bench.sync(**LARGE, manifest=manifest)
    assert (report.uploaded, sorted(bench.objects())) == (1, ["big"])
    assert sent(bench) == PARTS - 2


# A manifest of several files: its journals are found by all runs of the pair.


async def begin_several_files(bench: Bench) -> str:
    """Let the manifest be one of several files; return its path."""
    request = SyncRequest(
        root=str(bench.root),
        location=Location.parse(bench.target),
        endpoint=bench.endpoint,
        options=SyncOptions(),
    )
    path = await in_thread(manifest_path, request)
    await in_thread(lambda: begin_shards(path, storable(request.binding), ["m"]))
    return path


def attempts_at_a_shard(path: str) -> list[str]:
    """Return the manifests of the first and of the second attempt."""
    directory = shards_directory(path)
    return [os.path.join(directory, f"r-0-compare.{number}.sqlite") for number in (1, 2)]


def journals(path: str) -> list[str]:
    return [str(found) for found in Path(path).parent.rglob("*.uploads")]


async def test_a_run_over_several_files_continues_what_one_before_it_has_begun(bench: Bench) -> None:
    path = await begin_several_files(bench)
    bench.tree({"big": BODY})
    await killed(bench, 2)
    assert journals(path) == [uploads_path(path)], "not that of the file of one run, which goes"
    assert (await bench.sync(**LARGE)).uploaded == 1
    assert sent(bench) == PARTS - 2
    assert (bench.objects(), bench.memory._uploads, journals(path)) == ({"big": BODY}, {}, [])


async def test_a_run_continues_what_the_shard_of_a_cluster_has_begun(bench: Bench) -> None:
    """Also where the attempt that wrote the journal is none that the manifest names any more."""
    path = await begin_several_files(bench)
    bench.tree({"big": BODY, "new": BODY})
    shards = attempts_at_a_shard(path)
    await broken_off(bench, 3, manifest=shards[0], key_range=KeyRange("", "m"))
    (upload,) = bench.memory._uploads
    assert journals(path) == [uploads_path(shards[0])]
    os.unlink(shards[0])
    await broken_off(bench, 1, manifest=shards[1], key_range=KeyRange("m", ""))
    assert upload in bench.memory._uploads, "another range is none of its business"
    sent(bench)
    assert (await bench.sync(**LARGE)).uploaded == 2
    assert sent(bench) == 2 * PARTS - 3 - 1
    assert bench.objects() == {"big": BODY, "new": BODY}
    assert (bench.memory._uploads, journals(path)) == ({}, [])


async def test_another_attempt_at_a_shard_continues_what_the_one_before_has_begun(bench: Bench) -> None:
    path = await begin_several_files(bench)
    bench.tree({"big": BODY, "gone": BODY})
    shards = attempts_at_a_shard(path)
    parts_wait_for_uploads(bench, 2)
    await broken_off(bench, 3, manifest=shards[0], key_range=KeyRange("", "m"))
    stored = {upload.key: len(upload.parts) for upload in bench.memory._uploads.values()}
    assert ({*stored}, sum(stored.values())) == ({"p/big", "p/gone"}, 3)
    sent(bench)
    (bench.root / "gone").unlink()
    assert (await bench.sync(**LARGE, manifest=shards[1], key_range=KeyRange("", "m"))).uploaded == 1
    assert sent(bench) == PARTS - stored["p/big"]
    assert bench.memory._uploads == {}, "what no file needs any more is aborted"
    assert await in_thread(join_journals, path) == 0
    assert journals(path) == []


async def test_journals_are_joined_and_nothing_of_them_is_lost(tmp_path: Path) -> None:
    whole = str(tmp_path / "m.sqlite")
    shards = [f"{shards_directory(whole)}/r-{number}.1.sqlite" for number in range(3)]
    uploads = [UnfinishedUpload(f"k{number}", str(number), "v") for number in range(4)]
    for path, upload in zip([whole, *shards], uploads, strict=True):
        await UnfinishedUploads(path, "here").began(upload)
    await UnfinishedUploads(shards[2], "here").ended(uploads[0])
    assert await UnfinishedUploads(whole, "here").left() == uploads[1:]
    assert await UnfinishedUploads(shards[0], "here", lambda key: key == "k2").left() == [uploads[2]]
    for _ in range(2):
        assert await in_thread(join_journals, whole) == 3
        assert journals(whole) == [uploads_path(whole)]
        assert await UnfinishedUploads(whole, "here").left() == uploads[1:]
    ending = UnfinishedUploads(whole, "here")
    for upload in uploads:
        await ending.ended(upload)
    await ending.tidy()
    assert journals(whole) == []
