"""LocalTree: where files are, and whether file and root are still the same."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import SourceError
from aios3sync.local.digest import entry_of
from aios3sync.local.tree import LocalTree


def test_the_path_of_a_key_is_below_the_root() -> None:
    assert LocalTree("/data").path("a/b") == "/data/a/b"
    assert LocalTree("/data", on_bad_name="escape").path("a\u201bFF") == "/data/a\udcff"


def test_a_list_of_files_names_their_paths() -> None:
    tree = LocalTree("files:", files={"a": "/x/1"}, symlinks="skip")
    anyio.run(tree.check)
    assert (tree.path("a"), tree.path("b"), tree.place("a")) == ("/x/1", "", "/x/1")
    assert (tree.device, tree.root_problem(), tree.may_be_swapped(5)) == (None, "", False)


def test_links_that_are_not_followed_are_part_of_a_place() -> None:
    assert LocalTree("/data").place("a") == "/data/a"
    assert LocalTree("/data", symlinks="skip").place("a") == ("/data", "a", False)
    assert LocalTree("/data", symlinks="inside").place("a") == ("/data", "a", True)


def test_a_file_is_unchanged_while_its_stat_is_or_when_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    tree = LocalTree(str(tmp_path))
    row = RecordedEntry(*entry_of("a", path.stat()), "", "", 0, "", True, 0.0, 1, "")
    assert tree.is_unchanged(row)
    path.write_text("22")
    assert not tree.is_unchanged(row)
    path.unlink()
    assert tree.is_unchanged(row)


def test_the_root_is_the_one_that_was_checked(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree = LocalTree(str(root))
    with pytest.raises(SourceError):
        anyio.run(tree.check)
    root.mkdir()
    anyio.run(tree.check)
    assert tree.root_problem() == ""
    assert tree.device == root.stat().st_dev
    assert [tree.may_be_swapped(device) for device in (-1, root.stat().st_dev, 10**9)] == [
        False,
        False,
        True,
    ]
    root.rename(tmp_path / "elsewhere")
    assert "went away" in tree.root_problem()
    root.mkdir()
    assert "another directory" in tree.root_problem()


def test_an_entry_is_a_regular_file_or_a_reason(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "a").write_text("1")
    (tmp_path / "dangling").symlink_to("nowhere")
    tree = LocalTree(str(tmp_path))
    assert anyio.run(tree.entry, "a") == entry_of("a", (tmp_path / "a").stat())
    assert anyio.run(tree.entry, "d") == "not a regular file"
    assert anyio.run(tree.entry, "b") == "No such file or directory"
    assert (tree.has_name("dangling"), tree.has_name("b")) == (True, False)


def test_ignore_files_are_those_above_a_key(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("x")
    (tmp_path / "d" / "e" / ".gitignore").write_text("y")
    tree = LocalTree(str(tmp_path))
    assert anyio.run(tree.ignore_files, "d/e/f") == [("", b"x"), ("d/e/", b"y")]
    assert anyio.run(tree.ignore_files, "d/f") == [("", b"x")]
