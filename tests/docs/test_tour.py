"""The tour of the front page, typed into a shell: each command prints what README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients import boto3_client
from tests.docs.pages import README, blocks

if TYPE_CHECKING:
    from aios3sync.testing.servers import Endpoint

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

_TIMES = (
    (r"\d+(\.\d+)? (s|min|h)\b", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE"),
)


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the tour, with the lines that it prints."""
    (block,) = blocks(README, "console")
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def comparable(lines: list[str]) -> list[str]:
    """The lines without what differs from run to run: times, and the order in which files end."""
    for pattern, text in _TIMES:
        lines = [re.sub(pattern, text, line) for line in lines]
    return sorted(lines)


def test_the_tour(seaweedfs: Endpoint, tmp_path: Path) -> None:
    boto3_client(seaweedfs).create_bucket(Bucket="my-bucket")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    settings = {**os.environ, **seaweedfs.environment(), "PATH": path, "XDG_STATE_HOME": f"{tmp_path}/state"}

    def printed(*command: str) -> list[str]:
        ended = subprocess.run(
            command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, ""), command
        return ended.stdout.splitlines()

    for command, lines in steps():
        assert comparable(printed("bash", "-c", command)) == comparable(lines), command
    (program,) = blocks(README, "python")
    assert printed(sys.executable, "-c", program) == ["0 3 {}"], "all is uploaded already"


def test_the_tour_is_read() -> None:
    """All lines of the tour are looked at: it begins with a command, and most commands print something."""
    assert sum(command.startswith("aios3sync ") for command, _ in steps()) >= 9
    assert sum(bool(lines) for _, lines in steps()) >= 9
