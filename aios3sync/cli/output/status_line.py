"""StatusLine: one line of standard error, rewritten while a command works; none without a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from aios3sync._typing import Final
from aios3sync.cli.output.view import Output
from aios3sync.core.text import printable

__all__ = ("StatusLine",)

_INTERVAL_S: Final = 0.2
_ERASE_LINE: Final = "\r\x1b[K"


class StatusLine:
    """Shows the progress of the work in one line, at most five times a second.

    Args:
        output: with ``--quiet``, ``--json`` and ``--events`` nothing is shown.
    """

    def __init__(self, output: Output) -> None:
        hidden = output.quiet or output.json or output.events or os.environ.get("TERM", "") in ("", "dumb")
        self._shown = sys.stderr.isatty() and not hidden
        self._drawn = False
        self._last = 0.0

    def show(self, text: Callable[[], str], *, at_once: bool = False) -> None:
        """Rewrite the line, unless that was done a moment ago and it is not needed ``at_once``."""
        now = time.monotonic()
        if self._shown and (at_once or now - self._last >= _INTERVAL_S):
            self._last, self._drawn = now, True
            self._write(f"{_ERASE_LINE}{_cut(printable(text()), _width())}")

    def clear(self) -> None:
        """Erase the line."""
        if self._drawn:
            self._drawn = False
            self._write(_ERASE_LINE)

    def _write(self, text: str) -> None:
        try:
            print(text, end="", file=sys.stderr, flush=True)
        except OSError:
            self._shown = self._drawn = False  # the terminal is gone; what the command does is still wanted


def _width() -> int:
    """Return the columns for a line: after the last one a terminal would begin another line."""
    try:
        return max(os.get_terminal_size(sys.stderr.fileno()).columns - 1, 1)
    except (OSError, ValueError):
        return 79


def _cut(text: str, width: int) -> str:
    """Return the text, cut to the width. Letters from U+1100 count as two columns."""
    room = 0
    for place, letter in enumerate(text):
        room += 1 if letter < "\u1100" else 2
        if room > width:
            return f"{text[: max(place - 3, 0)]}..."[:width]
    return text
