"""Draws the medians of one record; a script for the environment that has matplotlib, and for that alone.

``python chart.py RESULTS.json CHART.png``: one panel a case, a bar each, whiskers from minimum to maximum.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from benchmarks.figures import Figure, figures_of
from benchmarks.record import CaseRow, Record, load

_OURS, _THEIRS = "#1f6fb4", "#b0b7bf"


def draw(record: Record, path: Path) -> None:
    """Draw all cases, one below the other."""
    cases = [(case, _drawable(record, case)) for case in record.cases]
    cases = [(case, figures) for case, figures in cases if figures]
    if not cases:
        return
    heights = [1.0 + len(figures) for _, figures in cases]
    size = (9, 0.27 * sum(heights) + 1)
    picture, axes = plt.subplots(
        len(cases), 1, figsize=size, height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (case, figures) in zip(axes[:, 0], cases, strict=True):
        _panel(axis, case, figures)
    picture.suptitle(f"Seconds on {record.server}: median, minimum and maximum (less is better)", fontsize=10)
    picture.savefig(path, dpi=110)


def _drawable(record: Record, case: CaseRow) -> list[Figure]:
    figures = [figure for figure in figures_of(record, case) if figure.good]
    return sorted(figures, key=lambda figure: -figure.wall)


def _panel(axis: Any, case: CaseRow, figures: list[Figure]) -> None:
    names = [figure.contender.name for figure in figures]
    medians = [figure.wall for figure in figures]
    below = [figure.wall - figure.least for figure in figures]
    above = [figure.most - figure.wall for figure in figures]
    colours = [_THEIRS if figure.contender.is_peer else _OURS for figure in figures]
    axis.barh(names, medians, color=colours, xerr=[below, above], ecolor="#444", capsize=2)
    axis.set_title(case.title, fontsize=9, loc="left")
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    for place, figure in enumerate(figures):
        axis.annotate(
            f"{figure.wall:.2f}",
            (figure.most, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )


if __name__ == "__main__":
    draw(load(Path(sys.argv[1])), Path(sys.argv[2]))
