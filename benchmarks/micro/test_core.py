"""Microbenchmarks of the pure core: joining the three streams, deciding a key; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync.core.actions import Keep, Upload
from aios3sync.core.decision import UNKNOWN, decide
from aios3sync.core.merge import merge_join
from aios3sync.core.policy import Policy

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from aios3sync.core.actions import Action
    from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry


def test_merge_join(
    benchmark: BenchmarkFixture,
    sources: list[SourceEntry],
    recorded: list[RecordedEntry],
    targets: list[TargetEntry],
) -> None:
    """Three equal streams become as many rows."""
    count = benchmark(lambda: sum(1 for _ in merge_join(sources, recorded, targets)))
    assert count == len(sources)


def test_decide_unchanged(
    benchmark: BenchmarkFixture, sources: list[SourceEntry], recorded: list[RecordedEntry]
) -> None:
    """The decision of a run without changes and without a listing."""
    policy = Policy(delete="tracked")

    def work() -> list[Action]:
        return [decide(file, row, UNKNOWN, policy) for file, row in zip(sources, recorded, strict=True)]

    assert all(isinstance(action, Keep) for action in benchmark(work))


def test_decide_new(benchmark: BenchmarkFixture, sources: list[SourceEntry]) -> None:
    """The decision of a first run."""
    policy = Policy()

    def work() -> list[Action]:
        return [decide(file, None, None, policy) for file in sources]

    assert all(isinstance(action, Upload) for action in benchmark(work))
