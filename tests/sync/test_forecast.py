"""What a dry run says of the requests and the money that the run would take."""

from __future__ import annotations

from typing import Any

import pytest

from aios3sync.sync.forecast import Forecast
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.subscribers import run_subscribed
from tests.sync.conftest import Bench

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
