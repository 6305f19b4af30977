"""Draws the overview as SVG: a row for each case, a mark for each condition, right of the middle is faster.

The picture has no background, and its text follows the colour scheme of the reader, so that it can be read on
white and on black. Wins and losses differ in place and in colour, conditions in shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from benchmarks.overview import LEVEL, Line, columns_of, titles_of

__all__ = ("draw",)

_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.small { font-size: 11px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.grid { stroke: #8c959f; stroke-opacity: .35; }
.one { stroke: #57606a; stroke-width: 1.5; }
.span { stroke: #8c959f; stroke-width: 2; stroke-opacity: .6; }
.win { fill: #1f6fb4; stroke: #1f6fb4; }
.loss { fill: #d1571b; stroke: #d1571b; }
.level { fill: #8c959f; stroke: #8c959f; }
.hollow { fill-opacity: 0; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .one { stroke: #c9d1d9; }
  .win { fill: #58a6ff; stroke: #58a6ff; }
  .loss { fill: #f0883e; stroke: #f0883e; }
}"""
_OPENING: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
    'height="{height}" role="img" aria-label="Speed against the fastest peer, case by case">'
)
_LEFT, _WIDTH, _RIGHT = 400, 480, 30
_TOP, _ROW, _BOTTOM = 44, 22, 34
_LEGEND_ROW: Final = 20
_MOST: Final = 4.0
"""The axis ends at this power of two; a mark beyond it is drawn there, with its figure in the table."""


def draw(lines: Sequence[Line]) -> str:
    """Return the picture of the lines."""
    lines = [line for line in lines if line.times]
    titles = titles_of(lines)
    columns = list(columns_of(lines).items())
    known = [abs(math.log2(line.times)) for line in lines if line.times]
    reach = min(_MOST, max(1.0, math.ceil(max(known, default=1.0))))
    legend, rows = _legend([heading for _, heading in columns])
    top = _TOP + _LEGEND_ROW * rows
    bottom = top + _ROW * len(titles)
    width, height = _LEFT + _WIDTH + _RIGHT, bottom + _BOTTOM
    parts = [
        _OPENING.format(width=width, height=height),
        f"<style>{_STYLE}</style>",
        *legend,
        *_axis(reach, top, bottom),
    ]
    for number, title in enumerate(titles):
        y = top + _ROW * number + _ROW / 2
        parts.append(f'<text class="end" x="{_LEFT - 12}" y="{y + 4:.1f}">{escape(title)}</text>')
        mine = [line for line in lines if line.title == title]
        parts += _marks(mine, [column for column, _ in columns], y, reach)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(times: float, reach: float) -> float:
    place = max(-reach, min(reach, math.log2(times)))
    return _LEFT + _WIDTH * (place + reach) / (2 * reach)


def _axis(reach: float, top: float, bottom: float) -> Iterator[str]:
    middle = _x(1.0, reach)
    yield f'<text class="end" x="{middle - 14:.1f}" y="{top - 12}">← the fastest peer is faster</text>'
    yield f'<text x="{middle + 14:.1f}" y="{top - 12}">aios3sync is faster →</text>'
    for power in range(-int(reach), int(reach) + 1):
        x = _x(2.0**power, reach)
        kind = "grid" if power else "one"
        yield f'<line class="{kind}" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>'
        label = f"{2**power}x" if power >= 0 else f"1/{2**-power}"
        yield f'<text class="middle small" x="{x:.1f}" y="{bottom + 18}">{label}</text>'


def _legend(headings: Sequence[str]) -> tuple[list[str], int]:
    """Return the marks with their meaning, and the number of rows that they take."""
    parts, x, row = [], 12.0, 0
    for number, heading in enumerate(headings):
        length = 34 + 6.5 * len(heading)
        if x > 12 and x + length > _LEFT + _WIDTH + _RIGHT:
            x, row = 12.0, row + 1
        y = 16 + _LEGEND_ROW * row
        parts.append(_shape(number, x, y, "level"))
        parts.append(f'<text class="small" x="{x + 10:.1f}" y="{y + 4}">{escape(heading)}</text>')
        x += length
    return parts, row + 1


def _marks(
    lines: Sequence[Line], columns: Sequence[tuple[str, str]], y: float, reach: float
) -> Iterator[str]:
    places = {line.column: _x(line.times, reach) for line in lines if line.times}
    if len(places) > 1:
        ends = (min(places.values()), max(places.values()))
        yield f'<line class="span" x1="{ends[0]:.1f}" y1="{y:.1f}" x2="{ends[1]:.1f}" y2="{y:.1f}"/>'
    for line in lines:
        if line.times:
            kind = "level" if abs(line.times - 1) <= LEVEL else "win" if line.times > 1 else "loss"
            caption = f"{line.title}, {line.condition}: {line.times:.2f}x"
            yield _shape(columns.index(line.column), places[line.column], y, kind, caption)


def _shape(number: int, x: float, y: float, kind: str, caption: str = "") -> str:
    """Return the mark of a column: circles, then squares, then diamonds; every other hollow."""
    classes = f"{kind} hollow" if number % 2 else kind
    title = f"<title>{escape(caption)}</title>" if caption else ""
    if number // 2 == 0:
        return f'<circle class="{classes}" cx="{x:.1f}" cy="{y:.1f}" r="5">{title}</circle>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if number // 2 > 1 else ""
    return (
        f'<rect class="{classes}" x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"{turn}>'
        f"{title}</rect>"
    )
