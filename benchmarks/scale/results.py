"""The outcomes of the scenarios, kept as JSON, and the table of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.scale.figures import duration
from benchmarks.scale.simulation import Outcome, Scenario, simulate
from benchmarks.scale.world import make_world

__all__ = ("SCENARIOS", "as_document", "load", "run_all", "table")

SCENARIOS: Final = (
    Scenario("spread, 64 partitions"),
    Scenario("in key order", key_order=True),
    Scenario("16 partitions", partitions=16),
    Scenario("one node dies, one is slow", dies_at=0.3, slow=260.0),
    Scenario("one shard a node, one is slow", shards_a_node=1, slow=260.0),
)
_POINTS: Final = 160
"""Points of a line of the chart."""

Document = Mapping[str, Any]


def run_all(keys: int, directories: int, nodes: int) -> Iterator[dict[str, Any]]:
    """Run every scenario; yield its document."""
    from dataclasses import replace

    world = make_world(keys, directories, 0.3, 1)
    for scenario in SCENARIOS:
        yield as_document(simulate(world, replace(scenario, nodes=nodes)), keys)


def as_document(outcome: Outcome, keys: int) -> dict[str, Any]:
    """Return what the chart and the table need of an outcome."""
    fair = keys / len(outcome.shards)
    return {
        "name": outcome.scenario.name,
        "keys": keys,
        "nodes": outcome.scenario.nodes,
        "seconds": round(outcome.seconds, 1),
        "rate": round(outcome.rate),
        "refused": round(outcome.refused / outcome.uploaded, 5),
        "compared": outcome.compared,
        "partitions": [outcome.scenario.partitions, outcome.partitions],
        "imbalance": round(outcome.imbalance, 3),
        "shards": sorted(round(shard / fair, 3) for shard in outcome.shards),
        "idle_from": sorted(round(seconds) for seconds in outcome.idle_from),
        "accepted": _thinned(outcome.accepted_rates),
        "refused_rates": _thinned(outcome.refused_rates),
        "events": [[round(seconds), text] for seconds, text in outcome.events],
    }


def _thinned(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Return fewer points, each the mean of its neighbours."""
    points = points[:-1] or points  # the last one is of a shorter time
    step = -(-len(points) // _POINTS)
    groups = (points[start : start + step] for start in range(0, len(points), step))
    return [[round(group[-1][0]), round(sum(rate for _, rate in group) / len(group), 1)] for group in groups]


def load(path: Path) -> list[Document]:
    """Return the documents of a file."""
    documents: list[Document] = json.loads(path.read_text("utf-8"))
    return documents


def table(documents: Sequence[Document]) -> str:
    """Return the table of the scenarios, in Markdown."""
    lines = [
        "| scenario | time | uploads /s | refused | heaviest shard | first and last idle node | partitions |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in documents:
        idle = f"{duration(each['idle_from'][0])}, {duration(each['idle_from'][-1])}"
        before, after = each["partitions"]
        cells = [
            each["name"],
            duration(each["seconds"]),
            f"{each['rate']:,}",
            f"{each['refused']:.2%}",
            f"{each['imbalance']:.2f} x",
            idle,
            f"{before}" if before == after else f"{before}, then {after}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
