"""Lays out the statistics of a bucket as tables for a terminal of any width; prints nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aios3sync.cli.output.cells import without_middle
from aios3sync.core.text import printable, size_text
from aios3sync.stats.model import Breakdown, BucketStats, Histogram, ListedObject, Number
from aios3sync.stats.text import (
    Wording,
    bin_text,
    count_text,
    figures,
    how_known,
    incomplete,
    kind_text,
    moment,
    name_text,
    origin_text,
    value_text,
)

__all__ = ("stats_lines", "stats_tables")

_STYLES: Final = {"exact": "green", "sampled": "magenta", "estimated": "magenta", "unknown": "dim"}
_ROOMY: Final = 60
"""The columns that are needed for bars and for the accuracy of numbers."""
_MOST_GROUPS: Final = 6
_MOST_OBJECTS: Final = 5
_BAR: Final = 18

GroupRow = tuple[str, int, int]


def stats_lines(stats: BucketStats, width: int, *, color: bool = False, plain: bool = False) -> list[str]:
    """Return the tables as lines, none wider than ``width`` columns.

    Args:
        stats: the numbers.
        width: of the terminal.
        color: add colour codes.
        plain: only ASCII.
    """
    console = Console(
        file=io.StringIO(),
        width=max(width, 20),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(stats_tables(stats, width, plain=plain))
    lines = capture.get().removesuffix("\n").split("\n")
    return [line.rstrip() for line in lines] if not color else lines


def stats_tables(stats: BucketStats, width: int, *, plain: bool = False) -> RenderableType:
    """Return the tables, the most important ones first."""
    return Group(*_parts(stats, width, plain))


def _parts(stats: BucketStats, width: int, plain: bool) -> Iterator[RenderableType]:
    yield Text(printable(stats.location), style="bold", overflow="fold")
    every = " (HEAD of every object)" if stats.every else ""
    yield Text(f"{stats.mode}{every}, {origin_text(stats)}", style="dim")
    if sentence := incomplete(stats):
        yield Text(sentence, style="bold white on red")
    yield Text()
    yield _figures(stats, width)
    if len(stats.kinds) > 1:
        yield _titled("by how they are stored", _kinds(stats, width))
    for title, groups in (
        ("top folders", stats.top_folders),
        ("extensions", stats.extensions),
        ("storage classes", stats.storage_classes),
    ):
        if len(groups.groups) > 1:
            more = "" if groups.exact else " (lower bounds: small groups were merged while counting)"
            yield _titled(f"{title}{more}", _groups(_shown(groups), width, plain))
    for title, histogram in (("sizes", stats.sizes), ("ages", stats.ages)):
        if rows := _binned(histogram):
            yield _titled(title, _groups(rows, width, plain))
    for title, objects in (("largest", stats.largest), ("newest", stats.newest)):
        if objects:
            yield _titled(title, _objects(objects, width))
    yield Text()


def _titled(title: str, content: RenderableType) -> RenderableType:
    return Padding(Group(Text(title, style="bold", overflow="fold"), content), (1, 0, 0, 0))


def _grid(*columns: str) -> Table:
    """Return a table without rules; its columns are ``n``, numbers, ``k``, keys, or ``t``, short text."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for column in columns:
        if column == "k":
            table.add_column(overflow="ellipsis", no_wrap=True, ratio=None, min_width=8)
        elif column == "n":
            table.add_column(justify="right", no_wrap=True)
        else:
            table.add_column(overflow="fold")
    return table


def _figures(stats: BucketStats, width: int) -> Table:
    table = _grid("t", "n", "t")
    last_note = ""
    for label, number, wording in figures(stats):
        if number.known == "exact" and not number.value and label not in ("objects", "stored"):
            continue  # an exact 0 of something optional is not worth a row
        value = value_text(number, wording)
        table.add_row(Text(label), Text(value, style="bold"), _known(number, wording, width))
        if number.note and number.note != last_note and width >= _ROOMY:
            table.add_row("", "", Text(printable(number.note), style="dim"))
        last_note = number.note
    return table


def _known(number: Number, wording: Wording, width: int) -> Text:
    words = how_known(number, wording) if width >= _ROOMY else number.known
    return Text(words, style=_STYLES[number.known])


def _kinds(stats: BucketStats, width: int) -> Table:
    table = _grid("t", "n", "n", "n")
    table.add_row("", *(Text(title, style="dim") for title in ("objects", "stored", "original")))
    for kind in stats.kinds:
        name = kind_text(kind.name) if width >= _ROOMY else kind.name
        table.add_row(
            Text(name),
            value_text(kind.objects, count_text),
            value_text(kind.stored_bytes, size_text),
            value_text(kind.original_bytes, size_text),
        )
    return table


def _shown(groups: Breakdown) -> list[GroupRow]:
    """Return the largest groups, and the others joined to one."""
    rows = [(name_text(one.name), one.objects, one.stored_bytes) for one in groups.groups[:_MOST_GROUPS]]
    rest = list(groups.groups[_MOST_GROUPS:])
    if groups.other is not None:
        rest.append(groups.other)
    if rest:
        rows.append(("all others", sum(one.objects for one in rest), sum(one.stored_bytes for one in rest)))
    return rows


def _binned(histogram: Histogram) -> list[GroupRow]:
    return [
        (bin_text(histogram, one), one.objects, one.stored_bytes) for one in histogram.bins if one.objects
    ]


def _groups(rows: Sequence[GroupRow], width: int, plain: bool) -> Table:
    roomy = width >= _ROOMY
    table = _grid("k", "n", "n", *("t" * roomy))
    most = max((stored for _, _, stored in rows), default=0) or 1
    for name, objects, stored in rows:
        cells: list[Text | str] = [
            Text(_fitting(name, max(width - 22 - (_BAR + 4) * roomy, 8))),
            count_text(objects),
            size_text(stored),
        ]
        if roomy:
            filled = round(_BAR * stored / most) or int(bool(stored))
            cells.append(Text(("#" if plain else "━") * filled, style="green"))
        table.add_row(*cells)
    return table


def _objects(objects: Sequence[ListedObject], width: int) -> Table:
    roomy = width >= _ROOMY
    table = _grid("n", *("t" * roomy), "k")
    for row in objects[:_MOST_OBJECTS]:
        room = max(width - 12 - 22 * roomy, 8)
        when = [Text(moment(row.last_modified), style="dim")] if roomy else []
        table.add_row(size_text(row.size), *when, Text(_fitting(row.key, room)))
    return table


def _fitting(name: str, room: int) -> str:
    """Return the name; if it is too long its middle is cut, as both ends distinguish a key."""
    return without_middle(printable(name), room, "...")
