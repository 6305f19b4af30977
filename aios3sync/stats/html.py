"""The statistics of a bucket as one self-contained HTML page, which sends no request.

The content security policy of the page allows its one script and one style sheet, by their digests, and no
request at all. See https://www.w3.org/TR/CSP3/.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from importlib import resources
from typing import Any, Final

from aios3sync.core.text import count, duration, printable, size_text
from aios3sync.errors import UsageError
from aios3sync.stats.model import (
    Breakdown,
    BucketStats,
    FolderTotals,
    Histogram,
    ListedObject,
    Number,
    ObjectKind,
)
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
    share_text,
    value_text,
)

__all__ = ("check_page_path", "render_page", "write_page")

_LONGEST_KEY: Final = 300
"""Characters of a key that are shown; the whole key is in the tooltip."""
_LONGEST_LABEL: Final = 60
_MOST_GROUPS: Final = 12

_COLUMNS: Final = {"#": "n", "=": "key", "-": "less"}
"""CSS classes of columns by the first character of their titles, see :func:`_table`."""

_BarRow = tuple[str, int, int]
"""Label, objects, stored bytes."""


def check_page_path(path: str | os.PathLike[str]) -> None:
    """Check before a long count that the page can be written.

    Raises:
        UsageError: it cannot; the message names the file, the reason and a remedy.
    """
    target = os.path.realpath(path)
    directory = os.path.dirname(target)
    problem = ""
    if not os.path.isdir(directory):
        problem = "there is no such directory; make it first"
    elif os.path.isdir(target):
        problem = "it is a directory; name a file in it"
    elif os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
        problem = "it is no regular file; name another one"
    elif not os.access(directory, os.W_OK):
        problem = "its directory is not writable; name another place"
    if problem:
        raise UsageError(f"the page {os.fspath(path)!r} cannot be written: {problem}")


def write_page(stats: BucketStats, path: str | os.PathLike[str]) -> None:
    """Write the page atomically: readers of the file see the old page or the new one, whole.

    Blocking; the file gets the permissions that the process gives to new files.

    Raises:
        UsageError: it cannot be written.
    """
    check_page_path(path)
    target = os.path.realpath(path)
    temporary = f"{target}.{secrets.token_hex(4)}.part"
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(render_page(stats).encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(
            f"the page {os.fspath(path)!r} cannot be written: {reason}; name another place"
        ) from error


def render_page(stats: BucketStats) -> str:
    """Return the page as HTML."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">\n'
        f"<title>{_text(stats.location)}: statistics</title>\n<style>{style}</style></head>\n<body>\n"
    )
    body = "\n".join((*_top(stats), *_charts(stats), *_tables(stats), _foot(stats)))
    folders = json.dumps(_tree(stats.folders, stats.location), ensure_ascii=True)
    # In a script element only "<" could end it; as an escape of JSON it is the same text.
    safe = folders.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return (
        f'{head}{body}\n<script type="application/json" id="tree">{safe}</script>\n'
        f"<script>{script}</script>\n</body></html>\n"
    )


def _asset(name: str) -> str:
    return (resources.files("aios3sync.stats") / "assets" / name).read_text("utf-8")


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _top(stats: BucketStats) -> tuple[str, ...]:
    counted = f"{stats.mode}{' (every object asked)' if stats.every else ''}, {origin_text(stats)}"
    exactly = (
        ("objects", stats.objects, count_text, _top_folders(stats)),
        ("stored", stats.stored_bytes, size_text, _bytes(stats.stored_bytes)),
        *(_compression(stats) if _is_compressed(stats) else ()),
    )
    of = f" The numbers are of {moment(stats.computed_at)}." if stats.computed_at else ""
    return (
        f'<header><h1>{_key(stats.location)}</h1><p class="soft">{_text(f"{counted}.{of}")}</p></header>',
        _alarm(stats),
        f'<div class="tiles">{"".join(_tile(*one) for one in exactly)}</div>',
    )


def _is_compressed(stats: BucketStats) -> bool:
    """Return whether there is anything that is stored in another form than it was given."""
    return any(kind.name != "direct" and kind.objects.value != 0 for kind in stats.kinds)


