"""A terminal gets back what a run took of it, however the run ends or is held; a second Ctrl-C says so."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

_HIDE, _SHOW = b"\x1b[?25l", b"\x1b[?25h"
_PATIENCE_S: Final = 240.0


class Terminal:
    """A terminal with one run in it."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.running = subprocess.Popen(
            command,
            env={**environment, "TERM": "xterm-256color"},
            stdout=terminal,
            stderr=terminal,
            process_group=0,
        )
        os.close(terminal)
        self.written = b""

    def read_until(self, text: bytes) -> None:
        """Read until the text was written since the last call."""
        begin, deadline = len(self.written), time.monotonic() + _PATIENCE_S
        while text not in self.written[begin:]:
            assert time.monotonic() < deadline, self.written
            if select.select([self._screen], [], [], 1)[0]:
                self.written += os.read(self._screen, 65536)

    def read_rest(self) -> None:
        """Read until the run has closed the terminal."""
        while True:
            try:
                self.written += os.read(self._screen, 65536)
            except OSError:
                return

    def close(self) -> None:
        self.running.kill()
        self.running.wait(_PATIENCE_S)
        os.close(self._screen)


@pytest.fixture
def terminal(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> Iterator[Terminal]:
    """A run that would last for a minute, in the middle of its work."""
    (tmp_path / "data").mkdir()
    for number in range(200):
        (tmp_path / "data" / str(number)).write_bytes(bytes(3000))
    command = cli.command("sync", tmp_path / "data", bucket.url(), "--bwlimit=10k", "--workers=4")
    terminal = Terminal(command, cli.environment)
    terminal.read_until(b"uploads")
    yield terminal
    terminal.close()


def test_a_run_that_is_suspended_shows_the_cursor_and_draws_again_afterwards(terminal: Terminal) -> None:
    assert terminal.written.count(_HIDE) == 1
    terminal.running.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(terminal.running.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    terminal.read_until(_SHOW)
    terminal.running.send_signal(signal.SIGCONT)
    terminal.read_until(b"uploads")
    assert terminal.written.count(_HIDE) == 2
    terminal.running.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(terminal.running.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    terminal.running.send_signal(signal.SIGCONT)


def test_a_second_interrupt_gives_the_cursor_back_and_says_what_it_did(terminal: Terminal) -> None:
    terminal.running.send_signal(signal.SIGINT)
    terminal.read_until(b"stopping (SIGINT)")
    terminal.running.send_signal(signal.SIGINT)
    assert terminal.running.wait(_PATIENCE_S) == 130
    terminal.read_rest()
    assert terminal.written.endswith(b"aios3sync: ended at once; the next run does the rest\r\n")
    assert terminal.written.rindex(_SHOW) > terminal.written.rindex(_HIDE)


def test_the_line_that_announces_deletes_leaves_no_frame_behind(
    cli: CommandLine, bucket: Bucket, tmp_path: Path
) -> None:
    for number in range(30):
        bucket.put(f"d/{number}", b"")
    terminal = Terminal(cli.command("rm", "--recursive", bucket.url("d/")), cli.environment)
    try:
        terminal.read_rest()
        assert terminal.running.wait(_PATIENCE_S) == 0
    finally:
        terminal.close()
    before, after = terminal.written.split(b"deleting 30 objects below ", 1)
    assert before.count(_HIDE) == before.count(_SHOW)
    assert b"deleted 30 objects in " in after
