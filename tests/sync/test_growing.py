"""A file that grows between the walk and its reading goes by the size that it has when it is opened."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aios3sync.local import read as reading
from aios3sync.sync.transfers.memory import ByteSemaphore
from tests.sync.conftest import MIB, Bench


@pytest.fixture
def grows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Bytes that files have, by name, at each of their openings."""
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
    """How many bytes are read into memory at once, and how many the budget has lent then."""
    held: list[int] = []
    real_read, real_acquire = reading._read_all, ByteSemaphore.acquire
    lent = 0

    async def acquire(budget: ByteSemaphore, size: int) -> None:
        nonlocal lent
        await real_acquire(budget, size)
        lent = budget.in_use

    def read(descriptor: int, size: int) -> bytes:
        body = real_read(descriptor, size)
        assert len(body) <= lent, "what is in memory is reserved"
        held.append(len(body))
        return body

    monkeypatch.setattr(ByteSemaphore, "acquire", acquire)
    monkeypatch.setattr(reading, "_read_all", read)
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
    assert most == [1], "of the grown one nothing is in memory as a whole"


async def test_a_file_that_grew_below_the_threshold_waits_for_room_in_the_budget(
    bench: Bench, grows: dict[str, list[int]], most: list[int]
) -> None:
    bench.tree({f"log{number}": "x" for number in range(40)})
    grows |= {f"log{number}": [3 * MIB] for number in range(40)}
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert (report.uploaded, report.failed) == (40, 0)
    assert most == [3 * MIB] * 40


async def test_a_file_that_goes_on_growing_is_sent_if_there_is_room_for_it(
    bench: Bench, grows: dict[str, list[int]]
) -> None:
    bench.tree({"log": "x"})
    grows["log"] = [100_000, 100_010]
    assert (await bench.sync()).uploaded == 1
    assert len(bench.objects()["log"]) == 100_010


async def test_a_file_that_doubles_at_each_look_fails_alone(
    bench: Bench, grows: dict[str, list[int]]
) -> None:
    bench.tree({"log": "x", "a": "1"})
    grows["log"] = [1000 * 2**look for look in range(9)]
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
