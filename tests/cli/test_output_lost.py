"""An answer that could not be printed is an error: a script would take an empty one for it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
FULL = "aios3sync: error: standard output cannot be written: No space left on device\n"
CLOSED = "aios3sync: error: standard output cannot be written: Bad file descriptor\n"


def shell(cli: CommandLine, redirection: str, *arguments: str | Path) -> tuple[int, str]:
    command = ["sh", "-c", f'"$@" {redirection}', "sh", *cli.command(*arguments)]
    ended = subprocess.run(
        command, env=cli.environment, timeout=240, check=False, stderr=subprocess.PIPE, text=True
    )
    return ended.returncode, ended.stderr


@needs_full
@pytest.mark.parametrize("how", ["", "--json", "--events"])
def test_output_to_a_full_disk_stops_no_sync_and_is_an_error(
    cli: CommandLine, bucket: Bucket, tree: Path, how: str
) -> None:
    assert shell(cli, ">/dev/full", "sync", tree, bucket.url(), *([how] if how else [])) == (1, FULL)
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html"}


@needs_full
@pytest.mark.parametrize(
    "command",
    [["--version"], ["--help"], ["sync", "--help"], ["manifest", "show", "{tree}", "s3://bucket"]],
    ids=" ".join,
)
def test_every_command_says_that_its_answer_is_lost(
    offline: CommandLine, tree: Path, command: list[str]
) -> None:
    words = [word.format(tree=tree) for word in command]
    assert shell(offline, ">/dev/full", *words) == (1, FULL)
    assert shell(offline, ">&-", *words) == (1, CLOSED)


def test_what_prints_nothing_loses_nothing(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    assert shell(cli, ">&-", "sync", tree, bucket.url(), "--quiet") == (0, "")


def test_a_reader_that_left_gets_no_message(offline: CommandLine, tree: Path) -> None:
    command = ["sh", "-c", '{ "$@"; echo $? >&2; } | true', "sh"]
    ended = subprocess.run(
        [*command, *offline.command("manifest", "show", tree, "s3://bucket")],
        env=offline.environment,
        timeout=240,
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ended.stderr in ("141\n", "0\n"), "0 where the reader left only after it was written"


def test_a_list_from_a_closed_standard_input_is_refused(cli: CommandLine, tree: Path) -> None:
    code, error = shell(cli, "<&-", "sync", tree, "s3://bucket", "--files-from", "-")
    assert (code, error.count("\n")) == (2, 1)
    assert "--files-from: '-' cannot be read: Bad file descriptor" in error


def test_a_job_from_a_closed_standard_input_is_refused(cli: CommandLine) -> None:
    assert shell(cli, "<&- >&-", "job")[0] == 2
