"""The download of large objects: ranges, parts, runs that go on, wrong bytes, objects that change."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.core.etag import multipart_etag
from aios3sync.core.metadata import rclone_md5
from aios3sync.core.parts import MIB
from aios3sync.errors import PreconditionFailedError
from aios3sync.events import BytesReceived, DownloadBegan, NotDone
from aios3sync.local.part_file import PartFile
from aios3sync.sync.transfers.range_plan import plan_ranges
from aios3sync.testing.faulty import unavailable
from tests.sync.downloading import DownloadBench, written

SIZE = 20 * MIB + 12345
BODY = random.Random(1).randbytes(SIZE)  # noqa: S311


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()  # noqa: S324


@pytest.fixture
def bench(tmp_path: Path) -> DownloadBench:
    return DownloadBench(tmp_path / "tree")


def only(outcomes: list[Any]) -> Any:
    (outcome,) = outcomes
    return outcome


def received(bench: DownloadBench) -> int:
    return sum(event.size for event in bench.events if isinstance(event, BytesReceived))


@pytest.mark.parametrize("part_size", [5 * MIB, 8 * MIB, 16 * MIB, 7 * MIB + 1])
async def test_an_object_of_parts(bench: DownloadBench, part_size: int) -> None:
    entry = await bench.put("d/a", BODY, part_size, metadata={"mtime": "1500000000.25"})
    outcome = only(await bench.fetch(entry))
    assert bench.files() == {"d/a": BODY}
    row = outcome.row
    assert row[:5] == bench.seen("d/a")
    assert (row.mtime_ns, row.etag, outcome.received) == (1_500_000_000_250_000_000, entry.etag, SIZE)
    assert (row.md5, row.part_size) == (("", part_size) if part_size % MIB == 0 else (md5(BODY), 0))
    assert received(bench) == SIZE
    assert DownloadBegan("d/a", SIZE) in bench.events


@pytest.mark.parametrize(
    "options", [{}, {"sse": "aws:kms"}, {"metadata": {"md5chksum": rclone_md5(md5(BODY))}}]
)
async def test_an_object_of_one_put(bench: DownloadBench, options: dict[str, Any]) -> None:
    entry = await bench.put("a", BODY, **options)
    row = only(await bench.fetch(entry)).row
    assert bench.files() == {"a": BODY}
    assert (row.md5, row.part_size, row.etag) == (md5(BODY), 0, entry.etag)


async def test_several_large_and_small_ones_at_once(bench: DownloadBench) -> None:
    bodies = {f"l{n}": BODY[n:] for n in range(6)} | {f"s{n}": b"%d" % n for n in range(50)}
    entries = [await bench.put(key, body) for key, body in bodies.items()]
    assert len(written(await bench.fetch(*entries))) == len(bodies)
    assert bench.files() == bodies


@pytest.mark.parametrize("skip", range(3))
async def test_a_run_that_broke_off_goes_on(bench: DownloadBench, skip: int) -> None:
    entry = await bench.put("a", BODY, 5 * MIB)
    bench.faults.on("get", skip=skip, times=-1, error=unavailable())
    assert only(await bench.fetch(entry)).state == "failed"
    assert received(bench) == 0
    done = sum(PartFileNames(bench).ranges())
    bench.faults._faults.clear()
    before = bench.faults.calls["get"]
    outcome = only(await bench.fetch(entry))
    assert bench.faults.calls["get"] - before == 5 - done
    assert bench.files() == {"a": BODY}
    assert outcome.received == SIZE - done * 5 * MIB
    assert received(bench) == SIZE


class PartFileNames:
    """The journals of a directory."""

    def __init__(self, bench: DownloadBench) -> None:
        self._journals = list(bench.root.glob(".aios3sync-*.ranges"))

    def ranges(self) -> list[int]:
        """Return the number of finished ranges of each."""
        return [len(path.read_bytes().splitlines()) - 1 for path in self._journals]


@pytest.mark.parametrize("part_size", [0, 5 * MIB])
async def test_all_ranges_were_there_already(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch, part_size: int
) -> None:
    entry = await bench.put("a", BODY, part_size)

    def refuse(*_: Any) -> None:
        raise OSError(5, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(PartFile, "commit", refuse)
        assert only(await bench.fetch(entry)).error == "the disk is gone"
    before = bench.faults.calls["get"]
    outcome = only(await bench.fetch(entry))
    assert (bench.faults.calls["get"] - before, bench.faults.calls["head"]) == (0, 1)
    assert (outcome.received, bench.files()) == (0, {"a": BODY})


@pytest.mark.parametrize("part_size", [0, 5 * MIB, 7 * MIB + 1])
async def test_what_an_earlier_run_left_wrong_is_fetched_anew(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch, part_size: int
) -> None:
    entry = await bench.put("a", BODY, part_size)

    def refuse(*_: Any) -> None:
        raise OSError(5, "power failure")

    with monkeypatch.context() as patch:
        patch.setattr(PartFile, "commit", refuse)
        await bench.fetch(entry)
    (left,) = bench.root.glob(".aios3sync-*.part")
    with left.open("r+b") as file:
        file.seek(6 * MIB)
        file.write(b"lost")
    assert written(await bench.fetch(entry)) == ["a"]
    assert bench.files() == {"a": BODY}


@pytest.mark.parametrize("times", [1, 2])
async def test_a_range_with_another_number_of_bytes_is_read_again(bench: DownloadBench, times: int) -> None:
    entry = await bench.put("a", BODY, 5 * MIB)
    change = lambda result: result._replace(body=result.body[:-1])  # noqa: E731
    bench.faults.on("get", skip=1, times=times, change=change)
    assert written(await bench.fetch(entry)) == ["a"]
    assert bench.faults.calls["get"] == 5 + times
    assert bench.files() == {"a": BODY}


@pytest.mark.parametrize("part_size", [0, 5 * MIB])
async def test_a_range_of_other_bytes_is_found_and_all_is_read_again(
    bench: DownloadBench, part_size: int
) -> None:
    metadata = {"md5chksum": rclone_md5(md5(BODY))}
    entry = await bench.put("a", BODY, part_size, metadata=metadata)
    bench.faults.on("get", skip=1, change=lambda result: result._replace(body=bytes(len(result.body))))
    assert written(await bench.fetch(entry)) == ["a"]
    assert bench.files() == {"a": BODY}
    assert received(bench) == SIZE


@pytest.mark.parametrize("part_size", [0, 5 * MIB])
async def test_bytes_that_stay_wrong_fail_and_leave_nothing(bench: DownloadBench, part_size: int) -> None:
    metadata = {"md5chksum": rclone_md5(md5(BODY))}
    entry = await bench.put("a", BODY, part_size, metadata=metadata)
    bench.faults.on("get", times=-1, change=lambda result: result._replace(body=bytes(len(result.body))))
    outcome = only(await bench.fetch(entry))
    assert (outcome.state, outcome.stage) == ("failed", "download")
    assert outcome.error.startswith("these are not the bytes of the object, after 3 attempts")
    assert bench.files() == {}
    assert received(bench) == 0


async def test_an_object_that_changes_between_two_ranges_is_never_mixed(bench: DownloadBench) -> None:
    entry = await bench.put("a", BODY, 5 * MIB)
    newer = BODY[::-1]
    reached, replaced = anyio.Event(), anyio.Event()
    bench.faults.on("get", skip=2, reached=reached, wait=replaced)

    async def replace() -> None:
        await reached.wait()
        await bench.put("a", newer, 5 * MIB)
        replaced.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replace)
        outcome = only(await bench.fetch(entry))
    assert bench.files() == {"a": newer}
    assert outcome.row.etag == bench.memory.objects["p/a"].etag


async def test_an_object_that_changes_whenever_it_is_read_fails(bench: DownloadBench) -> None:
    entry = await bench.put("a", BODY, 5 * MIB)
    refusal = PreconditionFailedError("no", code="PreconditionFailed", status=412)
    bench.faults.on("get", times=-1, error=refusal)
    outcome = only(await bench.fetch(entry))
    assert (outcome.state, outcome.error) == ("failed", "changed while it was read")
    assert bench.files() == {}


async def test_without_etags_ranges_of_two_versions_are_not_joined(bench: DownloadBench) -> None:
    entry = (await bench.put("a", BODY))._replace(etag="")
    other = lambda result: result._replace(head=result.head._replace(etag="other"))  # noqa: E731
    bench.faults.on("get", skip=1, change=other)
    assert written(await bench.fetch(entry)) == ["a"]
    assert bench.files() == {"a": BODY}


async def test_a_file_that_appeared_meanwhile_is_kept(bench: DownloadBench) -> None:
    entry = await bench.put("a", BODY)
    bench.root.mkdir()
    (bench.root / "a").write_bytes(b"mine")
    outcome = only(await bench.fetch(entry))
    assert isinstance(outcome, NotDone)
    assert outcome.state == "conflicts"
    assert bench.files() == {"a": b"mine"}


async def test_the_memory_of_ranges_is_bounded(bench: DownloadBench) -> None:
    bench.budget.total = 20 * MIB
    most = 0

    def watch(result: Any) -> Any:
        nonlocal most
        most = max(most, bench.budget.in_use)
        return result

    bench.faults.on("get", times=-1, change=watch)
    entries = [await bench.put(f"a{n}", BODY, 5 * MIB) for n in range(3)]
    assert len(written(await bench.fetch(*entries))) == 3
    assert 0 < most <= 20 * MIB


@pytest.mark.parametrize(
    ("size", "part_size", "expected"),
    [
        (100 * MIB, 8 * MIB, (8 * MIB, 8 * MIB)),
        (1024 * MIB, 16 * MIB, (16 * MIB, 16 * MIB)),
        (1024 * MIB, 50 * MIB, (12 * MIB + MIB // 2, 50 * MIB)),
        (10 * 1024 * MIB, 64 * MIB, (16 * MIB, 64 * MIB)),
        (20 * MIB, 20 * MIB, (10 * MIB, 20 * MIB)),
    ],
)
def test_ranges_fit_the_parts(size: int, part_size: int, expected: tuple[int, int]) -> None:
    count = -(-size // part_size)
    plan = plan_ranges(size, f"{'0' * 32}-{count}")
    assert (plan.range_size, plan.part_size) == expected
    assert plan.part_size % plan.range_size == 0
    assert sum(map(plan.length, plan.starts())) == size
    assert sum(length for _, length in plan.parts()) == size
    for offset, length in plan.parts():
        inside = plan.ranges_of_part(offset)
        assert sum(map(plan.length, inside)) == length
        assert all(plan.ranges_of_part(start) == inside for start in inside)


def test_an_etag_of_the_whole_has_no_parts() -> None:
    assert plan_ranges(100 * MIB, "0" * 32) == (100 * MIB, 8 * MIB, 0)
    assert plan_ranges(100 * MIB, "") == (100 * MIB, 8 * MIB, 0)
    assert multipart_etag([b"x" * 16]).endswith("-1")
