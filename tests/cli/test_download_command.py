"""The command line in the direction from a bucket to a directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from aios3sync.testing.trees import make_tree
from tests.sync.conftest import body_tree

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

OBJECTS = {"a.txt": b"hello", "d/b": b"22"}


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    """A bucket with two objects below ``p/``."""
    for key, body in OBJECTS.items():
        bucket.put(f"p/{key}", body)
    return bucket


def test_a_download_says_what_it_did(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    target = tmp_path / "new" / "place"
    ended = cli("sync", filled.url("p"), target, "--no-progress")
    assert (ended.code, ended.err) == (0, "")
    assert "download: a.txt (new)" in ended.lines
    assert re.search(r"^downloaded 2 files \(7 .*\), kept 0, deleted 0 in ", ended.lines[-1])
    assert body_tree(target) == OBJECTS
    again = cli("sync", filled.url("p"), target, "--no-progress", "-v")
    assert "downloaded 0 files, kept 2" in again.out
    assert "GetObject" not in again.out
    back = cli("sync", target, filled.url("p"), "--json").json()
    assert (back["uploaded"], back["checked"], back["direction"]) == (0, "manifest", "up")


def test_a_dry_run_and_json(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    target = tmp_path / "place"
    ended = cli("sync", filled.url("p"), target, "--dry-run", "--no-progress")
    assert "(dry run) would download: a.txt (new)" in ended.lines
    assert not target.exists()
    report = cli("sync", filled.url("p"), target, "--json").json()
    assert (report["direction"], report["downloaded"], report["downloaded_bytes"]) == ("down", 2, 7)
    assert (report["source"], report["target"]) == (filled.url("p/"), str(target))
    assert {"copied", "copied_bytes", "archived", "archived_bytes", "restoring"} <= report.keys()


def test_events_of_a_download(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    events = cli("sync", filled.url("p"), tmp_path / "place", "--events").events()
    fetched = [event for event in events if event["event"] == "downloaded"]
    assert {event["key"] for event in fetched} == OBJECTS.keys()
    assert (fetched[-1]["done"], fetched[-1]["total"]) == (2, 2)
    assert (fetched[-1]["bytes_done"], fetched[-1]["bytes_total"]) == (7, 7)
    assert events[-1]["report"]["downloaded"] == 2


def test_a_job_of_a_download(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    document = {"source": filled.url("p"), "target": str(tmp_path / "place"), "onConflict": "keep"}
    ended = cli("job", stdin=orjson.dumps(document))
    assert (ended.code, ended.events()[-1]["report"]["downloaded"]) == (0, 2)
    assert body_tree(tmp_path / "place") == OBJECTS


def test_verify_and_explain_in_this_direction(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    target = tmp_path / "place"
    missing = cli("verify", filled.url("p"), target)
    assert missing.code == 6
    assert "missing: a.txt" in missing.out
    cli("sync", filled.url("p"), target)
    assert cli("verify", filled.url("p"), target).code == 0
    (target / "a.txt").write_bytes(b"HELLO")
    (target / "extra").write_bytes(b"")
    different = cli("verify", filled.url("p"), target)
    assert different.code == 6
    assert {"content: a.txt: the content differs", "extra: extra"} <= {*different.lines}
    explained = cli("explain", filled.url("p"), target, "a.txt")
    assert explained.lines[-1].startswith("action:   conflict")
    overwritten = cli("explain", filled.url("p"), target, "a.txt", "--json").json()
    assert overwritten["direction"] == "down"
    fetched = cli("explain", filled.url("p"), target, "nowhere")
    assert "nowhere" in fetched.out


def test_a_conflict_is_reported_and_ends_with_code_3(
    cli: CommandLine, filled: Bucket, tmp_path: Path
) -> None:
    target = tmp_path / "place"
    target.mkdir()
    (target / "a.txt").write_bytes(b"mine")
    ended = cli("sync", filled.url("p"), target, "--no-progress")
    assert ended.code == 3
    reason = "the file differs from the object, and no sync wrote it"
    assert f"conflict: a.txt: {reason}; kept, --on-conflict overwrite replaces it" in ended.err
    assert (target / "a.txt").read_bytes() == b"mine"
    ended = cli("sync", filled.url("p"), target, "--on-conflict", "overwrite", "--no-fsync")
    assert ended.code == 0
    assert body_tree(target) == OBJECTS


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--storage-class", "STANDARD_IA"), "--storage-class: a download writes no objects"),
        (("--no-list",), "--no-list"),
        (("--gitignore",), "gitignore: "),
        (("--trash", "TARGET/.trash"), "--trash"),
        (("--thumbnails", "256"), "--thumbnails"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(
    cli: CommandLine, tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    target = tmp_path / "place"
    given = [argument.replace("TARGET", str(target)) for argument in arguments]
    ended = cli("sync", "s3://bucket/p", target, *given)
    assert ended.code == 2
    assert text in ended.error
    assert not target.exists()


def test_two_directories_are_left_to_rsync(cli: CommandLine, tmp_path: Path) -> None:
    ended = cli("sync", tmp_path, tmp_path / "b")
    assert ended.code == 2
    assert "rsync" in ended.error


def test_a_bucket_that_does_not_exist_is_one_clear_line(cli: CommandLine, tmp_path: Path) -> None:
    ended = cli("sync", "s3://no-such-bucket-here/p", tmp_path / "place")
    assert ended.code not in (0, 3)
    assert "no-such-bucket-here" in ended.error
    assert not (tmp_path / "place").exists()


def test_an_upload_refuses_a_directory_as_trash(cli: CommandLine, tmp_path: Path) -> None:
    """It would be taken for granted that objects are moved there."""
    ended = cli("sync", tmp_path, "s3://bucket/p", "--delete", "--trash", tmp_path / "trash")
    assert ended.code == 2
    assert "--trash: objects are moved on the server" in ended.error
    ended = cli("sync", tmp_path, "s3://bucket/p", "--delete", "--trash", "s3://bucket/p/trash")
    assert (ended.code, "--trash: s3://bucket/p/trash/ is in the target" in ended.error) == (2, True)
    ended = cli("sync", "s3://bucket/p", tmp_path / "new", "--delete", "--trash", "s3://bucket/trash")
    assert (ended.code, "name a directory" in ended.error) == (2, True)


def test_objects_are_moved_below_a_prefix(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    make_tree(tmp_path / "t", {"a.txt": "only this"})
    ended = cli("sync", tmp_path / "t", filled.url("p"), "--delete", "--trash", filled.url("old/2026"))
    assert ended.code == 0, ended.err
    assert filled.keys() == {"p/a.txt", "old/2026/d/b"}
    assert filled.get("old/2026/d/b") == OBJECTS["d/b"]
