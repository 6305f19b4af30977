"""One line on a terminal that tells how far backfill and reconcile have come; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aios3sync.core.text import count

if TYPE_CHECKING:
    from aios3sync.cli.output.view import Output
    from aios3sync.index.backfill import IndexProgress, IndexSink

__all__ = ("show_progress",)

_INTERVAL: Final = 0.2
_WORDS: Final = {
    "list": "listed",
    "sweep": "listed, dropping what is gone:",
    "build": "listed, building search trees",
}


@contextmanager
def show_progress(output: Output) -> Iterator[IndexSink]:
    """A sink for progress, which rewrites one line of standard error if that is a terminal."""
    shown = sys.stderr.isatty() and not output.quiet and not output.json
    last = 0.0

    def on_event(event: IndexProgress, /) -> None:
        nonlocal last
        now = time.monotonic()
        if shown and (now - last >= _INTERVAL or event.phase == "build"):
            last = now
            print(f"\r\x1b[K{_text(event)}", end="", file=sys.stderr, flush=True)

    try:
        yield on_event
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _text(event: IndexProgress) -> str:
    parts = f", part {event.parts_done:,} of {event.parts:,}" if event.parts else ""
    return (
        f"{count(event.listed, 'object')} {_WORDS[event.phase]}{parts}, {count(event.written, 'row')} written"
    )
