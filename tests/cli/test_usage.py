"""Wrong usage is one line that names the option, the value and the way out, and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aios3sync.cli.main import run

TARGET = "s3://bucket/prefix"


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command line in this process that must be refused; the line that says why."""

    def refuse(*arguments: str) -> str:
        code = run(arguments)
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("aios3sync: error: ")
        return err

    return refuse


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--nope"], "--nope"),
        (["--part-size", "16X"], "'--part-size': '16X' is not a size; write for example 16M"),
        (["--part-size", "1"], "--part-size: 1 is not between 5 MiB and 5 GiB"),
        (["--bwlimit", "fast"], "'--bwlimit': 'fast' is not a size"),
        (["--workers", "0"], "--workers: 0 is not between"),
        (["--workers", "many"], "'--workers': 'many' is not a valid integer"),
        (["--check", "never"], "'--check': 'never' is not one of 'auto', 'list', 'content'"),
        (["--max-delete", "-1"], "--max-delete: cannot be negative"),
        (["--max-delete-ratio", "2"], "--max-delete-ratio: 2.0 is not between 0 and 1"),
        (["--max-manifest-age", "soon"], "'soon' is not a duration; write for example 24h"),
        (["--stat-fields", "mtime"], "--stat-fields: size cannot be left out"),
        (["--stat-fields", ","], "'--stat-fields': ',' contains no name"),
        (["--metadata", "owner"], "'--metadata': 'owner' is not NAME=VALUE; write for example owner=lab"),
        (["--expires", "soon"], "'--expires': 'soon' is not a date; write for example"),
        (["--sse=rot13"], "--sse: 'rot13' is not one of"),
        (["--lane", "fast"], "'--lane': 'fast' is not one of"),
        (["--endpoint-url", "localhost"], "--endpoint-url: 'localhost' is not a URL; write for example http"),
        (["--delete", "--delete-tracked"], "--delete and --delete-tracked exclude each other"),
        (["--manifest", "m", "--no-manifest"], "--manifest and --no-manifest exclude each other"),
        (["--json", "--events"], "--json and --events exclude each other"),
        (["--symlinks", "inside", "--no-follow-symlinks"], "exclude each other"),
        (["--exclude-from", "/nope"], "--exclude-from: '/nope' cannot be read: No such file"),
        (["--files-from", "/nope"], "--files-from: '/nope' cannot be read: No such file"),
        (["--sse-c-key-file", "/nope"], "--sse-c-key-file: '/nope' cannot be read: No such file"),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_the_way_out(
    refused: Callable[..., str], options: list[str], expected: str
) -> None:
    assert expected in refused("sync", "data", TARGET, *options)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sink"], "No such command 'sink'"),
        (["sync"], "Missing argument 'SOURCE'"),
        (["sync", "data"], "Missing argument"),
        (["sync", "a", TARGET, "b"], "unexpected extra argument (b)"),
        (
            ["manifest", "show", "data", "s3:/bad"],
            "'s3:/bad' is not an S3 location; write s3://bucket/prefix",
        ),
    ],
)
def test_wrong_arguments_are_refused(
    refused: Callable[..., str], arguments: list[str], expected: str
) -> None:
    assert expected in refused(*arguments)


def test_a_wrong_key_file_is_refused_and_its_content_is_printed_nowhere(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text("c2VjcmV0")
    line = refused("sync", "data", TARGET, "--sse-c-key-file", str(path))
    assert "must have 32 raw bytes" in line
    assert "c2VjcmV0" not in line


@pytest.mark.parametrize(
    "arguments", [["--help"], ["sync", "-h"], ["manifest", "show", "--help"], ["job", "-h"]]
)
def test_help_is_no_error(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(arguments) == 0
    assert capfd.readouterr().out.startswith("Usage: aios3sync")


def test_the_version_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    import aios3sync

    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"aios3sync {aios3sync.__version__}\n"


def test_a_bug_is_one_line_without_its_text(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aios3sync.cli import everyday
    from aios3sync.cli.commands import sync

    def broken(*_: Any) -> None:
        raise KeyError("a-secret")

    monkeypatch.setattr(sync, "sync_options", broken)
    monkeypatch.setattr(everyday, "run_small", broken)
    for more in ([], ["--workers", "3"]):
        assert run(["sync", "data", TARGET, *more]) == 1
        out, err = capfd.readouterr()
        assert (out, err) == ("", "aios3sync: error: unexpected KeyError: this is a bug; -vv shows where\n")
    assert run(["sync", "data", TARGET, "-vv"]) == 1
    assert "Traceback" in capfd.readouterr().err
