"""What a dry run says of the requests and the money that the run would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aios3sync.sync.forecast import Forecast, classes_of
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.subscribers import run_subscribed
from tests.sync.conftest import Bench
from tests.sync.copying import MIB, CopyBench

pytestmark = pytest.mark.usefixtures("settle")


async def forecast(bench: Bench, **options: Any) -> Any:
    async def run(request: SyncRequest, resources: Resources) -> Any:
        return await run_subscribed(request, resources, [Forecast()])

    bench.runner = run
    return await bench.sync(dry_run=True, **options)


async def test_another_endpoint_has_no_known_prices(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    report = await forecast(bench)
    assert (report.forecast.writes, report.forecast.cost) == (3, None)


async def test_aws_has_and_given_ones_count_more(bench: Bench) -> None:
    bench.endpoint = "aws"
    bench.tree({f"{number}": "1" for number in range(999)})
    report = await forecast(bench)
    assert (report.forecast.cost, report.forecast.currency) == (0.005, "USD")
    given = await forecast(bench, prices="writes=1,reads=0.5,currency=EUR")
    assert (given.forecast.cost, given.forecast.currency) == (1.0, "EUR")


async def test_the_traps_of_a_storage_class_are_named(bench: Bench) -> None:
    bench.tree({"small": "1", "more": "2", "large": b"x" * 200_000})
    report = await forecast(bench, storage_class="STANDARD_IA")
    assert report.warnings == (
        "2 objects are smaller than 128 KiB, which STANDARD_IA bills for each at least",
        "STANDARD_IA bills an object for 30 days, also if it is replaced or deleted before",
    )
    assert (await forecast(bench, storage_class="STANDARD")).warnings == ()


# What the run then sends


FIVE = 5 * MIB
TRASH: dict[str, Any] = {"delete": "mirror", "trash": "s3://bucket/trash", "max_delete_ratio": 1.0}


async def both(bench: Bench, **options: Any) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return what a dry run says, and what the run then sends: writes, reads and deletes."""
    plain = bench.runner
    said = (await forecast(bench, **options)).forecast
    bench.runner = plain
    report = await bench.sync(**options)
    return (said.writes, said.reads, said.deletes), classes_of(report.requests)


async def test_moves_to_the_trash_are_counted(bench: Bench) -> None:
    """For each a HEAD and a COPY, and fewer keys go with one DELETE."""
    bench.tree({"stays": "1"})
    await bench.store({f"{number:04}": b"x" for number in range(250)})
    said, sent = await both(bench, **TRASH)
    assert said == sent
    assert said == (1 + 1 + 250, 250, 3), "a listing, an upload, and the copies"


async def test_moves_in_parts_are_counted_too(bench: Bench) -> None:
    bench.tree({"stays": "1"})
    await bench.store({"large": b"x" * (2 * FIVE + 1)})
    said, sent = await both(bench, **TRASH, copy_part_threshold=FIVE, part_size=FIVE)
    assert said == (1 + 1 + 2 + 3, 1 + 4, 1)
    assert sent == (said[0], said[1] - 1, said[2]), "it was not stored in parts, so none is looked at"


async def test_copies_whose_etags_prove_nothing_are_looked_at(bench: Bench) -> None:
    bench.tree({"stays": "1"})
    await bench.store({"a": b"x", "b": b"y"})
    assert (await forecast(bench, **TRASH)).forecast.reads == 2
    assert (await forecast(bench, **TRASH, sse="aws:kms")).forecast.reads == 4
    bench.profile.record("etags", "opaque")
    assert (await forecast(bench, **TRASH)).forecast.reads == 4


async def test_the_trash_of_a_download_costs_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.tree({"gone": "1"})
    await bench.store({"a": b"x"})
    said, sent = await both(bench, direction="down", **(TRASH | {"trash": str(tmp_path / "trash")}))
    assert said == sent == (1, 1, 0)


@pytest.mark.parametrize(("days", "asked"), [(0, 0), (3, 2)])
async def test_restores_are_counted(bench: Bench, days: int, asked: int) -> None:
    await bench.store({"cold": b"1", "colder": b"2"}, storage_class="GLACIER")
    await bench.store({"warm": b"3"})
    said, sent = await both(bench, direction="down", restore=days)
    assert said == sent == (1 + asked, 1, 0)


@pytest.mark.parametrize("apart", [False, True], ids=["server", "memory"])
@pytest.mark.parametrize("directive", ["copy", "replace"])
async def test_copies_are_counted(tmp_path: Path, apart: bool, directive: str) -> None:
    """Never fewer than are sent; of objects that one request copies, the very number."""
    bench = CopyBench(tmp_path, apart=apart)
    await bench.put({"a": b"1", "b": b"2"})
    await bench.put_parts("parts", b"1" * FIVE, b"2")
    parts = {"copy_part_threshold": FIVE, "part_size": FIVE}
    for options, over in (({"exclude": ("parts",)}, 0), (parts, 1)):
        request, resources = bench._run(dry_run=True, metadata_directive=directive, **options)
        said = (await run_subscribed(request, resources, [Forecast()])).forecast
        assert said is not None
        sent = classes_of((await bench.sync(metadata_directive=directive, **options)).requests)
        assert sent == (said.writes, said.reads - over, said.deletes)
