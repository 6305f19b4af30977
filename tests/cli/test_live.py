"""The live view: fits its terminal, survives a resize, leaves only the summary."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from functools import partial
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from rich.text import Text

from aios3sync.cli.errors import stopping_text
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.live import LiveView
from aios3sync.cli.output.live_drawing import Drawing
from aios3sync.cli.output.live_frame import Caption, frame
from aios3sync.cli.output.silence import Silence
from aios3sync.cli.output.summary import conclude_plan, conclude_sync, failure_line
from aios3sync.cli.output.view import Conclude, Output
from aios3sync.core.text import size_text
from aios3sync.events import (
    BytesSent,
    Decided,
    Failed,
    ObjectCopied,
    ObjectDeleted,
    ObjectUploaded,
    Planned,
    RequestsRepeated,
    Scanned,
    UploadBegan,
)
from aios3sync.options import SyncOptions
from aios3sync.progress import Progress
from aios3sync.report import Failure, SyncReport
from aios3sync.sync.plans.plan import Plan
from aios3sync.sync.plans.planned import PlannedAction

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def progress() -> Progress:
    """A run in its middle, with everything that can be shown."""
    progress = Progress(phase="compare")
    for event in (
        Scanned(123_456, 10**12),
        Decided(100_000),
        Planned(23_456, 10**11, 1_234),
        BytesSent("a", 5 * 10**10),
        ObjectUploaded("a", 5 * 10**10, "etag", "new"),
        ObjectDeleted("b", 1),
        Failed(Failure("a/very/long/name/" * 10 + "\x1b[2J", "upload", "no " * 40)),
    ):
        progress.take(event)
    for second in range(10):
        progress.sample(float(second))
        progress.take(BytesSent("c", 10**9))
        progress.uploaded += 600
    return progress


def drawn(
    progress: Progress,
    width: int,
    *,
    elapsed: float = 1,
    heading: str = "x",
    plain: bool = False,
    **caption: Any,
) -> list[Text]:
    """The lines of a frame."""
    return frame(progress, elapsed, Caption(heading, **caption), width, progress.rates(), plain=plain)


def texts(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


@pytest.mark.parametrize("width", [1, 5, 10, 20, 39, 40, 79, 200])
def test_no_line_is_wider_than_the_terminal(progress: Progress, width: int) -> None:
    lines = drawn(progress, width, elapsed=3661, heading="a heading that is rather long for a small terminal")
    assert all(line.cell_len <= width for line in lines)


def test_wide_letters_take_two_columns(progress: Progress) -> None:
    lines = drawn(progress, 39, heading="日本語" * 30)
    assert all(line.cell_len <= 39 for line in lines)


def test_all_that_matters_has_room_in_forty_columns(progress: Progress) -> None:
    text = "\n".join(line.plain for line in drawn(progress, 39, elapsed=3661))
    for fact in (
        "1:01:01",
        "123,456 files, 100,000 kept",
        "6,001/23,456",
        "60.0 GB/100 GB",
        "1/1,234",
        "1.0 GB/s",
        "ETA 0:40",
    ):
        assert fact in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "key", ["a/long/path/to/some/file/that/fails.txt", "日本語" * 20], ids=["narrow", "wide"]
)
def test_a_long_name_leaves_room_for_its_error(key: str) -> None:
    progress = Progress()
    progress.take(Failed(Failure(key, "upload", "access denied")))
    line = drawn(progress, 39)[-1]
    assert line.plain.endswith(f"{key[-5:]}: access denied")
    assert line.cell_len <= 39


def test_an_ascii_terminal_gets_ascii(progress: Progress) -> None:
    assert "#" in "".join(texts(drawn(progress, 79, plain=True)))


def test_a_forecast_waits_for_a_few_seconds() -> None:
    progress = Progress(uploads=10, upload_size=1000)
    progress.sample(0)
    progress.take(BytesSent("a", 1))
    progress.sample(1)
    assert progress.rates().eta is None
    progress.take(BytesSent("a", 99))
    progress.sample(4)
    assert progress.rates().eta == pytest.approx(36)


def test_bytes_that_are_sent_again_do_not_make_a_speed_below_zero() -> None:
    progress = Progress(uploads=1, upload_size=1000)
    progress.take(BytesSent("a", 500))
    progress.sample(0)
    progress.take(BytesSent("a", -500))
    progress.sample(5)
    assert progress.rates().bytes == 0


def _drawn(width: int, height: int, progress: Progress) -> tuple[Drawing, StringIO, Console]:
    file = StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    drawing = Drawing(console)
    drawing.draw(progress, 1, Caption("data -> s3://b/p"))
    return drawing, file, console


def test_a_frame_never_scrolls_a_small_terminal(progress: Progress) -> None:
    _, file, _ = _drawn(80, 5, progress)
    assert file.getvalue().count("\n") == 4


def test_the_rows_that_an_old_frame_takes_after_a_resize_are_erased(progress: Progress) -> None:
    drawing, file, console = _drawn(80, 24, progress)
    widths = [len(line) for line in re.sub("\x1b[^a-zA-Z]*[a-zA-Z]|\r", "", file.getvalue()).splitlines()]
    console.size = console.size._replace(width=30)
    file.truncate(0)
    drawing.draw(progress, 2, Caption("data -> s3://b/p"))
    rows = sum(max(1, -(-width // 30)) for width in widths)
    assert f"\x1b[{rows}A" in file.getvalue()


def test_it_runs_on_a_real_terminal(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(40):
        (tmp_path / "data" / str(number)).write_bytes(bytes(3000))
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    running = subprocess.Popen(
        cli.command("sync", tmp_path / "data", bucket.url(), "--bwlimit=80k", "--workers=4"),
        env={**cli.environment, "TERM": "xterm-256color"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    written = b""
    resized = False
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if not select.select([screen], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(screen, 65536)
        except OSError:  # the other end is closed: the run has ended
            break
        written += chunk
        if not resized and b"uploads" in written:
            resized = True
            fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 35, 0, 0))
            running.send_signal(signal.SIGWINCH)
    os.close(screen)
    assert running.wait(240) == 0
    text = written.decode()
    assert f"{tmp_path}/data"[:20] in text
    assert "/40" in text
    last = re.sub("\x1b[^a-zA-Z]*[a-zA-Z]", "", text).strip().splitlines()[-1]
    assert last.startswith("uploaded 40 files (120 kB), kept 0, deleted 0 in ")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


class Screen:
    """A live view whose two streams are one text, as on a terminal."""

    def __init__(self, *, verbose: int = 0, plan: Plan | None = None) -> None:
        self._content = BytesIO()
        lines = Lines(TextIOWrapper(self._content, "utf-8"))
        conclude: Conclude = conclude_sync
        if plan is not None:
            conclude = partial(conclude_plan, plan=lambda: plan, saved="", verbose=0)
        output = Output(verbose=verbose)
        self.view = LiveView(lines, lines, conclude, "a -> b", output, dry_run=plan is not None)

    @property
    def lines(self) -> list[str]:
        return self._content.getvalue().decode().splitlines()

    def ended(self, **facts: Any) -> list[str]:
        self.view.report(SyncReport(source="a", target="b", checked="list", **facts))
        return self.lines


def test_deletes_are_named_up_to_twenty_and_then_counted() -> None:
    screen = Screen()
    for number in range(123):
        screen.view(ObjectDeleted(f"d{number}", 1))
    lines = screen.ended(deleted=123)
    assert lines[:20] == [f"delete: d{number}" for number in range(20)]
    assert lines[20] == "... and 103 more deletes (-v lists them all)"
    assert lines[21].startswith("uploaded 0 files, kept 0, deleted 123 in ")


def test_failures_come_before_the_summary_once_each() -> None:
    screen = Screen(verbose=1)
    failures = tuple(Failure(f"f{number}", "upload", "refused") for number in range(3))
    for failure in (*failures, failures[0]):
        screen.view(Failed(failure))
    screen.view(Failed(Failure("", "run", "gone"), OSError()))
    lines = screen.ended(failed=3, errors=(*failures, failures[0]))
    assert lines[:3] == [f"failed: f{number}: refused" for number in range(3)]
    assert lines[3].startswith("uploaded 0 files, kept 0, deleted 0, failed 3 in ")
    assert len([line for line in lines if "refused" in line]) == 3


def test_an_interrupt_is_acknowledged_at_once_and_shown_until_the_end() -> None:
    screen = Screen()
    screen.view.stopping(signal.SIGINT)
    text = "stopping (SIGINT): requests in flight get a few seconds to end; press Ctrl-C again to end at once"
    assert screen.lines == [text]
    note = "stopping (SIGINT)"
    assert texts(drawn(Progress(), 79, note=note))[1] == note


def test_retries_are_shown_during_the_run_and_at_its_end() -> None:
    progress = Progress()
    progress.take(RequestsRepeated(12, 9))
    progress.take(RequestsRepeated(1, 0))
    text = "13 retries, 9 throttled (the endpoint asked to slow down)"
    assert f"retries   {text}" in [line.plain for line in drawn(progress, 79)]
    assert text in Screen().ended(retries=13, throttled=9)


def test_large_files_in_flight_are_shown_with_their_sent_bytes() -> None:
    progress = Progress()
    for number in range(5):
        progress.take(UploadBegan(f"{number}.jpg", 4_000_000))
        progress.take(BytesSent(f"{number}.jpg", 1_000_000 * number))
    progress.take(ObjectUploaded("0.jpg", 4_000_000, "", ""))
    progress.take(Failed(Failure("1.jpg", "upload", "refused")))
    shown = [line.plain for line in drawn(progress, 79) if ".jpg  " in line.plain]
    assert shown[0] == "  2.jpg    2.0 MB/4.0 MB  50%"
    assert shown[1] == "  3.jpg    3.0 MB/4.0 MB  75%"


def test_bars_are_of_one_length_and_their_figures_in_one_column(progress: Progress) -> None:
    bars = [line for line in texts(drawn(progress, 79)) if "─" in line]
    assert len(bars) == 3
    assert len({len(line) for line in bars}) == 1
    assert len({line.count("━") + line.count("─") for line in bars}) == 1
    assert [line.split()[-1] for line in bars] == ["25%", "60%", "0%"]


def test_no_percentage_is_over_a_hundred() -> None:
    progress = Progress(phase="compare", uploads=1, upload_size=1000)
    progress.take(UploadBegan("a", 1000))
    progress.take(BytesSent("a", 1500))  # a part was sent twice
    text = "\n".join(texts(drawn(progress, 79)))
    assert "1.0 kB/1.0 kB 100%" in text
    assert "1.5 kB" not in text


def test_colours_are_those_that_any_background_shows(progress: Progress) -> None:
    progress.take(RequestsRepeated(3, 3))
    lines = drawn(progress, 79, note="stopping", waiting="no answer for 12 s")
    used = {str(span.style) for line in lines for span in line.spans} | {str(line.style) for line in lines}
    assert used <= {"", "none", "dim", "bold", "red", "bold red", "not dim", "not dim green"}


def test_a_comparison_has_no_bars_of_what_is_not_planned() -> None:
    progress = Progress(phase="compare")
    progress.take(Scanned(4_096, 10**7))
    progress.take(Decided(3_786))
    caption = texts(drawn(progress, 79, kept="the same"))
    assert caption[1:] == [
        "found     4,096 files (10.0 MB), 3,786 the same",
        "speed     0 files/s scanned",
    ]


def test_a_watch_that_waits_shows_no_figures() -> None:
    assert texts(drawn(Progress(), 79, note="watching: nothing to do"))[1:] == ["watching: nothing to do"]


def test_a_note_that_is_wider_than_the_terminal_is_wrapped() -> None:
    lines = texts(drawn(Progress(), 39, note=stopping_text(signal.SIGINT)))[1:]
    assert " ".join(line.strip() for line in lines) == stopping_text(signal.SIGINT)
    assert all(len(line) <= 39 for line in lines)


def test_a_run_that_stops_or_waits_has_no_forecast(progress: Progress) -> None:
    assert "ETA" in "".join(texts(drawn(progress, 79)))
    assert "ETA" not in "".join(texts(drawn(progress, 79, note="stopping")))
    assert "ETA" not in "".join(texts(drawn(progress, 79, waiting="no answer for 12 s")))


def test_a_long_heading_keeps_its_target() -> None:
    heading = "/home/somebody/pictures/of/last/year -> s3://my-bucket/pictures"
    first = texts(drawn(Progress(), 39, heading=heading))[0]
    assert first.startswith("/home/")
    assert first.endswith("bucket/pictures  0:01")


def test_the_clock_stays_near_on_a_wide_terminal() -> None:
    assert len(texts(drawn(Progress(), 199))[0]) == 79


def test_an_error_is_shown_without_the_url_that_repeats_its_key() -> None:
    error = "PutObject s3://my-bucket/a/long/prefix/a.txt: access denied"
    failure = Failure("a.txt", "upload", error)
    progress = Progress()
    progress.take(Failed(failure))
    assert texts(drawn(progress, 39))[-1] == "  a.txt: PutObject: access denied"
    assert failure_line(failure) == "failed: a.txt: PutObject: access denied"


def test_speeds_stand_still_for_a_second(progress: Progress) -> None:
    drawing, file, _ = _drawn(80, 24, progress)
    before = progress.rates()
    progress.take(BytesSent("c", 9 * 10**9))
    progress.sample(10.0)
    assert progress.rates() != before
    for elapsed, stands in ((1.9, True), (2.0, False)):
        file.truncate(0)
        drawing.draw(progress, elapsed, Caption("x"))
        assert (f"{size_text(before.bytes)}/s" in file.getvalue()) is stands


def test_a_latin_terminal_gets_what_it_can_show() -> None:
    content = BytesIO()
    console = Console(file=TextIOWrapper(content, "latin-1"), width=40, height=9, force_terminal=True)
    Drawing(console).draw(Progress(uploads=1), 1, Caption("grün/日本語" * 9))
    shown = content.getvalue().decode("latin-1")
    assert "grün/??" in shown
    assert "0/1" in shown


class Clock:
    """A run that makes no progress, and what is said about it."""

    def __init__(self) -> None:
        self.progress = Progress(phase="compare", uploads=9, upload_size=9000)
        self.silence = Silence(0)

    def at(self, now: float) -> str:
        return self.silence.text(self.progress, now)


def test_a_network_that_stalls_is_said_until_something_moves() -> None:
    clock = Clock()
    assert clock.at(4) == ""
    clock.progress.take(BytesSent("a", 1))
    assert clock.at(8) == ""
    assert clock.at(20) == "no answer for 12 s"
    clock.progress.take(BytesSent("a", 1))
    assert clock.at(21) == ""


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"Timeout": 2, "NoConnection": 1}, "no answer (NoConnection, Timeout) for 9 s"),
        ({"SlowDown": 1, "Timeout": 1}, "nothing succeeds (SlowDown, Timeout) for 9 s"),
    ],
)
def test_the_errors_of_the_requests_that_are_sent_again_are_said(codes: dict[str, int], said: str) -> None:
    clock = Clock()
    clock.progress.take(RequestsRepeated(9, 0, {"InternalError": 9}))
    clock.at(1)
    clock.progress.take(RequestsRepeated(2, 0, codes))
    assert clock.at(10) == said


def test_a_comparison_may_work_here_for_long() -> None:
    clock = Clock()
    clock.progress.uploads = 0
    clock.at(0)
    assert clock.at(9) == "no progress for 9 s"


def test_a_watch_between_two_runs_waits_for_nothing() -> None:
    clock = Clock()
    clock.progress = Progress()
    assert clock.at(100) == ""


def test_the_errors_behind_retries_are_named() -> None:
    codes = {"SlowDown": 9, "InternalError": 3, "Timeout": 1}
    text = "13 retries, 9 throttled (the endpoint asked to slow down), 3 InternalError, 1 Timeout"
    assert text in Screen().ended(retries=13, throttled=9, retry_codes=codes)


def test_the_last_line_says_how_fast_a_run_was() -> None:
    (line,) = Screen().ended(uploaded=10_000, uploaded_bytes=39_000_000, elapsed_s=6.0)
    assert line == "uploaded 10,000 files (39.0 MB), kept 0, deleted 0 in 6.0 s (1,667 files/s, 6.5 MB/s)"
    (line,) = Screen().ended(uploaded=3, uploaded_bytes=390_000_000, elapsed_s=6.0)
    assert line == "uploaded 3 files (390 MB), kept 0, deleted 0 in 6.0 s (65.0 MB/s)"
    (line,) = Screen().ended(uploaded=3, uploaded_bytes=390, elapsed_s=0.9)
    assert line == "uploaded 3 files (390 bytes), kept 0, deleted 0 in 0.9 s"


def forecast(*, done: int, done_size: int, left: int, left_size: int, seconds: float = 8.0) -> float | None:
    """The forecast of a run that did some of its work in so many seconds."""
    progress = Progress(uploads=done + left, upload_size=done_size + left_size)
    progress.sample(0)
    progress.uploaded, progress.sent = done, done_size
    progress.sample(seconds)
    return progress.rates().eta


def test_a_forecast_is_bound_by_the_number_of_small_files_and_by_the_bytes_of_large_ones() -> None:
    assert forecast(done=8000, done_size=32 * 10**6, left=2000, left_size=4 * 10**6) == pytest.approx(2)
    assert forecast(done=8, done_size=800 * 10**6, left=3, left_size=300 * 10**6) == pytest.approx(3)
    assert forecast(done=0, done_size=80 * 10**6, left=1, left_size=100 * 10**6) == pytest.approx(10)
    # Large files have used the line meanwhile; what is left are many small ones.
    assert forecast(done=5000, done_size=400 * 10**6, left=5000, left_size=20 * 10**6) == pytest.approx(8)


def test_there_is_no_forecast_of_files_that_are_unlike_those_that_were_measured() -> None:
    assert forecast(done=8000, done_size=32 * 10**6, left=3, left_size=500 * 10**6) is None
    assert forecast(done=2, done_size=400 * 10**6, left=5000, left_size=20 * 10**6) is None


def test_bytes_that_the_server_copies_count() -> None:
    progress = Progress(copies=100, copy_size=1000)
    progress.sample(0)
    for number in range(50):
        progress.take(ObjectCopied(str(number), 10, "", "new"))
    progress.sample(5)
    assert (progress.moved, progress.rates().bytes) == (500, 100)
    assert progress.rates().eta == pytest.approx(5)
    assert "500 bytes/1.0 kB  50%" in "".join(texts(drawn(progress, 79)))


def test_a_dry_run_shows_the_comparison_and_what_is_planned_but_no_progress_of_it() -> None:
    progress = Progress(phase="compare")
    progress.take(Scanned(5, 5000))
    progress.take(Planned(3, 3000, 2))
    progress.take(ObjectUploaded("a", 1000, "", "new"))
    shown = texts(drawn(progress, 79, dry_run=True))[1:]
    assert shown == [
        "found     5 files (5.0 kB)",
        "planned   2 deletes, 3 uploads",
        "speed     0 files/s scanned",
    ]


def test_the_lines_of_a_dry_run_come_at_its_end() -> None:
    plan = Plan.begin("/a", "s3://b", "up", "aws", SyncOptions())
    plan.add([PlannedAction("delete", "d", 1, "not in the source", None, {"etag": "e"})])
    screen = Screen(plan=plan)
    screen.view(ObjectDeleted("d", 1))
    assert screen.lines == []
    assert screen.ended(dry_run=True)[0] == "(dry run) would delete: d (not in the source)"


def test_a_run_that_deletes_alone_shows_nothing_of_files_and_bytes() -> None:
    progress = Progress()
    assert texts(drawn(progress, 79))[1:] == ["found     nothing yet"]
    progress.take(Planned(deletes=1000))
    for number in range(250):
        progress.take(ObjectDeleted(str(number), 1))
    deletes, speed = texts(drawn(progress, 79))[1:]
    assert deletes.startswith("deletes   ━━━━━━━━━━──")
    assert deletes.endswith("  250/1,000  25%")
    assert speed == "speed     0 files/s"
