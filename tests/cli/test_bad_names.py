"""Data that cannot become a key is never left out in silence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

LATIN = b"lat\xe4in.txt"


def write(root: Path, name: bytes, text: str = "x") -> None:
    path = os.fsencode(root) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@pytest.fixture
def long(tree: Path) -> Path:
    write(tree, b"/".join([b"v" * 240] * 5) + b"/file.txt")
    return tree


@pytest.fixture
def latin(tree: Path) -> Path:
    write(tree, LATIN)
    write(tree, b"dir\xff/sub/b.txt")
    return tree


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--on-bad-name", "fail"]], ids=str)
def test_a_name_that_is_not_utf_8_is_a_failure(
    cli: CommandLine, bucket: Bucket, latin: Path, options: list[str]
) -> None:
    ended = cli("sync", latin, bucket.url(), *options, "--json")
    report = ended.json()
    assert (ended.code, report["failed"], report["skipped"]) == (3, 2, 0)
    assert {error["key"] for error in report["errors"]} == {"lat\\xe4in.txt", "dir\\xff"}
    assert "is not valid UTF-8" in report["errors"][0]["error"]
    assert "--on-bad-name" in report["errors"][0]["error"]


def test_a_path_that_is_too_long_is_a_failure(cli: CommandLine, bucket: Bucket, long: Path) -> None:
    for mode in ("fail", "escape"):
        ended = cli("sync", long, bucket.url(), "--json", "--on-bad-name", mode)
        assert (ended.code, ended.json()["failed"]) == (3, 1)
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html"}
    assert cli("sync", long, bucket.url(), "--on-bad-name", "skip").code == 0


def test_a_bad_name_is_reported_under_quiet(cli: CommandLine, bucket: Bucket, latin: Path) -> None:
    ended = cli("sync", latin, bucket.url(), "--quiet")
    assert (ended.code, ended.out, ended.err.count("is not valid UTF-8")) == (3, "", 2)


def test_skipping_is_a_warning(cli: CommandLine, bucket: Bucket, latin: Path) -> None:
    ended = cli("sync", latin, bucket.url(), "--on-bad-name", "skip")
    assert (ended.code, ended.err.count("warning: skipped")) == (0, 2)


def test_what_holds_no_data_or_is_hidden_is_no_failure(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    os.mkfifo(os.fsencode(tree) + b"/pipe\xff")
    os.symlink(b"nowhere", os.fsencode(tree) + b"/dangling\xff")
    os.symlink(b"nowhere", os.fsencode(tree) + b"/dangling")
    write(tree, LATIN)
    write(tree, b"hidden/a\xff")
    write(tree, b"d\xff/a")
    rules = ["--exclude", "lat*", "--exclude", "hidden/*", "--exclude", "d?/*"]
    assert cli("sync", tree, bucket.url(), *rules, "--quiet").code == 0


def test_deletes_are_withheld_while_a_file_has_no_key(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    """What was renamed to such a name has its only copy under its old key."""
    assert cli("sync", tree, bucket.url()).code == 0
    os.rename(os.fsencode(tree) + b"/a.txt", os.fsencode(tree) + b"/" + LATIN)
    assert cli("sync", tree, bucket.url(), "--delete").code == 3
    assert bucket.keys() >= {"a.txt"}
    assert cli("sync", tree, bucket.url(), "--delete", "--on-bad-name", "escape").code == 0
    assert bucket.keys() == {"lat\u201bE4in.txt", "b.txt", "sub/c.html"}


@pytest.mark.parametrize(
    "options", [[], ["--processes", "0"], ["--gitignore"], ["--symlinks", "inside"]], ids=str
)
def test_escaping_stores_every_byte_and_knows_it_again(
    cli: CommandLine, bucket: Bucket, latin: Path, options: list[str]
) -> None:
    write(latin, "\u201bE4".encode(), "a quote")
    write(latin, b"\xe4", "a byte")
    arguments: tuple[str | Path, ...] = (
        "sync",
        latin,
        bucket.url(),
        "--on-bad-name",
        "escape",
        *options,
        "--json",
    )
    keys = {"lat\u201bE4in.txt", "dir\u201bFF/sub/b.txt", "\u201b\u201bE4", "\u201bE4"}
    assert cli(*arguments).json()["uploaded"] == 7
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html", *keys}
    assert bucket.get("\u201bE4") == b"a byte"
    assert bucket.get("\u201b\u201bE4") == b"a quote"
    again = cli(*arguments).json()
    assert (again["checked"], again["kept"]) == ("manifest", 7)
    assert cli(*arguments, "--check", "content").json()["kept"] == 7
    links = options if "--symlinks" in options else []
    ended = cli("verify", latin, bucket.url(), "--on-bad-name", "escape", "--json", *links)
    assert (ended.code, ended.json()["same"]) == (0, 7)
    ended = cli("explain", latin, bucket.url(), "dir\u201bFF/sub/b.txt", "--on-bad-name", "escape", "--json")
    assert ended.json()["source"]["size"] == 1


@pytest.mark.parametrize(("mode", "code"), [("fail", 3), ("skip", 0), ("escape", 0)])
def test_a_named_file_is_treated_alike(
    cli: CommandLine, bucket: Bucket, latin: Path, mode: str, code: int
) -> None:
    names = b"a.txt\n" + LATIN + b"\n"
    ended = cli("sync", latin, bucket.url(), "--files-from", "-", "--on-bad-name", mode, stdin=names)
    assert ended.code == code
    assert bucket.keys() == {"a.txt"} | ({"lat\u201bE4in.txt"} if mode == "escape" else set())


def test_many_escaped_files_go_by_processes_too(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(560):
        write(root, b"\xe4%03d" % number)
    options = ["--on-bad-name", "escape", "--processes", "1", "--json"]
    assert cli("sync", root, bucket.url(), *options).json()["uploaded"] == 560
    assert bucket.keys() == {f"\u201bE4{number:03}" for number in range(560)}
