"""Draws the live progress of a run in place on a terminal; rich provides colours and widths.

Every frame is one write: the cursor moves up to the first line of the previous frame, and each line is
overwritten and its rest erased, so that nothing flickers. Lines are cut at the width and the frame at the
height of the terminal. After a resize the terminal has rewrapped the old frame: the rows that it occupies now
are erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from aios3sync.cli.output.live_frame import Caption, frame
from aios3sync.progress import Progress, Rates

__all__ = ("Drawing",)

_HIDE, _SHOW, _ERASE_LINE, _ERASE_BELOW = "\x1b[?25l", "\x1b[?25h", "\x1b[K", "\x1b[J"
_RATES_S: Final = 1.0
"""Seconds between two updates of the speeds: figures that change ten times a second cannot be read."""
_ELLIPSIS: Final = str.maketrans("…", "~")


class Drawing:
    """One frame in place; the first frame hides the cursor, :meth:`close` shows it again."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._encoding = self._console.encoding or "ascii"
        self._ascii = not self._encoding.lower().startswith("utf")
        self._widths: list[int] = []
        self._open = False
        self._rated = 0.0
        self._rates: Rates | None = None

    def draw(self, progress: Progress, elapsed: float, caption: Caption, above: Sequence[str] = ()) -> None:
        """Draw the frame below the lines ``above``, which stay."""
        width, height = self._console.size
        lines = frame(
            progress, elapsed, caption, width - 1, self._calm_rates(progress, elapsed), plain=self._ascii
        )
        lines = lines[: max(height - 1, 1)]
        written = [self._move_to_first_line(width), *(f"{line}{_ERASE_LINE}\n" for line in above)]
        written += [f"{self._rendered(line, width)}{_ERASE_LINE}\n" for line in lines]
        self._write("".join((*written, _ERASE_BELOW)))
        self._widths = [line.cell_len for line in lines]

    def close(self) -> None:
        """Erase the frame and show the cursor again."""
        if self._open:
            self._write(f"{self._move_to_first_line(self._console.width)}{_ERASE_BELOW}{_SHOW}")
            self._widths, self._open = [], False

    def _calm_rates(self, progress: Progress, elapsed: float) -> Rates:
        if self._rates is None or not 0 <= elapsed - self._rated < _RATES_S:
            self._rates, self._rated = progress.rates(), elapsed
        return self._rates

    def _move_to_first_line(self, width: int) -> str:
        rows = sum(max(1, -(-cells // max(width, 1))) for cells in self._widths)
        start = "" if self._open else _HIDE
        self._open = True
        return f"{start}\r\x1b[{rows}A" if rows else f"{start}\r"

    def _rendered(self, line: Text, width: int) -> str:
        with self._console.capture() as capture:
            self._console.print(line, end="", width=width, no_wrap=True, overflow="ellipsis", crop=True)
        return capture.get()

    def _write(self, text: str) -> None:
        if self._ascii:
            text = text.translate(_ELLIPSIS)
            text = text.encode(self._encoding, "replace").decode(self._encoding)
        try:
            self._console.file.write(text)
            self._console.file.flush()
        except (OSError, ValueError):
            self._open = False  # the terminal is gone; SIGHUP stops the run
