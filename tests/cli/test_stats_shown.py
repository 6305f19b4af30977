"""``aios3sync stats`` for people: the page, the watch, and how both end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bucket, CommandLine


def test_the_page_is_written_beside_the_numbers(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("<script>alert(1)</script>.txt", b"text")
    ended = cli("stats", bucket.url(), "--html", tmp_path / "page.html", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json()["objects"]["value"] == 1
    page = (tmp_path / "page.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.txt" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--html", "no/such/page.html"], "there is no such directory; make it first"),
        (["--html", "p.html", "--cache", "show"], "--html and --cache exclude each other"),
        (["--watch", "5", "--json"], "--watch and --json exclude each other"),
        (["--watch", "5", "--cache", "clear"], "--watch and --cache exclude each other"),
        (["--watch", "0.5"], "--watch: is less than a second"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_refused_at_once(cli: CommandLine, options: list[str], error: str) -> None:
    ended = cli("stats", "s3://never-asked", *options)
    assert (ended.code, ended.out) == (2, "")
    assert error in ended.error


def test_a_watch_of_nothing_ends_with_its_error(cli: CommandLine) -> None:
    ended = cli("stats", "s3://there-is-no-such-bucket", "--watch", "60")
    assert (ended.code, ended.out) == (1, "")
    assert "no such bucket" in ended.error


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process")
def test_a_watch_counts_again_until_ctrl_c(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("a", b"1")
    running = cli.start("stats", bucket.url(), "--watch", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    lines: list[bytes] = []
    deadline = time.monotonic() + 240
    while not any(line.startswith(b"objects") and b" 2 " in line for line in lines):
        assert time.monotonic() < deadline
        lines.append(running.stdout.readline())
        if lines[-1].startswith(b"objects"):
            bucket.put("b", b"2")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=240)
    assert (running.returncode, err) == (130, b"")