def _compression(stats: BucketStats) -> tuple[tuple[str, Number, Wording, str], ...]:
    share = f"{value_text(stats.ratio, share_text)} of the original"
    return (
        ("before compression", stats.original_bytes, size_text, _bytes(stats.original_bytes)),
        ("saved", stats.saved_bytes, size_text, share),
    )


def _bytes(number: Number) -> str:
    """Return all digits of an exact number."""
    return f"{number.value:,.0f} bytes" if number.value is not None and number.known == "exact" else ""


def _top_folders(stats: BucketStats) -> str:
    folders = stats.top_folders.groups
    return f"in {count(len(folders), 'folder')} at the top" if folders else ""


def _alarm(stats: BucketStats) -> str:
    """Return the warnings, which a reader has to see before any number."""
    sentences = "".join(f"<li>{_text(warning)}</li>" for warning in stats.warnings)
    listed = f"<ul>{sentences}</ul>" if sentences else ""
    if sentence := incomplete(stats):
        return f'<div class="alarm" role="alert"><strong>{_text(sentence)}</strong>{listed}</div>'
    return f'<div class="alarm mild"><strong>Please note</strong>{listed}</div>' if listed else ""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{content}</section>"


def _charts(stats: BucketStats) -> tuple[str, ...]:
    treemap = (
        '<nav id="where" aria-label="Folder shown"></nav><div id="map" role="group" aria-label="Treemap of '
        'folders: areas are stored bytes"></div><p id="status" role="status"></p>'
        '<p class="soft"><small>Areas are stored bytes. Click a folder to open it; with the keyboard: Tab or '
        "arrows to go about, Enter to open, Escape to go up.</small></p>"
        "<noscript><p>The picture needs the script of this page; the folders are listed below.</p></noscript>"
    )
    return (
        _section("Where the bytes are", treemap),
        '<div class="pair">' + _section("Sizes", _histogram(stats.sizes)),
        _section("Ages", _histogram(stats.ages)) + "</div>",
        '<div class="pair">' + _section("Storage classes", _breakdown(stats.storage_classes)),
        _section("Extensions", _breakdown(stats.extensions)) + "</div>",
        _section("Folders at the top", _breakdown(stats.top_folders)),
    )


def _tables(stats: BucketStats) -> tuple[str, ...]:
    kinds = _table(
        ("kind", "#objects", "#stored", "#original"),
        map(_kind_row, stats.kinds),
    )
    known = _table(
        ("number", "#value", "known"),
        (
            (
                _text(label),
                _text(value_text(number, wording)),
                f'{_badge(number, wording)} <small class="why">{_text(number.note)}</small>',
            )
            for label, number, wording in figures(stats)
        ),
    )
    return (
        _section("Largest objects", _objects(stats.largest)),
        _section("Newest objects", _objects(stats.newest)),
        _section("How the objects are stored", kinds),
        _section("How each number is known", known),
    )


def _kind_row(kind: ObjectKind) -> tuple[str, ...]:
    numbers = (
        (kind.objects, count_text),
        (kind.stored_bytes, size_text),
        (kind.original_bytes, size_text),
    )
    cells = (
        f"{_text(value_text(number, wording))}<br>{_badge(number, wording)}" for number, wording in numbers
    )
    return (_text(kind_text(kind.name)), *cells)


def _foot(stats: BucketStats) -> str:
    requests = ", ".join(f"{name} {number:,}" for name, number in sorted(stats.requests.items())) or "none"
    heads = stats.heads
    asked = (
        f" Of {count(heads.asked, 'object')} that were asked, {heads.answered:,} answered, "
        f"{heads.vanished:,} had vanished and {heads.failed:,} failed."
        if heads.asked
        else ""
    )
    return (
        f"<footer>Objects below .deltaglider/ and .aios3sync/ are in none of the numbers.{_text(asked)} "
        f"Requests: {_text(requests)}; {_text(duration(stats.elapsed_s))}. Made by aios3sync.</footer>"
    )


# Fragments of the page


def _text(value: str) -> str:
    """Return any text as HTML: markup escaped, and invisible characters (bidi controls too) spelt out."""
    return escape(printable(value), quote=True)


