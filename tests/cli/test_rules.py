"""Filter rules on the command line: their order counts, and a rule without effect is mentioned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


@pytest.mark.parametrize("pattern", ["sub", "sub/", "./sub/*", "/sub/*", "{tree}/sub/*", "{link}/sub"])
def test_a_directory_is_hidden_however_it_is_written(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path, pattern: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tree)
    bucket.put("sub/there", b"x")
    rule = pattern.format(tree=tree, link=link)
    ended = cli("sync", link, bucket.url(), "--delete", "--exclude", rule, "--json")
    assert (ended.code, ended.json()["warnings"]) == (0, [])
    assert bucket.keys() == {"a.txt", "b.txt", "sub/there"}, "and what is hidden is not deleted"


def test_rules_without_effect_are_mentioned_once(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    rules = [f"--exclude=typo{number}" for number in range(7)]
    ended = cli("sync", tree, bucket.url(), *rules, "--exclude", "b.txt")
    assert ended.code == 0
    (line,) = ended.err.splitlines()
    assert line.startswith("warning: 7 filter rules matched nothing: exclude 'typo0' (--exclude), exclude")
    assert "and 2 more; patterns are matched with whole paths below the source" in line
    ended = cli("verify", tree, bucket.url(), "--exclude", "b.txt", "--exclude", "typo")
    assert "warning: a filter rule matched nothing: exclude 'typo' (--exclude);" in ended.err


def test_a_rule_that_hides_objects_alone_has_an_effect(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    bucket.put("logs/x", b"x")
    ended = cli("sync", tree, bucket.url(), "--delete", "--exclude", "logs/*", "--json")
    assert ended.json()["warnings"] == []
    assert bucket.keys() >= {"logs/x"}


def test_a_run_that_was_refused_says_nothing_of_rules(
    cli: CommandLine, bucket: Bucket, tmp_path: Path
) -> None:
    ended = cli("sync", tmp_path / "none", bucket.url(), "--exclude", "typo")
    assert "matched nothing" not in ended.err
