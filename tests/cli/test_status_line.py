"""The status line of a terminal stays one line, and says that a command that prints nothing is at work."""

from __future__ import annotations

import errno
import os
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.output.plain import PlainView
from aios3sync.cli.output.status_line import StatusLine
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.output.view import Output
from aios3sync.errors import SourceError
from aios3sync.objects.download import FileOptions

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

ERASED = "\r\x1b[K"


class Terminal(StringIO):
    """Standard error of a terminal of 40 columns."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


def terminal_of(patch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal; called by a test itself, as pytest exchanges the streams before it."""
    terminal = Terminal()
    patch.setattr(sys, "stderr", terminal)
    patch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 24)))
    patch.setenv("TERM", "xterm")
    return terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 39, "x" * 39),
        ("x" * 40, "x" * 36 + "..."),
        ("日" * 30, "日" * 16 + "..."),
        ("a\nb\x1b[2J", r"a\nb\x1b[2J"),
    ],
)
def test_the_line_takes_no_second_one(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    terminal = terminal_of(monkeypatch)
    line = StatusLine(Output())
    line.show(lambda: text)
    assert terminal.getvalue() == f"{ERASED}{shown}"
    line.clear()
    line.clear()
    assert terminal.getvalue() == f"{ERASED}{shown}{ERASED}"


@pytest.mark.parametrize("output", [Output(quiet=True), Output(json=True), Output(events=True)])
def test_it_is_not_shown_to_machines(monkeypatch: pytest.MonkeyPatch, output: Output) -> None:
    terminal = terminal_of(monkeypatch)
    StatusLine(output).show(lambda: "text")
    assert terminal.getvalue() == ""


def test_a_dumb_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    StatusLine(Output()).show(lambda: "text")
    assert terminal.getvalue() == ""


def test_a_terminal_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its window was closed, and the command goes on without the line."""
    terminal = terminal_of(monkeypatch)
    line = StatusLine(Output())
    line.show(lambda: "text")
    tried: list[str] = []

    def gone(text: str) -> int:
        tried.append(text)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(terminal, "write", gone)
    line.show(lambda: "more", at_once=True)
    line.show(lambda: "more", at_once=True)
    line.clear()
    assert len(tried) == 1


def test_a_command_that_prints_nothing_before_its_end_says_that_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    lines = standard_lines()
    terminal = terminal_of(monkeypatch)
    view = PlainView(*lines, lambda _: Conclusion(""), Output(work="counting s3://b"))
    view.tick()
    assert terminal.getvalue() == ""
    now += 12
    view.tick()
    assert terminal.getvalue() == f"{ERASED}counting s3://b: 12 s"
    view.close()
    assert terminal.getvalue().endswith(ERASED)


def test_a_copy_that_fails_leaves_an_empty_line_to_its_error(
    cli: CommandLine, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_store: object, _key: str, _place: object, options: FileOptions) -> None:
        options.on_bytes(10, 100)
        raise SourceError("it is gone")

    monkeypatch.setattr("aios3sync.objects.download.download_object", fail)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    cli.environment["TERM"] = "xterm"
    bucket.put("a", b"1")
    ended = cli("cp", bucket.url("a"), tmp_path / "a")
    shown = "10 bytes of 100 bytes (10%), 0 bytes/s"
    assert ended.err == f"{ERASED}{shown}{ERASED}aios3sync: error: it is gone\n"
