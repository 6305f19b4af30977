"""Lays out one frame of the live view for a terminal of any width; prints nothing and reads no clock.

Only a few colours are used, which are readable on light and dark backgrounds: no yellow, white or cyan.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from aios3sync._namedtuple import NamedTuple
from aios3sync.cli.output.cells import without_beginning, without_middle
from aios3sync.cli.output.summary import retries_text, short_error
from aios3sync.core.text import count, printable, size_text
from aios3sync.progress import Progress, Rates
from aios3sync.report import Failure

__all__ = ("Caption", "frame")

_LABEL: Final = 10
_ROOMY: Final = 59
"""The columns that are needed for percentages, and for the label and the columns of the speeds."""
_WIDEST: Final = 79
"""The column in which the clock ends on a wider terminal: it is read together with the heading."""
_LEAST_BAR: Final = 6
_MOST_BAR: Final = 40
_SIZES: Final = len("99.9 MB/99.9 MB")
_SPEED: Final = len("12,345 files/s")
_MOST_FAILURES: Final = 3
_MOST_IN_FLIGHT: Final = 3


class Caption(NamedTuple):
    """What a frame shows in addition to the counters.

    Attributes:
        heading: names the run.
        note: a sentence below the heading; with it, and while the run waits, there is no forecast.
        waiting: what the run waits for, or empty.
        kept: the word for items without changes.
        dry_run: whether nothing is carried out, so that there is no progress of transfers.
    """

    heading: str
    note: str = ""
    waiting: str = ""
    kept: str = "kept"
    dry_run: bool = False


class _Bar(NamedTuple):
    label: str
    done: int
    total: int
    text: str


def frame(
    progress: Progress, elapsed: float, caption: Caption, width: int, rates: Rates, *, plain: bool = False
) -> list[Text]:
    """Return the lines of one frame, none wider than ``width``; the most important ones first.

    Args:
        progress: the counters.
        elapsed: seconds since the run began.
        caption: what else is shown.
        width: columns.
        rates: the speeds.
        plain: whether the terminal shows only ASCII.
    """
    lines = [_spread(printable(caption.heading), _clock(elapsed), width), *_wrapped(caption.note, width)]
    if progress.phase or progress.scanned or not caption.note:
        if progress.scanned or not progress.planned:
            lines.append(_found(progress, caption.kept, width))
        if caption.dry_run or not progress.planned:
            lines += _comparison(progress, rates)
        else:
            lines += _bars(list(_progress_bars(progress)), width, plain=plain)
            lines.append(_speeds(progress, rates, width, forecast=not (caption.note or caption.waiting)))
    if caption.waiting:
        lines.append(_labelled("waiting", caption.waiting, "bold"))
    if progress.retries:
        retries = retries_text(progress.retries, progress.throttled, progress.retry_codes)
        lines.append(_labelled("retries", retries, "bold"))
    lines += _failures(progress, width)
    lines += _in_flight(progress, width)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _labelled(label: str, text: str, style: str = "dim") -> Text:
    return Text.assemble((label.ljust(_LABEL), style), text)


def _spread(heading: str, clock: str, width: int) -> Text:
    room = max(width - len(clock) - 2, 0)
    left = without_middle(heading, room)
    gap = max(min(width, max(_WIDEST, cell_len(left) + len(clock) + 2)) - cell_len(left) - len(clock), 1)
    return Text.assemble((left, "bold"), " " * gap, (clock, "dim"))


def _wrapped(note: str, width: int) -> list[Text]:
    """Return the sentence in as many lines as it needs."""
    if not note:
        return []
    return list(Text(note, style="bold").wrap(Console(width=max(width, 1)), max(width, 1)))


def _found(progress: Progress, kept: str, width: int) -> Text:
    label = "finishing" if progress.phase == "finish" else "found"
    size = f" ({size_text(progress.scanned_size)})" if progress.scanned else ""
    rest = f", {progress.kept:,} {kept}" if progress.kept else ""
    files = count(progress.scanned, "file") if progress.scanned else "nothing yet"
    fits = _LABEL + len(files) + len(size) + len(rest) <= width
    return _labelled(label, f"{files}{size if fits else ''}{rest}")


def _comparison(progress: Progress, rates: Rates) -> Iterator[Text]:
    """Yield the lines of the comparison, for a run without actions so far."""
    transfers = _transfers(progress)
    kinds = (
        (progress.deletes, "delete", "deletes"),
        (progress.transfers, transfers[:-1] if transfers != "copies" else "copy", transfers),
        (progress.updates, "update", "updates"),
    )
    if planned := [count(*kind) for kind in kinds if kind[0]]:
        yield _labelled("planned", ", ".join(planned))
    if progress.scanned:
        yield _labelled("speed", f"{rates.scanned:,.0f} files/s scanned")


def _progress_bars(progress: Progress) -> Iterator[_Bar]:
    if progress.transfers:
        yield _counted(_transfers(progress), progress.transferred, progress.transfers)
        moved = min(progress.moved, progress.transfer_size)
        if progress.transfer_size:
            text = f"{size_text(moved)}/{size_text(progress.transfer_size)}"
            yield _Bar("bytes", moved, progress.transfer_size, text)
    if progress.updates:
        yield _counted("updates", progress.updated, progress.updates)
    if progress.deletes:
        yield _counted("deletes", progress.deleted, progress.deletes)


def _counted(label: str, done: int, total: int) -> _Bar:
    return _Bar(label, done, total, f"{done:,}/{total:,}")


def _transfers(progress: Progress) -> str:
    """Return the word for the transfers of the run; it fits into the column of labels."""
    if progress.downloads:
        return "downloads"
    return "copies" if progress.copies else "uploads"


def _bars(bars: list[_Bar], width: int, *, plain: bool) -> list[Text]:
    """``label  ━━━━━━──────  text  12%``: all of the same length, shorter or omitted without space."""
    column = max((_SIZES, *(len(bar.text) for bar in bars)))
    percent = 5 if width >= _ROOMY else 0
    room = min(width - _LABEL - column - percent - 1, _MOST_BAR)
    return [_drawn(bar, room, column, plain=plain, percent=bool(percent)) for bar in bars]


def _drawn(bar: _Bar, room: int, column: int, *, plain: bool, percent: bool) -> Text:
    line = Text(bar.label.ljust(_LABEL), style="dim")
    share = min(max(bar.done / bar.total, 0.0), 1.0) if bar.total else 0.0
    if room >= _LEAST_BAR:
        filled = int(room * share)
        line.append(("#" if plain else "━") * filled, style="not dim green")
        line.append(("-" if plain else "─") * (room - filled), style="dim")
        line.append(" ")
    line.append(bar.text.rjust(column) if room >= _LEAST_BAR else bar.text, style="not dim")
    if percent:
        line.append(f"{int(share * 100):4}%", style="not dim")
    return line


def _speeds(progress: Progress, rates: Rates, width: int, *, forecast: bool) -> Text:
    roomy = width >= _ROOMY
    words = []
    if rates.files >= 1 or not (rates.bytes and progress.transfers):
        words.append(f"{rates.files:,.0f} files/s")
    if progress.transfers:
        words.append(f"{size_text(rates.bytes)}/s")
    if progress.nodes:
        words.append(count(progress.nodes, "node"))
    if forecast and rates.eta is not None:
        words.append(f"ETA {_clock(_calm(rates.eta))}")
    if roomy:
        return _labelled("speed", "  ".join(word.ljust(_SPEED) for word in words).rstrip())
    return Text("  ".join(words))


def _calm(seconds: float) -> float:
    """Return a rounded forecast that does not change all the time: hours in minutes, minutes in 5 s."""
    step = 60 if seconds >= 3600 else 5 if seconds >= 60 else 1
    return max(round(seconds / step) * step, 1)


def _in_flight(progress: Progress, width: int) -> list[Text]:
    """Return the large files whose transfers began first."""
    lines = []
    for key, file in islice(progress.in_flight.items(), _MOST_IN_FLIGHT):
        sent = min(max(file.sent, 0), file.size)
        share = f"{size_text(sent)}/{size_text(file.size)}"
        if width >= _ROOMY:
            share = f"{share:>{_SIZES}}{int(100 * sent / max(file.size, 1)):4}%"
        name = without_beginning(printable(key), max(width - len(share) - 4, 1))
        lines.append(Text(f"  {name}  {share}", style="dim"))
    return lines


def _failures(progress: Progress, width: int) -> list[Text]:
    if not progress.failed:
        return []
    lines = [_labelled("failed", f"{progress.failed:,}", "bold red")]
    last = list(progress.failures)[-_MOST_FAILURES:]
    return lines + [Text(_failure(failure, width), style="red") for failure in last]


def _failure(failure: Failure, width: int) -> str:
    """Return the key and the error; if both are too long, the beginning of the key is cut."""
    key, error = printable(failure.key), printable(short_error(failure))
    return f"  {without_beginning(key, max(width - cell_len(error) - 4, width // 3))}: {error}"


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
