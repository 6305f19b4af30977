"""A process without HOME whose user has no entry in the passwd file, as it happens in containers."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from aios3sync.local.state import state_directory
from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def homeless(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    def unknown(_: object) -> NoReturn:
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "XDG_STATE_HOME", "USER", "LOGNAME"):
        cli.environment.pop(name, None)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_CONFIG_FILE")
    cli.environment.pop("AWS_CONFIG_FILE", None)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return cli


def test_there_is_no_state_directory_without_a_home(homeless: CommandLine) -> None:
    assert state_directory() is None


@pytest.mark.parametrize("relative", ["", "state"])
def test_a_relative_state_directory_is_none(
    homeless: CommandLine, monkeypatch: pytest.MonkeyPatch, relative: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", relative)
    assert state_directory() is None


def test_a_sync_works_without_a_manifest_and_says_so(
    homeless: CommandLine, bucket: Bucket, tree: Path
) -> None:
    ended = homeless("sync", tree, bucket.url())
    assert ended.code == 0
    assert "working without a manifest" in ended.err
    assert "set HOME or XDG_STATE_HOME, or name a place with --manifest" in ended.err
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html"}
    assert homeless("sync", tree, bucket.url(), "--json").json()["adopted"] == 3
    assert not os.listdir(), "no directory named '~' is made"


def test_a_manifest_that_was_named_is_kept(
    homeless: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    place = tmp_path / "m.sqlite"
    checked = []
    for _ in range(2):
        ended = homeless("sync", tree, bucket.url(), "--manifest", place, "--json")
        assert (ended.code, ended.json()["warnings"]) == (0, [])
        checked.append(ended.json()["checked"])
    assert checked == ["list", "manifest"]


@pytest.mark.parametrize(
    "command",
    [
        ["sync", "{tree}", "{url}", "--no-manifest"],
        ["sync", "{tree}", "{url}", "--dry-run"],
        ["verify", "{tree}", "{url}"],
        ["explain", "{tree}", "{url}", "a.txt"],
        ["stats", "{url}"],
        ["index", "totals", "--database", "{tree}/../i.sqlite"],
        ["catalog", "list", "{url}"],
    ],
    ids=" ".join,
)
def test_no_command_needs_a_home(
    homeless: CommandLine, bucket: Bucket, tree: Path, command: list[str]
) -> None:
    homeless("sync", tree, bucket.url())
    if command[0] == "index":
        database = str(tree / "../i.sqlite")
        homeless("index", "backfill", bucket.url(), "--database", database)
    ended = homeless(*(word.format(tree=tree, url=bucket.url()) for word in command))
    assert ended.code == 0, ended.err
    assert "bug" not in ended.err


@pytest.mark.parametrize(
    "command",
    [["manifest", "show", "{tree}", "{url}"], ["index", "totals"]],
    ids=" ".join,
)
def test_what_needs_a_place_names_the_way_out(
    homeless: CommandLine, bucket: Bucket, tree: Path, command: list[str]
) -> None:
    ended = homeless(*(word.format(tree=tree, url=bucket.url()) for word in command))
    assert ended.code in (1, 2)
    assert "set HOME or XDG_STATE_HOME, or name" in ended.error
