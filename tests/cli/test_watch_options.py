"""The options of ``--watch`` that do not go together, answered before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Bucket, CommandLine


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--watch", "--dry-run"], "no dry run"),
        (["--watch", "--plan", "file"], "leave out --plan"),
        (["--watch", "--catalog-dataset", "a/b"], "leave out --catalog-dataset"),
        (["--watch", "--json"], "--events prints"),
        (["--watch", "--watch-stable", "0"], "--watch-stable: must be above 0 s"),
        (["--watch-every", "1m"], "--watch-every goes with --watch"),
        (["--watch-queue", "https://q"], "--watch-queue goes with --watch"),
        (["--watch", "--watch-queue", "https://sqs.x.amazonaws.com/1/q"], "the source is a directory"),
    ],
)
def test_what_does_not_go_together(
    cli: CommandLine, bucket: Bucket, tree: Path, options: list[str], text: str
) -> None:
    ended = cli("sync", tree, bucket.url("p"), *options)
    assert ended.code == 2
    assert text in ended.error
    assert not bucket.keys()
