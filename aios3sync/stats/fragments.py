"""Pieces of the page: tiles, tables, bars. All text passes :func:`text`: no key becomes markup. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from aios3sync.core.text import printable, size_text
from aios3sync.stats.model import Breakdown, Folder, Histogram, Number, ObjectRow
from aios3sync.stats.text import (
    Wording,
    bin_text,
    count_text,
    how_known,
    moment,
    name_text,
    value_text,
)

__all__ = ("badge", "bars", "breakdown", "histogram", "key", "objects", "table", "text", "tile", "tree")

_LONGEST_KEY: Final = 300
"""Characters of a key that are shown; the whole stands in its tooltip."""
_LONGEST_LABEL: Final = 60
_MOST_GROUPS: Final = 12

_COLUMNS: Final = {"#": "n", "=": "key", "-": "less"}

BarRow = tuple[str, int, int]


def text(value: str) -> str:
    """Any text as HTML: markup escaped, and what is no visible character (bidi controls too) spelt out."""
    return escape(printable(value), quote=True)


def key(value: str, longest: int = _LONGEST_KEY) -> str:
    """A key in a direction of its own, shortened in the middle where it is very long."""
    shown, tip = printable(value), ""
    if len(shown) > longest:
        half = longest // 2
        shown, tip = f"{shown[:half]} … {shown[-half:]}", f' title="{text(value)}"'
    return f"<bdi{tip}>{escape(shown)}</bdi>"


def badge(number: Number, wording: Wording) -> str:
    """How a number is known; the reason in its tooltip."""
    tip = f' title="{text(number.note)}"' if number.note else ""
    return f'<span class="known {number.known}"{tip}>{text(how_known(number, wording))}</span>'


def tile(label: str, number: Number, wording: Wording, exactly: str) -> str:
    """One large number; ``exactly`` a second line below it."""
    return (
        f'<div class="tile"><span class="soft">{text(label)}</span><b>{text(value_text(number, wording))}</b>'
        f'<span class="exactly">{text(exactly)}</span>{badge(number, wording)}</div>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """A table of cells that are HTML; ``#`` heads numbers, ``=`` keys, ``-`` what phones leave out."""
    kinds = [_COLUMNS.get(title[:1], "") for title in head]
    titles = "".join(
        f'<th scope="col" class="{kind}">{title.lstrip("#=-")}</th>'
        for title, kind in zip(head, kinds, strict=True)
    )
    lines = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{cell}</td>' for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    named = f"<caption>{caption}</caption>" if caption else ""
    content = f"{named}<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody>"
    return f'<div class="wide"><table>{content}</table></div>'


def bars(rows: Sequence[BarRow], *, caption: str, keys: bool = False) -> str:
    """Rows of label, objects and bytes, each with two bars as long as its part of the longest."""
    most_objects = max((objects for _, objects, _ in rows), default=0) or 1
    most_bytes = max((stored for _, _, stored in rows), default=0) or 1
    lines = "".join(
        f'<tr><th scope="row" class="{"key" if keys else ""}">{key(label, _LONGEST_LABEL)}</th>'
        f'<td class="b">{_bar("stored", stored / most_bytes)}{_bar("objects", objects / most_objects)}</td>'
        f'<td class="n">{text(size_text(stored))}</td><td class="n">{count_text(objects)}</td></tr>'
        for label, objects, stored in rows
    )
    legend = '<span class="legend"><i></i>bytes<i class="objects"></i>objects</span>'
    return (
        f'<table class="bars"><caption>{caption}{legend}</caption><thead><tr><th></th><th></th>'
        f'<th class="n">stored</th><th class="n">objects</th></tr></thead><tbody>{lines}</tbody></table>'
    )


def _bar(name: str, share: float) -> str:
    """A length is an attribute of SVG: the page allows no inline styles."""
    length = max(100 * share, 0.8 if share else 0.0)
    return (
        f'<svg class="bar {name}" aria-hidden="true"><rect width="{length:.2f}%" height="100%" rx="4"/></svg>'
    )


def histogram(values: Histogram) -> str:
    """A histogram as bars; empty bins at both ends are left out."""
    bins = list(values.bins)
    while bins and not bins[-1].objects:
        bins.pop()
    while bins and not bins[0].objects:
        bins.pop(0)
    rows = [(bin_text(values, one), one.objects, one.stored_bytes) for one in bins]
    return bars(rows, caption="") if rows else '<p class="soft">No objects.</p>'


def breakdown(values: Breakdown) -> str:
    """The largest groups as bars, what is left as one more."""
    rows: list[BarRow] = [
        (name_text(one.name), one.objects, one.stored_bytes) for one in values.groups[:_MOST_GROUPS]
    ]
    rest = list(values.groups[_MOST_GROUPS:])
    if values.other is not None:
        rest.append(values.other)
    if rest:
        stored = sum(one.stored_bytes for one in rest)
        rows.append(("all others", sum(one.objects for one in rest), stored))
    if not rows:
        return '<p class="soft">No objects.</p>'
    if values.exact:
        return bars(rows, caption=f"{badge(Number(0), count_text)} ", keys=True)
    known = '<span class="known estimated">at least</span> small groups were put together while counting<br>'
    return bars(rows, caption=known, keys=True)


def objects(rows: Sequence[ObjectRow]) -> str:
    """Objects, one a row."""
    if not rows:
        return '<p class="soft">No objects.</p>'
    lines = (
        (key(row.key), text(size_text(row.size)), text(moment(row.last_modified)), key(row.storage_class, 24))
        for row in rows
    )
    return table(("=key", "#size", "last modified", "-class"), lines)


def tree(folder: Folder, label: str) -> dict[str, Any]:
    """The folders as the script of the page reads them; all names printable."""
    return {
        "name": printable(label),
        "prefix": printable(folder.prefix),
        "objects": folder.objects,
        "bytes": folder.stored_bytes,
        "restObjects": folder.rest_objects,
        "restBytes": folder.rest_stored_bytes,
        "children": [tree(child, child.name or "/") for child in folder.children],
    }
