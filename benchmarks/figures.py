"""From runs to figures: medians, spread, and ratios to the fastest peer of the same table; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.record import CaseRow, ContenderRow, Record, Run

__all__ = ("Figure", "fastest", "figures_of", "ratio")


@dataclass(frozen=True, slots=True)
class Figure:
    """Summary of the runs of one contender in one case; the times are those of its good runs.

    Attributes:
        wall, least, most: median, minimum and maximum of the wall time in seconds; 0 without a good run.
        cpu: median of user and system time together.
        peak_kib: the largest of all runs.
        good, runs: how many runs were good, and how many there were.
        problems: of the other runs, each text once.
    """

    contender: ContenderRow
    wall: float
    least: float
    most: float
    cpu: float
    peak_kib: int
    good: int
    runs: int
    problems: tuple[str, ...]


def figures_of(record: Record, case: CaseRow) -> list[Figure]:
    """Return one figure for each contender that took part, in the order of the record."""
    runs = [run for run in record.runs if (run.case, run.condition) == (case.name, case.condition)]
    by_name = {row.name: [run for run in runs if run.contender == row.name] for row in record.contenders}
    return [_figure(row, by_name[row.name]) for row in record.contenders if by_name[row.name]]


def _figure(contender: ContenderRow, runs: Sequence[Run]) -> Figure:
    good = [run for run in runs if run.is_good]
    walls = [run.wall_s for run in good] or [0.0]
    return Figure(
        contender=contender,
        wall=median(walls),
        least=min(walls),
        most=max(walls),
        cpu=median([run.user_s + run.system_s for run in good] or [0.0]),
        peak_kib=max((run.peak_kib for run in good), default=0),
        good=len(good),
        runs=len(runs),
        problems=tuple(dict.fromkeys(run.problem for run in runs if run.problem)),
    )


def fastest(figures: Iterable[Figure], *, comparing: bool = False) -> Figure | None:
    """Return the peer with the least median of good runs, of all or of those that compare contents."""
    peers = [
        figure
        for figure in figures
        if figure.contender.is_peer and figure.good and (figure.contender.compares_contents or not comparing)
    ]
    return min(peers, key=lambda figure: figure.wall, default=None)


def ratio(figure: Figure, other: Figure | None) -> float | None:
    """Return how many times as fast as ``other``; ``None`` where one of them has no good run."""
    if other is None or not figure.good or not figure.wall:
        return None
    return other.wall / figure.wall
