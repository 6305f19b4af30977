"""One line of standard error that is rewritten while a command works; none where that is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from aios3sync.cli.output.view import Output

__all__ = ("StatusLine",)

_INTERVAL_S: Final = 0.2
_ERASE_LINE: Final = "\r\x1b[K"


class StatusLine:
    """Shows how far the work has come, at most five times a second.

    Args:
        output: shows nothing with ``--quiet`` and ``--json``.
    """

    def __init__(self, output: Output) -> None:
        self._shown = sys.stderr.isatty() and not output.quiet and not output.json
        self._last = 0.0

    def show(self, text: Callable[[], str], *, at_once: bool = False) -> None:
        """Rewrite the line, unless that was done a moment ago and is not needed ``at_once``."""
        now = time.monotonic()
        if self._shown and (at_once or now - self._last >= _INTERVAL_S):
            self._last = now
            print(f"{_ERASE_LINE}{text()}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Erase the line."""
        if self._shown:
            print(_ERASE_LINE, end="", file=sys.stderr, flush=True)
