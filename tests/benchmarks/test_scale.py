"""The simulation of a large sync on few keys, and the page that is made of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from aios3sync.distributed.shards import cut
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from benchmarks.scale import __main__ as program
from benchmarks.scale.chart import draw
from benchmarks.scale.figures import constants, figures, upload_bounds
from benchmarks.scale.limiter import SLICE_S, NodeLimiter
from benchmarks.scale.results import SCENARIOS, load, run_all, table
from benchmarks.scale.simulation import WRITES_A_SECOND, Scenario, simulate
from benchmarks.scale.world import World, make_world
from tests.store.simulation import Endpoint, Load, run

FEW = Scenario("few", nodes=8, partitions=8, workers=4_000)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(2_000_000, 3_000, 0.3, 5)


def test_the_world_is_the_same_each_time_and_all_of_it_is_cut(world: World) -> None:
    assert world.keys == 2_000_000
    assert make_world(2_000_000, 3_000, 0.3, 5).sizes == world.sizes
    places = [world.places(keys) for keys in cut(world.weights(), 32)]
    assert places[0][0] == 0
    assert places[-1][1] == world.keys
    assert all(one[1] == other[0] for one, other in pairwise(places))


def test_each_key_is_uploaded_once_by_similar_shards(world: World) -> None:
    outcome = simulate(world, FEW)
    assert outcome.uploaded == world.keys == sum(outcome.shards)
    assert len(outcome.shards) == 32
    assert outcome.imbalance < 1.5
    # Each of eight nodes meets one of eight partitions at a time, at times two nodes the same.
    busy = [rate for seconds, rate in outcome.accepted_rates if seconds < min(outcome.idle_from)]
    assert sum(busy) / len(busy) > 0.45 * 8 * WRITES_A_SECOND
    assert max(rate for _, rate in outcome.accepted_rates) <= 8 * WRITES_A_SECOND * 1.01
    again = simulate(world, FEW)
    assert (again.seconds, again.refused, again.idle_from) == (
        outcome.seconds,
        outcome.refused,
        outcome.idle_from,
    )


def test_in_key_order_all_nodes_meet_in_few_partitions(world: World) -> None:
    spread, ordered = simulate(world, FEW), simulate(world, replace(FEW, key_order=True))
    assert ordered.uploaded == spread.uploaded
    assert ordered.seconds > 1.8 * spread.seconds


def test_refusals_are_few_where_the_partitions_are_the_limit(world: World) -> None:
    outcome = simulate(world, replace(FEW, partitions=2))
    assert outcome.rate > 0.8 * 2 * WRITES_A_SECOND
    assert outcome.refused < 0.05 * outcome.uploaded


def test_the_shard_of_a_node_that_dies_is_done_elsewhere(world: World) -> None:
    whole, dying = simulate(world, FEW), simulate(world, replace(FEW, dies_at=0.4))
    assert dying.uploaded == world.keys
    assert 0 < dying.compared < world.keys / 8
    assert [text for _, text in dying.events] == ["a node dies", "its shard begins again"]
    assert dying.seconds > whole.seconds


def test_more_shards_than_nodes_shorten_the_wait_for_a_slow_node(world: World) -> None:
    slow = replace(FEW, slow=500.0)
    one, four = simulate(world, replace(slow, shards_a_node=1)), simulate(world, slow)
    assert four.seconds < 0.6 * one.seconds


def test_hot_partitions_are_split(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.scale import simulation

    monkeypatch.setattr(simulation, "SPLIT_AFTER_S", 20.0)
    outcome = simulate(world, replace(FEW, partitions=1))
    assert outcome.partitions > 1
    assert outcome.rate > 1.2 * WRITES_A_SECOND


@pytest.mark.parametrize("limit", [1_000, 3_500, 5_000])
def test_the_rate_in_slices_is_that_of_the_limiter(limit: int) -> None:
    """Against the limiter itself, request by request on a virtual clock, at an endpoint with a limit."""
    ceiling, seconds = 700, 40

    async def real() -> tuple[float, int]:
        endpoint = Endpoint(latency=0.1, bucket=float(limit), noise=0.2)
        load = Load(ConcurrencyLimiter(ceiling), endpoint, workers=ceiling)
        return await load.for_seconds(seconds), endpoint.refused

    rate, refused = run(real())
    limiter = NodeLimiter(0.1)
    limiter.resize(ceiling, float("inf"))
    accepted = rejected = 0.0
    saved = float(limit)
    for number in range(round(seconds / SLICE_S)):
        saved = min(limit, saved + limit * SLICE_S)
        wanted = limiter.wanted(number * SLICE_S)
        taken = min(wanted, saved)
        saved -= taken
        limiter.ended(number * SLICE_S, taken, wanted - taken)
        accepted += taken
        rejected += wanted - taken
    assert accepted / seconds == pytest.approx(rate, rel=0.04)
    assert rejected / accepted == pytest.approx(refused / (rate * seconds), abs=0.015)


def test_the_least_of_the_limits_counts() -> None:
    assert upload_bounds(10**9, 128) == {"processor": 1_356_800.0, "in flight": 100_000.0, "S3": 224_000}
    assert upload_bounds(10**6, 128)["S3"] == WRITES_A_SECOND
    assert upload_bounds(10**9, 1)["S3"] == WRITES_A_SECOND


# The page


def test_the_page_and_the_chart_are_those_of_the_results() -> None:
    results = load(program.RESULTS)
    assert [each["name"] for each in results] == [scenario.name for scenario in SCENARIOS]
    assert {(each["keys"], each["nodes"]) for each in results} == {(10**9, 128)}
    page = program.PAGE.read_text("utf-8")
    parts = {"constants": constants(), "tables": figures(), "simulation": table(results)}
    assert program.filled_in(page, parts) == page
    assert program.CHART.read_text("utf-8") == draw(results)


def test_a_small_run_is_drawn() -> None:
    documents: list[dict[str, Any]] = list(run_all(300_000, 300, 4))
    picture = draw(documents)
    root = ElementTree.fromstring(picture)  # noqa: S314 - made by the line above
    lines = [each for each in root.iter() if each.tag.endswith("path")]
    assert len(lines) >= 2 * len(SCENARIOS)
    assert "its shard begins again" in picture
    rows = table(documents).splitlines()
    assert len(rows) == 2 + len(SCENARIOS)


def test_a_page_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs one place for tables"):
        program.filled_in("nothing", {"tables": ""})
