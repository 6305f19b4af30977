"""Every case in one line: ours against the best peer, wins and losses alike; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.contenders import OURS
from benchmarks.figures import Figure, fastest, figures_of, ratio
from benchmarks.record import CaseRow, Record, server_name

__all__ = ("LEVEL", "Line", "as_json", "cells", "columns_of", "lines_of", "mark", "summary", "titles_of")

LEVEL = 0.03
"""Two medians that differ by less than this part are called level."""

_ROWS = {
    OURS: "",
    f"{OURS} listing": ", with a listing",
    f"{OURS} manifest lost": ", manifest lost",
}
_CAREFUL = f"{OURS} manifest lost"
"""It compares what the objects contain, so it is held against the peers that do: a size is no content."""


@dataclass(frozen=True, slots=True)
class Line:
    """One of our rows in one case under one condition.

    Attributes:
        title: of the case, with what is special about the row.
        condition: with the endpoint in front of it where there are several.
        ours: its figure.
        peer: the figure of the fastest peer; ``None`` if no peer had a good run.
        times: how many times as fast as that peer; ``None`` where one of them has no good run.
    """

    title: str
    case: str
    server: str
    condition: str
    ours: Figure
    peer: Figure | None
    times: float | None

    @property
    def column(self) -> tuple[str, str]:
        """Endpoint and condition."""
        return (self.server, self.condition)


def lines_of(records: Sequence[Record]) -> list[Line]:
    """Return the lines of all records; of two that measure the same, the later one counts."""
    found = {
        (line.title, *line.column): line
        for record in records
        for case in record.cases
        for line in _lines(record, case)
    }
    return list(found.values())


def _lines(record: Record, case: CaseRow) -> Iterator[Line]:
    figures = figures_of(record, case)
    ours = [figure for figure in figures if not figure.contender.is_peer]
    if figures and not ours:
        # It failed before its first run; a line that is not there would hide that.
        rows = [row for row in record.contenders if row.name == OURS]
        ours = [Figure(row, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, ()) for row in rows]
    # Where only other rows of ours were measured, the first of them is better than no line.
    for mine in [figure for figure in ours if figure.contender.name in _ROWS] or ours[:1]:
        name = mine.contender.name
        more = _ROWS.get(name, f" ({name})")
        best = fastest(figures, comparing=name == _CAREFUL)
        yield Line(
            case.title + more,
            case.name,
            record.server,
            case.condition or "HTTP",
            mine,
            best,
            ratio(mine, best),
        )


def titles_of(lines: Sequence[Line]) -> list[str]:
    """Return each title once, in the order of the lines."""
    return list(dict.fromkeys(line.title for line in lines))


def columns_of(lines: Sequence[Line]) -> dict[tuple[str, str], str]:
    """Return the columns and their headings; the endpoint is in a heading where there are several."""
    columns = dict.fromkeys(line.column for line in lines)
    alone = len({server for server, _ in columns}) == 1
    return {
        (server, condition): condition if alone else f"{condition} on {server_name(server)}"
        for server, condition in columns
    }


def mark(times: float | None) -> str:
    """Return the sign of a win, a loss, or neither; a question mark where nothing can be said."""
    if times is None:
        return "?"
    if abs(times - 1) <= LEVEL:
        return "="
    return "▲" if times > 1 else "▼"


def cells(lines: Sequence[Line]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows of the one table: a row for each title, a column for each condition."""
    columns = columns_of(lines)
    by_place = {(line.title, line.column): line for line in lines}
    rows = [
        (title, *(_cell(by_place.get((title, column))) for column in columns)) for title in titles_of(lines)
    ]
    return ("", *columns.values()), rows


def _cell(line: Line | None) -> str:
    if line is None:
        return ""
    if not line.ours.good:
        return "? ours failed"
    if line.peer is None or line.times is None:
        return f"? {_seconds(line.ours.wall)}, no peer"
    peer = f"{line.peer.contender.name} {_seconds(line.peer.wall)}"
    return f"{mark(line.times)} {line.times:.2f}x: {_seconds(line.ours.wall)}, {peer}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def summary(lines: Sequence[Line]) -> str:
    """Return one sentence: how many wins and losses."""
    marks = [mark(line.times) for line in lines]
    known = [line.times for line in lines if line.times is not None]
    if not known:
        return "Nothing could be compared."
    parts = [f"faster in {marks.count('▲')}", f"level in {marks.count('=')}", f"slower in {marks.count('▼')}"]
    text = f"Of {len(lines)} comparisons, {OURS} is " + ", ".join(parts)
    if unknown := marks.count("?"):
        text += f"; {unknown} could not be made"
    return f"{text}. The median ratio is {median(known):.2f}."


def as_json(records: Sequence[Record], lines: Sequence[Line]) -> str:
    """Return the lines, and where they were measured, for programs."""
    endpoints = [
        {
            "server": each.server,
            "environment": each.environment,
            "settings": each.settings,
            "started": each.started,
            "finished": each.finished,
            "tools": {tool.name: tool.problem or tool.version for tool in each.tools},
            "notes": each.notes,
        }
        for each in records
    ]
    rows = [
        {
            "title": line.title,
            "case": line.case,
            "server": line.server,
            "condition": line.condition,
            "ours": _values(line.ours),
            "fastest_peer": _values(line.peer) if line.peer else None,
            "ratio": None if line.times is None else round(line.times, 3),
        }
        for line in lines
    ]
    return json.dumps({"endpoints": endpoints, "comparisons": rows}, indent=1) + "\n"


def _values(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.contender.name,
        "median_s": round(figure.wall, 4),
        "min_s": round(figure.least, 4),
        "max_s": round(figure.most, 4),
        "cpu_s": round(figure.cpu, 4),
        "peak_mib": round(figure.peak_kib / 1024, 1),
        "good_runs": figure.good,
        "runs": figure.runs,
        "problems": list(figure.problems),
    }
