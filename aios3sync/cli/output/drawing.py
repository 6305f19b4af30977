"""Draws the progress of a run in place on a terminal; rich gives colours and widths.

Every frame is one write: the cursor moves up to the first line of the previous frame, and each line is
overwritten and its rest erased, so that nothing flickers. Lines are cut at the width and the frame at the
height of the terminal. After a resize the terminal has rewrapped the old frame: what is erased are the rows
that it takes now.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, islice, takewhile
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from aios3sync.cli.output.summary import retries_text
from aios3sync.core.text import count, printable, size_text
from aios3sync.progress import Progress
from aios3sync.report import Failure

__all__ = ("Drawing", "frame")

_HIDE, _SHOW, _ERASE_LINE, _ERASE_BELOW = "\x1b[?25l", "\x1b[?25h", "\x1b[K", "\x1b[J"
_LABEL: Final = 8
_ROOMY: Final = 48
"""The columns from which there is room for the label of the speeds."""
_LEAST_BAR: Final = 6
_MOST_BAR: Final = 40
_MOST_FAILURES: Final = 3
_MOST_IN_FLIGHT: Final = 3
_PHASES: Final = {"compare": "comparing", "delete": "deleting", "finish": "finishing"}


class Drawing:
    """One frame in place; the first frame hides the cursor, :meth:`close` shows it again."""

    def __init__(self, heading: str, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._heading = printable(heading)
        self._ascii = not (self._console.encoding or "").lower().startswith("utf")
        self._widths: list[int] = []
        self._open = False

    def draw(self, progress: Progress, elapsed: float, above: Sequence[str] = (), *, note: str = "") -> None:
        """Draw the frame below the lines ``above``, which stay; a ``note`` is its second line."""
        width, height = self._console.size
        lines = frame(progress, elapsed, self._heading, width - 1, plain=self._ascii, note=note)
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
        try:
            self._console.file.write(text)
            self._console.file.flush()
        except (OSError, ValueError):
            self._open = False  # the terminal is gone; SIGHUP stops the run


def frame(
    progress: Progress, elapsed: float, heading: str, width: int, *, plain: bool = False, note: str = ""
) -> list[Text]:
    """Return the lines of one frame, none wider than ``width``; the most important ones first."""
    lines = [
        _spread(Text(heading, style="bold"), Text(_clock(elapsed), style="dim"), width),
        *([Text(note, style="bold yellow")] if note else []),
        _found(progress),
        _bar(
            _transfers(progress),
            progress.transferred,
            progress.transfers,
            _counts(progress),
            width,
            plain=plain,
        ),
        _bar("bytes", progress.moved, progress.transfer_size, _sizes(progress), width, plain=plain),
    ]
    if progress.deletes:
        text = f"{progress.deleted:,}/{progress.deletes:,}"
        lines.append(_bar("deletes", progress.deleted, progress.deletes, text, width, plain=plain))
    lines.append(_speeds(progress, width))
    if progress.retries:
        text = retries_text(progress.retries, progress.throttled)
        lines.append(Text.assemble(("retries".ljust(_LABEL + 2), "yellow"), text))
    lines += _in_flight(progress, width)
    lines += _failures(progress, width)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _spread(left: Text, right: Text, width: int) -> Text:
    room = width - right.cell_len - 2
    if left.cell_len > room:
        left.truncate(max(room, 0), overflow="ellipsis")
    return Text.assemble(left, " " * max(width - left.cell_len - right.cell_len, 1), right)


def _found(progress: Progress) -> Text:
    phase = _PHASES.get(progress.phase, progress.phase)
    kept = f", {progress.kept:,} kept" if progress.kept else ""
    text = f"{count(progress.scanned, 'file')}{kept} ({size_text(progress.scanned_size)})"
    return Text.assemble((phase.ljust(_LABEL + 2), "cyan"), text)


def _transfers(progress: Progress) -> str:
    """Return the word for what the run transfers; it has room in the column of labels."""
    if progress.downloads:
        return "fetched"
    return "copies" if progress.copies else "uploads"


def _counts(progress: Progress) -> str:
    return f"{progress.transferred:,}/{progress.transfers:,}"


def _sizes(progress: Progress) -> str:
    return f"{size_text(progress.moved)}/{size_text(progress.transfer_size)}"


def _bar(label: str, done: int, total: int, text: str, width: int, *, plain: bool) -> Text:
    """``label  ━━━━━━──────  text``; where there is no room, the bar is shortened first."""
    room = min(width - _LABEL - len(text) - 3, _MOST_BAR)
    line = Text(label.ljust(_LABEL + 2), style="cyan")
    if room >= _LEAST_BAR:
        share = min(max(done / total, 0.0), 1.0) if total else 0.0
        filled = int(room * share)
        line.append(("#" if plain else "━") * filled, style="green")
        line.append(("-" if plain else "─") * (room - filled), style="dim")
        line.append(" ")
    line.append(text, style="none")
    return line


def _speeds(progress: Progress, width: int) -> Text:
    rates = progress.rates()
    label = ("speed".ljust(_LABEL + 2) if width >= _ROOMY else "", "cyan")
    if not progress.planned:
        return Text.assemble(label, f"{rates.scanned:,.0f} files/s scanned")
    text = f"{rates.files:,.0f} files/s  {size_text(rates.bytes)}/s"
    if progress.nodes:
        text += f"  {count(progress.nodes, 'node')}"
    if rates.eta is not None:
        text += f"  ETA {_clock(rates.eta)}"
    return Text.assemble(label, text)


def _in_flight(progress: Progress, width: int) -> list[Text]:
    """Return the large files whose transfer began first."""
    lines = []
    for key, file in islice(progress.in_flight.items(), _MOST_IN_FLIGHT):
        share = f"{size_text(max(file.sent, 0))}/{size_text(file.size)}"
        lines.append(
            Text(f"  {_fitting(printable(key), max(width - len(share) - 4, 1))}  {share}", style="dim")
        )
    return lines


def _failures(progress: Progress, width: int) -> list[Text]:
    if not progress.failed:
        return []
    lines = [Text.assemble(("failed".ljust(_LABEL + 2), "red"), f"{progress.failed:,}")]
    last = list(progress.failures)[-_MOST_FAILURES:]
    return lines + [Text(_failure(failure, width), style="red") for failure in last]


def _failure(failure: Failure, width: int) -> str:
    """Return the key and the error; where both have no room, the beginning of the key is cut."""
    key, error = printable(failure.key), printable(failure.error)
    return f"  {_fitting(key, max(width - cell_len(error) - 4, width // 3))}: {error}"


def _fitting(key: str, room: int) -> str:
    """Return the key; where it has no room, its beginning is cut."""
    if cell_len(key) <= room:
        return key
    fitting = takewhile(lambda cells: cells < room, accumulate(map(cell_len, reversed(key))))
    return f"…{key[len(key) - sum(1 for _ in fitting) :]}"


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
