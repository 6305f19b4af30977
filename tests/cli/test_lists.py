"""Lists of files and of rules as people and tools write them: nothing is lost without a word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

WANTED = {"a.txt", "sub/c.html"}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa.txt\r\nsub/c.html",
        "a.txt\r\nsub/c.html\r\n".encode("utf-16"),
        b"./a.txt\0./sub/c.html\0",
        b"{root}/a.txt\n{root}//sub/./c.html\n",
        b"{real}/a.txt\n{real}/sub/c.html\n",
        b"# a list\n\n   \n./a.txt\n./sub//c.html\n\n",
    ],
    ids=["BOM", "UTF-16", "NUL", "absolute", "absolute, without links", "./"],
)
def test_files_from(cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path, content: bytes) -> None:
    root = tmp_path / "link"
    root.symlink_to(tree)
    content = content.replace(b"{root}", os.fsencode(root)).replace(b"{real}", os.fsencode(tree))
    ended = cli("sync", root, bucket.url(), "--files-from", "-", stdin=content)
    assert (ended.code, ended.err) == (0, "")
    assert bucket.keys() == WANTED


def test_names_between_nuls_are_names_as_they_are(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    names = {"#a", " ", "d\u2028e", "f\x85g", "h\x0ci", "j\x1ck", "l\rm"}
    for name in names:
        (root / name).write_text(name)
    ended = cli("sync", root, bucket.url(), "--files-from", "-", "--json", stdin="\0".join(names).encode())
    assert (ended.code, ended.json()["uploaded"]) == (0, len(names)), ended.json()["errors"]


@pytest.mark.parametrize("name", ["a\u2028b", "a\x85b", "a\x0cb", "a\x1cb", "a\x0bb"])
def test_only_lf_and_crlf_end_a_name_or_a_rule(
    cli: CommandLine, bucket: Bucket, tmp_path: Path, name: str
) -> None:
    root, rules = tmp_path / "odd", tmp_path / "rules"
    root.mkdir()
    for file in (name, "x", "y"):
        (root / file).write_text(file)
    assert cli("sync", root, bucket.url(), "--files-from", "-", stdin=f"{name}\nx\n".encode()).code == 0
    rules.write_bytes(f"y\r\n{name}\r\n".encode())
    assert cli("sync", root, bucket.url("p"), "--exclude-from", rules).code == 0
    assert bucket.keys() == {name, "x", "p/x"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-8"])
def test_no_rule_is_lost_by_an_encoding(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path, encoding: str
) -> None:
    """UTF-16 without a byte order mark cannot be recognised: it is refused."""
    rules = tmp_path / "rules"
    rules.write_bytes("*.txt\r\n!b.txt\r\n".encode(encoding))
    ended = cli("sync", tree, bucket.url(), "--exclude-from", rules)
    if encoding == "utf-16-le":
        assert (ended.code, bucket.keys()) == (2, set())
        assert "--exclude-from" in ended.error
        assert "save it as UTF-8" in ended.error
    else:
        assert (ended.code, bucket.keys()) == (0, {"b.txt", "sub/c.html"})


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        (b"/etc/passwd\n", "'/etc/passwd' in the list of files: give paths below the source"),
        (b"../a.txt\n", "without '..'"),
        (b"\xff\xfea", "is invalid UTF-16 or UTF-32, or has no byte order mark; save it as UTF-8"),
    ],
)
def test_a_file_that_is_no_list_is_refused(
    cli: CommandLine, tree: Path, bucket: Bucket, stdin: bytes, expected: str
) -> None:
    ended = cli("sync", tree, bucket.url(), "--files-from", "-", stdin=stdin)
    assert ended.code == 2
    assert expected in ended.error
