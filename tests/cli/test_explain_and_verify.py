"""``explain`` shows what a sync would do with one key; ``verify`` shows what differs. Both only read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


def test_explain_shows_each_side_and_the_action(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    cli("sync", tree, bucket.url("p"))
    ended = cli("explain", tree, bucket.url("p"), "a.txt", "--check", "list")
    assert ended.code == 0
    labels = [line.partition(":")[0] for line in ended.lines]
    assert labels[:5] == ["key", "filters", "source", "recorded", "target"]
    assert "which proves the MD5 of the body" in ended.lines[4]
    assert ended.lines[-1].startswith("action:")


def test_explain_names_the_rule_that_decides(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    options = ["--exclude", "*.txt", "--include", "b*", "--json"]
    hidden = cli("explain", tree, bucket.url("p"), "a.txt", *options).json()
    assert (hidden["visible"], hidden["action"]) == (False, "keep")
    assert "exclude '*.txt'" in hidden["visibility"]
    shown = cli("explain", tree, bucket.url("p"), "b.txt", *options).json()
    assert (shown["visible"], shown["action"], shown["reason"]) == (True, "upload", "new")
    assert "include 'b*'" in shown["visibility"]


def test_explain_reads_the_gitignore_files_on_the_way(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    (tree / "sub" / ".gitignore").write_text("*.html\n")
    found = cli("explain", tree, bucket.url(), "sub/c.html", "--gitignore", "--json").json()
    assert found["visibility"] == "hidden by .gitignore"


def test_explain_says_what_a_comparison_compares(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    cli("sync", tree, bucket.url())
    os.utime(tree / "a.txt", (1, 1))
    touched = cli("explain", tree, bucket.url(), "a.txt", "--json").json()
    assert (touched["action"], touched["listed"]) == ("touch", False)
    assert touched["compared"].startswith("the file with the recorded MD5 ")
    adopted = cli("explain", tree, bucket.url(), "a.txt", "--no-manifest", "--json").json()
    assert (adopted["action"], adopted["reason"]) == ("adopt", "the target holds the same content")
    assert "object's ETag" in adopted["compared"]
    assert adopted["requests"] == {"HeadObject": 1}


def test_explain_does_not_believe_metadata_that_the_etag_of_the_body_contradicts(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    body = (tree / "a.txt").read_bytes()
    metadata = {"aios3sync-md5": hashlib.md5(body, usedforsecurity=False).hexdigest()}
    bucket.client.put_object(Bucket=bucket.name, Key="a.txt", Body=body[::-1], Metadata=metadata)
    found = cli("explain", tree, bucket.url(), "a.txt", "--json").json()
    assert (found["action"], found["stored_md5"]) == ("upload", metadata["aios3sync-md5"])
    assert found["compared"].count("says otherwise, and is not believed") == 1
    assert cli("verify", tree, bucket.url(), "--include", "a.txt", "--json").code == 6


def test_explain_asks_about_deletes_as_a_sync_would(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    cli("sync", tree, bucket.url())
    bucket.put("theirs", b"x")
    (tree / "a.txt").unlink()
    tracked = cli("explain", tree, bucket.url(), "a.txt", "--delete-tracked", "--check=list", "--json").json()
    assert (tracked["action"], tracked["reason"]) == ("delete", "uploaded by us, gone from the source")
    theirs = cli("explain", tree, bucket.url(), bucket.url("theirs"), "--check=list", "--json").json()
    assert (theirs["action"], theirs["reason"]) == ("keep", "not ours")
    assert cli("explain", tree, bucket.url(), "nowhere", "--json").json()["action"] == "nothing"
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html", "theirs"}


def test_explain_refuses_what_is_no_key(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    ended = cli("explain", tree, bucket.url(), "sub/")
    assert ended.code == 2
    assert "name one file" in ended.error


def test_verify_finds_no_difference_between_equal_sides(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    cli("sync", tree, bucket.url("p"))
    ended = cli("verify", tree, bucket.url("p"))
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[-1].startswith("3 files the same, 0 differing in ")


def test_verify_lists_every_difference_and_exits_with_6(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    cli("sync", tree, bucket.url())
    bucket.put("extra", b"x")
    bucket.put("a.txt", b"ALPHA")
    bucket.put("b.txt", b"longer")
    (tree / "new").write_text("x")
    ended = cli("verify", tree, bucket.url())
    assert ended.code == 6
    assert sorted(line.partition(" in ")[0] for line in ended.lines) == [
        "1 file the same, 4 differing",
        "content: a.txt: the content differs",
        "extra: extra",
        "missing: new",
        "size: b.txt: 4 bytes here, 6 there",
    ]
    document = cli("verify", tree, bucket.url(), "--json").json()
    assert (document["same"], document["differing"], document["exit_code"]) == (1, 4, 6)


def test_verify_exits_with_3_where_something_cannot_be_compared(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    bucket.put("mem", b"")
    (tree / "mem").symlink_to("/proc/self/mem")
    ended = cli("verify", tree, bucket.url())
    assert ended.code == 3
    assert ended.err.startswith("failed: mem: compare: ")
