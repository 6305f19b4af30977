"""``sync --plan`` and ``apply`` as commands: what they print, what they end with, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aios3sync._dataclass import replace
from aios3sync.cli.output.summary import conclude_apply, conclude_plan
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.sync.plans.plan import Plan
from tests.cli.conftest import Bucket, CommandLine


def test_a_plan_is_written_looked_at_and_applied(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    bucket.put("p/old", b"x")
    planned = cli("sync", tree, bucket.url("p"), "--delete", "--plan", tmp_path / "plan")
    assert planned.code == 0
    assert planned.lines[-1] == f"the plan of 4 actions is in {tmp_path}/plan; aios3sync apply does it"
    assert bucket.keys() == {"p/old"}
    header, *actions, end = map(json.loads, (tmp_path / "plan").read_text().splitlines())
    assert (header["source"], header["target"]) == (str(tree), bucket.url("p") + "/")
    assert {action["action"] for action in actions} == {"upload", "delete"}
    assert end == {"end": {"upload": 3, "delete": 1}}
    applied = cli("apply", tmp_path / "plan")
    assert applied.code == 0
    assert "upload: a.txt (new)" in applied.lines
    assert "delete: old" in applied.lines
    assert bucket.keys() == {"p/a.txt", "p/b.txt", "p/sub/c.html"}
    again = cli("apply", tmp_path / "plan")
    assert (again.code, again.lines[-1].split(" in ")[0]) == (0, "uploaded 0 files, kept 3, deleted 0")


def test_what_has_moved_is_refused_by_name(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    cli("sync", tree, bucket.url("p"), "--plan", tmp_path / "plan")
    (tree / "a.txt").write_text("changed since the plan was made")
    dry = cli("apply", tmp_path / "plan", "--dry-run")
    assert (dry.code, bucket.keys()) == (3, set())
    assert "refused: a.txt: the source has changed since" in dry.err
    applied = cli("apply", tmp_path / "plan", "--json")
    report = json.loads(applied.out)
    assert (applied.code, report["uploaded"], report["conflicts"]) == (3, 2, 1)
    assert report["errors"] == [
        {"key": "a.txt", "stage": "plan", "error": "the source has changed since"},
    ]


def test_a_dry_application_shows_what_is_left_to_do_and_deletes_first(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    """A line for each action in a pipe, as of 'sync --dry-run'; what is done, or refused, has none."""
    for key in ("p/sub/c.html", "p/y", "p/z"):
        bucket.put(key, b"other")
    cli("sync", tree, bucket.url("p"), "--delete", "--delete-despite-errors", "--plan", tmp_path / "plan")
    (tree / "a.txt").write_text("changed since the plan was made")
    cli("rm", bucket.url("p/y"))
    dry = cli("apply", tmp_path / "plan", "--dry-run")
    assert dry.code == 3
    assert dry.lines[:3] == [
        "(dry run) would delete: z (not in the source)",
        "(dry run) would upload: sub/c.html (size differs)",
        "(dry run) would upload: b.txt (new)",
    ]
    assert dry.lines[3].startswith("(dry run) would upload 2 files")


def test_a_dry_application_with_nothing_left_to_do_shows_no_action(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    cli("sync", tree, bucket.url("p"), "--plan", tmp_path / "plan")
    cli("apply", tmp_path / "plan")
    dry = cli("apply", tmp_path / "plan", "--dry-run")
    assert dry.code == 0
    assert dry.lines[0].startswith("(dry run) would upload 0 files, keep 3, delete 0")


def test_a_dry_application_on_a_terminal_is_grouped(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (tree / f"{number:02}.dat").write_text("x")
    bucket.put("p/old", b"12345")
    cli("sync", tree, bucket.url("p"), "--delete", "--plan", tmp_path / "plan")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("PAGER", "cat")
    dry = cli("apply", tmp_path / "plan", "--dry-run", "--no-progress")
    assert dry.lines[0] == "(dry run) would"
    assert "(dry run) would delete 1 object (5 bytes)" in dry.lines
    assert "  ... and 23 more (-v lists them all)" in dry.lines


def test_what_is_no_plan_is_refused_in_one_line(cli: CommandLine, tree: Path, tmp_path: Path) -> None:
    for place, text in (
        (tmp_path / "none", "No such file"),
        (tree, "Is a directory"),
        (tree / "a.txt", "make it again"),
    ):
        ended = cli("apply", place)
        assert ended.code == 2
        assert text in ended.err
        assert len(ended.err.splitlines()) == 1


def test_a_plan_of_another_endpoint_is_refused(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    cli("sync", tree, bucket.url("p"), "--plan", tmp_path / "plan")
    ended = cli("apply", tmp_path / "plan", "--endpoint-url", "http://127.0.0.1:9")
    assert ended.code == 2
    assert "make it again" in ended.err


def test_a_plan_that_cannot_be_written_is_an_error_of_usage(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    ended = cli("sync", tree, bucket.url("p"), "--plan", tmp_path / "none" / "plan")
    assert ended.code == 2
    assert "cannot be written: No such file or directory" in ended.err


def test_an_index_that_cannot_be_opened_fails_no_plan(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    cli("sync", tree, bucket.url("p"), "--plan", tmp_path / "plan")
    ended = cli("apply", tmp_path / "plan", "--index", f"sqlite:///{tree}/a.txt/i.db", "--json")
    assert (ended.code, ended.json()["uploaded"]) == (0, 3)
    (warning,) = ended.json()["warnings"]
    assert "the sync goes on without it" in warning


def test_a_run_that_was_stopped_names_no_plan() -> None:
    """Half a plan is not written, so a file of that name is another one."""
    plan = Plan.begin("/data", "s3://bucket/p/", "up", "aws", SyncOptions())
    report = SyncReport(source="/data", target="s3://bucket/p/", checked="list", dry_run=True)
    assert conclude_plan(report, lambda: plan, "file", verbose=0).note.startswith("the plan of 0 actions")
    stopped = replace(report, interrupted=2)
    assert "plan" not in conclude_plan(stopped, lambda: plan, "file", verbose=0).note


def test_the_end_of_a_refused_plan_promises_nothing() -> None:
    """What was refused is not in the plan, and a plan takes no limits: another one is made."""
    plan = Plan.begin("/data", "s3://bucket/p/", "up", "aws", SyncOptions())
    message = "3 deletes are planned, --max-delete allows 2; if that is meant, say --max-delete 3"
    refused = {"kind": "max-delete", "deletes": 3, "message": message}
    report = SyncReport(
        source="/data", target="s3://bucket/p/", checked="list", dry_run=True, refused=refused
    )
    assert conclude_plan(report, lambda: plan, "file", verbose=0).note == (
        "file has a plan of 0 actions, without what was refused"
    )
    assert conclude_apply(report, plan).refused.endswith("make the plan again with --max-delete 3")
