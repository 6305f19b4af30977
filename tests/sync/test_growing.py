"""A file that grows between the walk and its reading is sent by the size that it has when it is opened."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aios3sync.local import read as reading
from aios3sync.sync.transfers.memory import ByteSemaphore
from tests.sync.conftest import MIB, Bench


@pytest.fixture
def grows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The bytes that files have, by name, each time they are opened."""
    sizes: dict[str, list[int]] = {}
    real = reading.open_place

    def opened(place: reading.Place) -> int:
        path = reading.path_of(place)
        if later := sizes.get(os.path.basename(path)):
            os.truncate(path, later.pop(0))
        return real(place)

    for module in ("read", "digest"):
        monkeypatch.setattr(f"aios3sync.local.{module}.open_place", opened)
    return sizes


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each body that is read into memory; none is read that the budget has not reserved."""
    held: list[int] = []
    real_read, real_acquire = reading._read_all, ByteSemaphore.acquire
    reserved = 0

    async def acquire(budget: ByteSemaphore, size: int) -> None:
        nonlocal reserved
        await real_acquire(budget, size)
        reserved = budget.in_use

    def read_all(descriptor: int, size: int) -> bytes:
        body = real_read(descriptor, size)
        assert len(body) <= reserved, "bytes in memory are reserved"
        held.append(len(body))
        return body

    monkeypatch.setattr(ByteSemaphore, "acquire", acquire)
    monkeypatch.setattr(reading, "_read_all", read_all)
    return held


async def test_a_file_that_outgrows_the_threshold_is_sent_in_parts(
    bench: Bench, grows: dict[str, list[int]], most: list[int]
) -> None:
    bench.tree({"log": "x", "a": "1"})
    grows["log"] = [12 * MIB]
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert (report.uploaded, report.failed) == (2, 0)
    assert report.requests["UploadPart"] == 3
    assert len(bench.objects()["log"]) == 12 * MIB
    assert most == [1], "the grown file is never in memory as a whole"


async def test_a_file_that_grew_below_the_threshold_waits_for_room_in_the_budget(
    bench: Bench, grows: dict[str, list[int]], most: list[int]
) -> None:
    bench.tree({f"log{number}": "x" for number in range(40)})
    grows |= {f"log{number}": [3 * MIB] for number in range(40)}
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert (report.uploaded, report.failed) == (40, 0)
    assert most == [3 * MIB] * 40


async def test_a_file_that_keeps_growing_is_sent_if_its_room_suffices(
    bench: Bench, grows: dict[str, list[int]]
) -> None:
    bench.tree({"log": "x"})
    grows["log"] = [100_000, 100_010]
    assert (await bench.sync()).uploaded == 1
    assert len(bench.objects()["log"]) == 100_010


async def test_a_file_that_doubles_each_time_fails_alone(bench: Bench, grows: dict[str, list[int]]) -> None:
    bench.tree({"log": "x", "a": "1"})
    grows["log"] = [1000 * 2**opening for opening in range(9)]
    report = await bench.sync()
    assert (report.uploaded, report.failed) == (1, 1)
    assert "changed while it was read" in report.errors[0].error


@pytest.mark.parametrize("sizes", [[0], [1], [6 * MIB, 3]])
async def test_a_file_that_shrinks_is_sent_as_it_is(
    bench: Bench, grows: dict[str, list[int]], sizes: list[int]
) -> None:
    bench.tree({"f": "0123456789", "big": b"x" * (6 * MIB)})
    options: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB}
    grows |= {"f": [*sizes], "big": [*sizes]}
    report = await bench.sync(**options)
    assert (report.uploaded, report.failed) == (2, 0)
    assert {len(body) for body in bench.objects().values()} == {sizes[-1]}
