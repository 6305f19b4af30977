"""Draws the simulation as SVG: requests a second, the work of shards, and when nodes had no more work.

The picture has no background, and its text follows the colour scheme of the reader, so that it can be read on
white and on black.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from benchmarks.scale.results import Document

__all__ = ("draw",)

_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.small { font-size: 11px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.title { font-weight: 600; }
.grid { stroke: #8c959f; stroke-opacity: .35; }
.axis { stroke: #57606a; }
.line { fill: none; stroke-width: 1.8; }
.event { stroke: #57606a; stroke-dasharray: 3 3; }
.c0 { stroke: #1f6fb4; fill: #1f6fb4; }
.c1 { stroke: #d1571b; fill: #d1571b; }
.c2 { stroke: #6f42c1; fill: #6f42c1; }
.c3 { stroke: #2c8a3f; fill: #2c8a3f; }
.c4 { stroke: #8c959f; fill: #8c959f; }
path.line { fill: none; }
.bar { stroke-width: 0; fill-opacity: .75; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .axis, .event { stroke: #c9d1d9; }
  .c0 { stroke: #58a6ff; fill: #58a6ff; }
  .c1 { stroke: #f0883e; fill: #f0883e; }
  .c2 { stroke: #bc8cff; fill: #bc8cff; }
  .c3 { stroke: #56d364; fill: #56d364; }
}"""
_WIDTH, _HEIGHT = 910, 640
_LEFT, _RIGHT = 70, 20
_TOP, _TALL = 96, 230
_LOW_TOP, _LOW = 430, 150
_GAP: Final = 70
_BINS: Final = 24
_BIN: Final = 0.05
"""Width of a bin of the histogram, in fair shares."""

Box = tuple[float, float, float, float]
"""Left, top, width and height of a panel."""


def draw(documents: Sequence[Document]) -> str:
    """Return the picture of some scenarios."""
    half = (_WIDTH - _LEFT - _RIGHT - _GAP) / 2
    above: Box = (_LEFT, _TOP, _WIDTH - _LEFT - _RIGHT, _TALL)
    left: Box = (_LEFT, _LOW_TOP, half, _LOW)
    right: Box = (_LEFT + half + _GAP, _LOW_TOP, half, _LOW)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" aria-label="A sync on many nodes, simulated">'
    )
    parts = [
        opening,
        f"<style>{_STYLE}</style>",
        *_legend(documents),
        *_rates(documents, above),
        *_shards(documents[0], left),
        *_idle(documents, right),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(documents: Sequence[Document]) -> Iterator[str]:
    x, y = 12.0, 16.0
    for number, document in enumerate(documents):
        length = 40 + 6.6 * len(document["name"])
        if x + length > _WIDTH:
            x, y = 12.0, y + 20
        yield f'<line class="line c{number}" x1="{x:.1f}" y1="{y}" x2="{x + 18:.1f}" y2="{y}"/>'
        yield f'<text class="small" x="{x + 24:.1f}" y="{y + 4}">{escape(document["name"])}</text>'
        x += length


def _rates(documents: Sequence[Document], box: Box) -> Iterator[str]:
    left, top, width, height = box
    hours = max(document["seconds"] for document in documents) / 3600
    most = _round_up(max(rate for document in documents for _, rate in document["accepted"]))
    yield _title(box, "Uploads a second, all nodes together; dashed: refused with SlowDown")
    yield from _frame(box, [(most * n / 4, f"{most * n / 4:,.0f}") for n in range(5)], most)
    step = 1 if hours <= 12 else 6
    for hour in range(0, int(hours) + 1, step):
        x = left + width * hour / hours
        yield f'<text class="middle small" x="{x:.1f}" y="{top + height + 18}">{hour} h</text>'

    def path(points: Sequence[Sequence[float]]) -> str:
        places = (
            f"{left + width * seconds / 3600 / hours:.1f},{top + height * (1 - rate / most):.1f}"
            for seconds, rate in points
        )
        return "M" + " L".join(places)

    for number, document in enumerate(documents):
        yield f'<path class="line c{number}" d="{path(document["accepted"])}"/>'
        if document["refused"] > 0.0005:
            refused = path(document["refused_rates"])
            yield f'<path class="line c{number}" stroke-dasharray="4 3" d="{refused}"/>'
        for seconds, text in document["events"]:
            if "split" not in text:
                x = left + width * seconds / 3600 / hours
                yield f'<line class="event" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}"/>'
                place = top + height - (8 if "dies" in text else 24)
                yield f'<text class="small" x="{x + 4:.1f}" y="{place}">{escape(text)}</text>'


def _shards(document: Document, box: Box) -> Iterator[str]:
    left, top, width, height = box
    bins = [0] * _BINS
    first = 1.0 - _BIN * _BINS / 2
    for shard in document["shards"]:
        bins[min(max(int((shard - first) / _BIN), 0), _BINS - 1)] += 1
    most = _round_up(max(bins))
    yield _title(box, f"Work of the {len(document['shards'])} shards, 1 is a fair share")
    yield from _frame(box, [(most * n / 2, f"{most * n / 2:,.0f}") for n in range(3)], most)
    wide = width / _BINS
    for number, count in enumerate(bins):
        tall = height * count / most
        x, y = left + wide * number + 1, top + height - tall
        yield (
            f'<rect class="bar c0" x="{x:.1f}" y="{y:.1f}" width="{wide - 2:.1f}" height="{tall:.1f}">'
            f"<title>{count}</title></rect>"
        )
    for place in (0.5, 0.75, 1.0, 1.25, 1.5):
        x = left + width * (place - first) / (_BIN * _BINS)
        yield f'<text class="middle small" x="{x:.1f}" y="{top + height + 18}">{place:g}</text>'


def _idle(documents: Sequence[Document], box: Box) -> Iterator[str]:
    left, top, width, height = box
    most = _round_up(max(document["seconds"] for document in documents) / 3600)
    yield _title(box, "Hours until a node has no more work, nodes sorted")
    yield from _frame(box, [(most * n / 2, f"{most * n / 2:g}") for n in range(3)], most)
    for number, document in enumerate(documents):
        nodes = document["idle_from"]
        places = (
            f"{left + width * place / max(len(nodes) - 1, 1):.1f},"
            f"{top + height * (1 - seconds / 3600 / most):.1f}"
            for place, seconds in enumerate(nodes)
        )
        yield f'<path class="line c{number}" d="M{" L".join(places)}"/>'


def _title(box: Box, text: str) -> str:
    return f'<text class="title" x="{box[0]:.1f}" y="{box[1] - 12:.1f}">{escape(text)}</text>'


def _frame(box: Box, marks: Sequence[tuple[float, str]], most: float) -> Iterator[str]:
    left, top, width, height = box
    for value, label in marks:
        y = top + height * (1 - value / most)
        kind = "grid" if value else "axis"
        yield f'<line class="{kind}" x1="{left:.1f}" y1="{y:.1f}" x2="{left + width:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="end small" x="{left - 8:.1f}" y="{y + 4:.1f}">{label}</text>'


def _round_up(value: float) -> float:
    """Return the next number of one or two digits and zeros that is not less."""
    unit = 10.0 ** math.floor(math.log10(max(value, 1e-9)))
    return next(step * unit for step in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if step * unit >= value)