def _key(value: str, longest: int = _LONGEST_KEY) -> str:
    """Return a key with its own text direction, shortened in the middle where it is very long."""
    shown, tip = printable(value), ""
    if len(shown) > longest:
        half = longest // 2
        shown, tip = f"{shown[:half]} … {shown[-half:]}", f' title="{_text(value)}"'
    return f"<bdi{tip}>{escape(shown)}</bdi>"


def _badge(number: Number, wording: Wording) -> str:
    """Return how a number is known, with the reason as a tooltip."""
    tip = f' title="{_text(number.note)}"' if number.note else ""
    return f'<span class="known {number.known}"{tip}>{_text(how_known(number, wording))}</span>'


def _tile(label: str, number: Number, wording: Wording, exactly: str) -> str:
    """Return one large number, with ``exactly`` as a second line below it."""
    return (
        f'<div class="tile"><span class="soft">{_text(label)}</span>'
        f"<b>{_text(value_text(number, wording))}</b>"
        f'<span class="exactly">{_text(exactly)}</span>{_badge(number, wording)}</div>'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Return a table of cells that are HTML.

    Titles begin with ``#`` for numbers, ``=`` for keys, ``-`` for a column that narrow screens leave out.
    """
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


def _bars(rows: Sequence[_BarRow], *, caption: str, keys: bool = False) -> str:
    """Return rows of label, objects and bytes, each with two bars relative to the longest."""
    most_objects = max((objects for _, objects, _ in rows), default=0) or 1
    most_bytes = max((stored for _, _, stored in rows), default=0) or 1
    lines = "".join(
        f'<tr><th scope="row" class="{"key" if keys else ""}">{_key(label, _LONGEST_LABEL)}</th>'
        f'<td class="b">{_bar("stored", stored / most_bytes)}{_bar("objects", objects / most_objects)}</td>'
        f'<td class="n">{_text(size_text(stored))}</td><td class="n">{count_text(objects)}</td></tr>'
        for label, objects, stored in rows
    )
    legend = '<span class="legend"><i></i>bytes<i class="objects"></i>objects</span>'
    return (
        f'<table class="bars"><caption>{caption}{legend}</caption><thead><tr><th></th><th></th>'
        f'<th class="n">stored</th><th class="n">objects</th></tr></thead><tbody>{lines}</tbody></table>'
    )


def _bar(name: str, share: float) -> str:
    """Return one bar; its length is an attribute of SVG, because the page allows no inline styles."""
    length = max(100 * share, 0.8 if share else 0.0)
    return (
        f'<svg class="bar {name}" aria-hidden="true"><rect width="{length:.2f}%" height="100%" rx="4"/></svg>'
    )


def _histogram(values: Histogram) -> str:
    """Return a histogram as bars; empty bins at both ends are left out."""
    bins = list(values.bins)
    while bins and not bins[-1].objects:
        bins.pop()
    while bins and not bins[0].objects:
        bins.pop(0)
    rows = [(bin_text(values, one), one.objects, one.stored_bytes) for one in bins]
    return _bars(rows, caption="") if rows else '<p class="soft">No objects.</p>'


def _breakdown(values: Breakdown) -> str:
    """Return the largest groups as bars, and all the rest as one more."""
    rows: list[_BarRow] = [
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
        return _bars(rows, caption=f"{_badge(Number(0), count_text)} ", keys=True)
    known = '<span class="known estimated">at least</span> small groups were put together while counting<br>'
    return _bars(rows, caption=known, keys=True)


def _objects(rows: Sequence[ListedObject]) -> str:
    """Return a table of objects."""
    if not rows:
        return '<p class="soft">No objects.</p>'
    lines = (
        (
            _key(row.key),
            _text(size_text(row.size)),
            _text(moment(row.last_modified)),
            _key(row.storage_class, 24),
        )
        for row in rows
    )
    return _table(("=key", "#size", "last modified", "-class"), lines)


def _tree(folder: FolderTotals, label: str) -> dict[str, Any]:
    """Return the folders as the script of the page reads them; all names are printable."""
    return {
        "name": printable(label),
        "prefix": printable(folder.prefix),
        "objects": folder.objects,
        "bytes": folder.stored_bytes,
        "restObjects": folder.rest_objects,
        "restBytes": folder.rest_stored_bytes,
        "children": [_tree(child, child.name or "/") for child in folder.children],
    }
