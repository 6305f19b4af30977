"""The tables of the results: rows of text from figures, for the terminal and for Markdown; prints nothing."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import Figure, fastest, figures_of, ratio
from benchmarks.record import CaseRow, Record

__all__ = ("HEADINGS", "aligned", "rows_of")

HEADINGS = (
    "",
    "median s",
    "min to max s",
    "speed",
    "CPU s",
    "CPU/item",
    "peak MiB",
    "x fastest peer",
    "good runs",
)
_MIB = 1024**2
_LARGE_FILE = 64 * _MIB
_LARGE = 1024 * _MIB
"""The unit in which the CPU of large files is counted, 1 GiB."""


def rows_of(record: Record, case: CaseRow) -> list[tuple[str, ...]]:
    """Return one row for each contender, the fastest first; those without a good run last."""
    figures = figures_of(record, case)
    best = fastest(figures)
    ordered = sorted(figures, key=lambda figure: (not figure.good, figure.wall))
    return [_row(figure, case, best) for figure in ordered]


def _row(figure: Figure, case: CaseRow, best: Figure | None) -> tuple[str, ...]:
    good = f"{figure.good} of {figure.runs}"
    if not figure.good:
        return (figure.contender.name, *("-",) * 7, good)
    times = ratio(figure, best)
    return (
        figure.contender.name,
        f"{figure.wall:.3f}",
        f"{figure.least:.3f} to {figure.most:.3f}",
        _speed(figure, case),
        f"{figure.cpu:.2f}",
        _each(figure, case),
        f"{figure.peak_kib / 1024:.0f}",
        "-" if times is None else f"{times:.2f}",
        good,
    )


def _speed(figure: Figure, case: CaseRow) -> str:
    if _is_large(case):
        return f"{case.total_bytes / figure.wall / _MIB:,.0f} MiB/s"
    return f"{case.items / figure.wall:,.0f}/s"


def _each(figure: Figure, case: CaseRow) -> str:
    """Return the CPU time of one item: microseconds of a file, milliseconds of a GiB."""
    if _is_large(case):
        return f"{1000 * figure.cpu / (case.total_bytes / _LARGE):,.0f} ms/GiB"
    return f"{1e6 * figure.cpu / case.items:,.0f} µs"


def _is_large(case: CaseRow) -> bool:
    return case.total_bytes >= _LARGE_FILE * case.items


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines for a terminal: the first column aligned to the left, the others to the right."""
    widths = [max(len(row[place]) for row in (headings, *rows)) for place in range(len(headings))]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (headings, *rows)
    ]
