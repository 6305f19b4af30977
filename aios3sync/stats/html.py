"""The statistics of a bucket as one self-contained page for people; it loads nothing and asks nobody.

What the page may do is said in its content security policy: its one script and one style sheet, known by
their digests, and no request at all. See https://www.w3.org/TR/CSP3/.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
from contextlib import suppress
from importlib import resources

from aios3sync.core.text import count, duration, size_text
from aios3sync.errors import UsageError
from aios3sync.stats.fragments import badge, breakdown, histogram, key, objects, table, text, tile, tree
from aios3sync.stats.model import BucketStats, Number, ObjectKind
from aios3sync.stats.text import (
    count_text,
    figures,
    incomplete,
    kind_text,
    moment,
    origin_text,
    share_text,
    value_text,
)

__all__ = ("check_page_place", "page", "write_page")


def page(stats: BucketStats) -> str:
    """The page as HTML."""
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
        f"<title>{text(stats.location)}: statistics</title>\n<style>{style}</style></head>\n<body>\n"
    )
    body = "\n".join((*_top(stats), *_pictures(stats), *_tables(stats), _foot(stats)))
    folders = json.dumps(tree(stats.folders, stats.location), ensure_ascii=True)
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
    share = f"{value_text(stats.ratio, share_text)} of the original"
    exactly = (
        ("objects", stats.objects, count_text, _top_folders(stats)),
        ("stored", stats.stored_bytes, size_text, _bytes(stats.stored_bytes)),
        ("before compression", stats.original_bytes, size_text, _bytes(stats.original_bytes)),
        ("saved", stats.saved_bytes, size_text, share),
    )
    of = f" The numbers are of {moment(stats.computed_at)}." if stats.computed_at else ""
    return (
        f'<header><h1>{key(stats.location)}</h1><p class="soft">{text(f"{counted}.{of}")}</p></header>',
        _alarm(stats),
        f'<div class="tiles">{"".join(tile(*one) for one in exactly)}</div>',
    )


def _bytes(number: Number) -> str:
    """All digits, where they mean something."""
    return f"{number.value:,.0f} bytes" if number.value is not None and number.known == "exact" else ""


def _top_folders(stats: BucketStats) -> str:
    folders = stats.top_folders.groups
    return f"in {count(len(folders), 'folder')} at the top" if folders else ""


def _alarm(stats: BucketStats) -> str:
    """What a reader must know before any number."""
    sentences = "".join(f"<li>{text(warning)}</li>" for warning in stats.warnings)
    listed = f"<ul>{sentences}</ul>" if sentences else ""
    if sentence := incomplete(stats):
        return f'<div class="alarm" role="alert"><strong>{text(sentence)}</strong>{listed}</div>'
    return f'<div class="alarm mild"><strong>Please note</strong>{listed}</div>' if listed else ""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{text(title)}</h2>{content}</section>"


def _pictures(stats: BucketStats) -> tuple[str, ...]:
    treemap = (
        '<nav id="where" aria-label="Folder shown"></nav><div id="map" role="group" aria-label="Treemap of '
        'folders: areas are stored bytes"></div><p id="told" role="status"></p>'
        '<p class="soft"><small>Areas are stored bytes. Click a folder to open it; with the keyboard: Tab or '
        "arrows to go about, Enter to open, Escape to go up.</small></p>"
        "<noscript><p>The picture needs the script of this page; the folders are told below.</p></noscript>"
    )
    return (
        _section("Where the bytes are", treemap),
        '<div class="pair">' + _section("Sizes", histogram(stats.sizes)),
        _section("Ages", histogram(stats.ages)) + "</div>",
        '<div class="pair">' + _section("Storage classes", breakdown(stats.storage_classes)),
        _section("Extensions", breakdown(stats.extensions)) + "</div>",
        _section("Folders at the top", breakdown(stats.top_folders)),
    )


def _tables(stats: BucketStats) -> tuple[str, ...]:
    kinds = table(
        ("kind", "#objects", "#stored", "#original"),
        map(_kind_row, stats.kinds),
    )
    known = table(
        ("number", "#value", "known"),
        (
            (
                text(label),
                text(value_text(number, wording)),
                f'{badge(number, wording)} <small class="why">{text(number.note)}</small>',
            )
            for label, number, wording in figures(stats)
        ),
    )
    return (
        _section("Largest objects", objects(stats.largest)),
        _section("Newest objects", objects(stats.newest)),
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
        f"{text(value_text(number, wording))}<br>{badge(number, wording)}" for number, wording in numbers
    )
    return (text(kind_text(kind.name)), *cells)


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
        f"<footer>Objects below .deltaglider/ and .aios3sync/ are in none of the numbers.{text(asked)} "
        f"Requests: {text(requests)}; {text(duration(stats.elapsed_s))}. Made by aios3sync.</footer>"
    )


def check_page_place(path: str | os.PathLike[str]) -> None:
    """See before a long count that the page can be written.

    Raises:
        UsageError: it cannot; the text names the file, the reason and a way out.
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
    """Write the page in one step: whoever opens the file sees the page before or the new one, whole.

    Blocking; the new file has the permissions that the process gives to its files.

    Raises:
        UsageError: it cannot be written.
    """
    check_page_place(path)
    target = os.path.realpath(path)
    temporary = f"{target}.{secrets.token_hex(4)}.part"
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(page(stats).encode())
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
