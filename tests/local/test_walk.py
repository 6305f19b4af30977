"""The walk: key order, what it cannot see, links, mounts, names that are no keys."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync import SourceError
from aios3sync.core.entries import Problem
from aios3sync.core.filters import Filters, make_rules
from aios3sync.core.gitignore import IgnoreTree
from aios3sync.core.key_range import KeyRange
from aios3sync.core.text import escape_undecodable
from aios3sync.local.walk import BATCH_SIZE, Walk, check_root
from aios3sync.testing.trees import make_tree


def walked(walk: Walk) -> tuple[list[str], list[Problem]]:
    batches = list(walk.batches())
    return (
        [entry.key for batch in batches for entry in batch.entries],
        [problem for batch in batches for problem in batch.problems],
    )


def keys(root: Path, **options: Any) -> list[str]:
    return walked(Walk(str(root), options.pop("filters", Filters()), **options))[0]


def test_the_order_of_the_walk_is_the_order_of_the_keys(tmp_path: Path) -> None:
    """D11: a directory sorts as its name with a slash."""
    names = ["a!b", "a b", "a-b", "a.b", "a/x", "a/y/z", "ab", "b", "é", "日本/🙂", "\uffff", "\U0001f600"]
    make_tree(tmp_path, dict.fromkeys(names, "x"))
    assert keys(tmp_path) == sorted(names, key=lambda name: name.encode())


NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..")
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(st.lists(NAME, min_size=1, max_size=3), max_size=12))
def test_any_tree_is_walked_completely_and_in_order(
    paths: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("walk")
    made = set()
    for parts in paths:
        place = root.joinpath(*parts)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("x")
        except OSError:
            continue  # a file where another path needs a directory
        made.add("/".join(parts))
    assert keys(root) == sorted(made, key=lambda name: name.encode())


def test_batches_are_bounded_and_none_is_empty(tmp_path: Path) -> None:
    make_tree(tmp_path, {f"f{n:04}": "" for n in range(2 * BATCH_SIZE + 1)})
    sizes = [len(batch.entries) for batch in Walk(str(tmp_path), Filters()).batches()]
    assert sizes == [BATCH_SIZE, BATCH_SIZE, 1]


def test_a_very_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    depth = 300
    place = tmp_path
    for _ in range(depth):
        place = place / "d"
    place.mkdir(parents=True)
    (place / "f").write_text("x")
    assert keys(tmp_path) == ["d/" * depth + "f"]


def test_an_entry_holds_the_stat(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": "123"}, mtime_ns=1_700_000_000_123_456_789)
    (batch,) = Walk(str(tmp_path), Filters()).batches()
    stat = (tmp_path / "a").stat()
    assert batch.entries == [("a", 3, 1_700_000_000_123_456_789, stat.st_ctime_ns, stat.st_ino)]


def test_special_files_and_broken_links_are_skipped_and_reported(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": "1", "dangling": "-> nowhere", "self": "-> self"})
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "sock"))
        found, problems = walked(Walk(str(tmp_path), Filters()))
    assert found == ["a"]
    assert {problem.path: problem.kind for problem in problems} == dict.fromkeys(
        ("dangling", "fifo", "self", "sock"), "skipped"
    )


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    make_tree(tmp_path, {"d/f": "1", "d/up": "-> ..", "d/same": "-> ."})
    found, problems = walked(Walk(str(tmp_path), Filters()))
    assert found == ["d/f"]
    assert sorted(problem.path for problem in problems) == ["d/same", "d/up"]


def test_the_same_directory_linked_twice_is_no_loop(tmp_path: Path) -> None:
    make_tree(tmp_path, {"real/f": "1", "one": "-> real", "two": "-> real"})
    assert keys(tmp_path) == ["one/f", "real/f", "two/f"]


def test_links_are_followed_skipped_or_kept_inside(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "root", {"f": "1", "in": "-> f", "out": "-> ../secret", "dir": "-> ../other"})
    make_tree(tmp_path, {"secret": "s", "other/o": "o"})
    assert keys(root, symlinks="follow") == ["dir/o", "f", "in", "out"]
    assert keys(root, symlinks="skip") == ["f"]
    assert keys(root, symlinks="inside") == ["f", "in"]


def test_names_that_are_not_utf8_are_skipped_and_reported(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": "1"})
    (tmp_path / os.fsdecode(b"bad\xff")).write_text("x")
    (tmp_path / os.fsdecode(b"dir\xfe")).mkdir()
    (tmp_path / os.fsdecode(b"dir\xfe") / "f").write_text("x")
    found, problems = walked(Walk(str(tmp_path), Filters()))
    assert found == ["a"]
    assert sorted(escape_undecodable(problem.path) for problem in problems) == ["bad\\xff", "dir\\xfe"]


def test_a_key_that_would_be_too_long_is_skipped_and_reported(tmp_path: Path) -> None:
    make_tree(tmp_path, {"n" * 255: "1", "short": "2"})
    found, problems = walked(Walk(str(tmp_path), Filters(), prefix="p" * 800 + "/"))
    assert found == ["short"]
    assert "1056 bytes" in problems[0].error


def test_pruned_directories_are_never_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path, {"node_modules/deep/x": "1", "src/a": "2"})
    entered: list[str] = []
    real = os.scandir

    def scandir(place: Any) -> Any:
        entered.append(os.path.relpath(place, tmp_path))
        return real(place)

    monkeypatch.setattr("aios3sync.local.walk.os.scandir", scandir)
    filters = Filters(make_rules([("exclude", "node_modules/*")]))
    assert keys(tmp_path, filters=filters) == ["src/a"]
    assert "node_modules" not in entered


def test_gitignore_files_are_honoured_where_they_are(tmp_path: Path) -> None:
    make_tree(
        tmp_path,
        {
            ".gitignore": "*.log\n/build/\n!keep.log\n",
            "a.log": "",
            "keep.log": "",
            "build/x": "",
            "sub/build/x": "",
            "sub/.gitignore": "!a.log\nprivate\n",
            "sub/a.log": "",
            "sub/private/y": "",
        },
    )
    filters = Filters(ignored=IgnoreTree())
    assert keys(tmp_path, filters=filters) == [
        ".gitignore",
        "keep.log",
        "sub/.gitignore",
        "sub/a.log",
        "sub/build/x",
    ]


def test_an_unreadable_gitignore_makes_its_directory_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, {"sub/.gitignore": "a", "sub/a": "1"})

    real = open

    def deny(path: Any, *how: Any) -> Any:
        if str(path).endswith(".gitignore"):
            raise PermissionError(13, "Permission denied")
        return real(path, *how)

    monkeypatch.setattr("builtins.open", deny)
    _, problems = walked(Walk(str(tmp_path), Filters(ignored=IgnoreTree())))
    assert [(problem.path, problem.kind) for problem in problems] == [("sub/", "unreadable")]


def test_named_files_are_looked_at_without_a_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path, {"a": "1", "d/b": "2", "d/c": "3", "x": "4"})
    filters = Filters(files=frozenset({"d/b", "a", "gone", "a/below", "d"}))
    found, problems = walked(Walk(str(tmp_path), filters))
    assert found == ["a", "d/b"]
    assert {problem.path: problem.kind for problem in problems} == {
        "gone": "unreadable",
        "a/below": "unreadable",
        "d": "skipped",
    }


@pytest.mark.parametrize(("name", "text"), [("gone", "no such directory"), ("file", "is not a directory")])
def test_a_root_that_cannot_be_one_is_an_error(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SourceError, match=text):
        check_root(str(tmp_path / name))


def test_a_mount_that_is_gone_is_remembered_and_unknown(tmp_path: Path) -> None:
    make_tree(tmp_path, {"mnt/": None, "a": "1"})
    walk = Walk(str(tmp_path), Filters(), known_mounts=frozenset({"mnt/", "away/"}))
    found, problems = walked(walk)
    assert found == ["a"]
    assert [(problem.path, problem.kind) for problem in problems] == [
        ("mnt/", "unreadable"),
        ("away/", "unreadable"),
    ]
    assert walk.mounts == {"mnt/", "away/"}


def test_a_path_that_no_file_can_have_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """One text with a zero byte, out of a document, ended the walk of all others."""
    make_tree(tmp_path, {"a": "1"})
    files = {"a": str(tmp_path / "a"), "b": "/x\0y", "c": "/\ud800", "\ud800": str(tmp_path / "a")}
    found, problems = walked(Walk("files:", Filters(), files=files))
    assert found == ["a"]
    assert sorted(escape_undecodable(problem.path) for problem in problems) == ["\\ud800", "b", "c"]
    found, problems = walked(Walk(str(tmp_path), Filters(files=frozenset({"a", "b\0"}))))
    assert (found, [problem.path for problem in problems]) == (["a"], ["b\0"])
    with pytest.raises(SourceError, match="no directory can have the path"):
        check_root("/x\0y")


def test_a_walk_that_takes_long_pauses_though_nothing_is_visible(tmp_path: Path) -> None:
    """Its consumer can show progress and stop; what is found is the same."""
    make_tree(tmp_path, {"a": "1", **{f"d{number}/x.log": "" for number in range(50)}, "z": "2"})
    filters = Filters(rules=make_rules([("exclude", "*.log")], ()))
    batches = list(Walk(str(tmp_path), filters, pause_s=-1).batches())
    assert sum(not batch.entries for batch in batches) >= 50
    assert [entry.key for batch in batches for entry in batch.entries] == ["a", "z"]
    assert [len(batch.entries) for batch in Walk(str(tmp_path), filters).batches()] == [2]


# Key ranges


def cut_at(cuts: list[str]) -> list[KeyRange]:
    bounds = sorted({*cuts} - {""})
    return [KeyRange(*pair) for pair in pairwise(["", *bounds, ""])]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.lists(
        st.lists(st.text("!-.0aé\ue000", min_size=1, max_size=3), min_size=1, max_size=3), max_size=14
    ),
    cuts=st.lists(st.text("!-./0aé\ue000\0", min_size=1, max_size=5), max_size=4),
)
def test_walks_of_ranges_are_together_the_whole_walk(
    paths: list[list[str]], cuts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Files and problems: each is in one range, directories sort around files as keys do."""
    root = tmp_path_factory.mktemp("walk")
    for number, parts in enumerate(paths):
        place = root.joinpath(*parts)
        if os.path.lexists(place) or {".", ".."} & {*parts}:
            continue
        with suppress(OSError):  # a file where another path needs a directory
            place.parent.mkdir(parents=True, exist_ok=True)
            if number % 4 == 1:
                os.mkfifo(place)
            elif number % 4 == 2:
                place.symlink_to("/nowhere" if number % 8 == 2 else "..")
            else:
                place.write_text("x")
    whole, problems = walked(Walk(str(root), Filters(), "inside"))
    walks = [walked(Walk(str(root), Filters(), "inside", key_range=part)) for part in cut_at(cuts)]
    assert [key for found, _ in walks for key in found] == whole
    counted = [problem for _, found in walks for problem in found if not problem.elsewhere]
    assert sorted(counted) == sorted(problems)


@pytest.mark.parametrize("symlinks", ["follow", "skip", "inside"])
@pytest.mark.parametrize("cut", ["d", "d/", "d/m", "e", "l/", "l/a", "l0"])
def test_a_directory_that_cannot_be_seen_counts_once_and_is_known_to_all(
    tmp_path: Path, symlinks: str, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, {"other/a": "", "other/b": ""})
    root = tmp_path / "root"
    make_tree(root, {"a": "", "d/a": "", "d/z": "", "e": "", "l": "-> ../other", "z": ""})
    scandir = os.scandir

    def denied(path: str) -> Any:
        if path.rstrip("/").endswith("/d"):
            raise PermissionError(errno.EACCES, "no", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    parts = [
        walked(Walk(str(root), Filters(), symlinks, key_range=part))[1]
        for part in (KeyRange("", cut), KeyRange(cut))
    ]
    whole = walked(Walk(str(root), Filters(), symlinks))[1]
    assert sorted(one for part in parts for one in part if not one.elsewhere) == sorted(whole)
    below = [
        part
        for part, problems in zip((KeyRange("", cut), KeyRange(cut)), parts, strict=True)
        if any(problem.path == "d/" for problem in problems)
    ]
    assert [part.may_hold_below("d/") for part in below] == [True] * len(below)
    assert len(below) == (2 if cut == "d/m" else 1)


def test_directories_outside_the_range_are_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, {f"{top}/{below}/f": "" for top in "abcd" for below in "xyz"})
    entered: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> Any:
        entered.append(path.removeprefix(str(tmp_path)).strip("/"))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    assert keys(tmp_path, key_range=KeyRange("b/y/", "c/y")) == ["b/y/f", "b/z/f", "c/x/f"]
    assert [path for path in entered if path] == ["b", "b/y", "b/z", "c", "c/x"]


def test_rules_of_directories_above_hold_in_a_range(tmp_path: Path) -> None:
    rules: dict[str, bytes | str | None] = {".gitignore": "*.tmp\n", "d/.gitignore": "!z.tmp\n"}
    make_tree(tmp_path, rules | dict.fromkeys(["a", "d/y.tmp", "d/z.tmp"], ""))
    filters = Filters(ignored=IgnoreTree())
    assert keys(tmp_path, filters=filters, key_range=KeyRange("d/m")) == ["d/z.tmp"]
    assert filters.ignored is not None
    assert filters.ignored.hides("d/y.tmp")


@pytest.mark.parametrize("cut", ["d/", "d/b", "d/c", "m", "m/b"])
def test_named_files_of_ranges_are_looked_at_once(tmp_path: Path, cut: str) -> None:
    make_tree(tmp_path, {"d/a": "", "d/b": "", "e/x": "", "l": "-> e"})
    named = frozenset({"d/a", "d/b", "d/c", "l/x", "l/y", "m/a", "m/b", "z"})
    filters = Filters(files=named)
    options: dict[str, Any] = {"symlinks": "skip", "known_mounts": frozenset({"d/", "m/"})}
    whole, problems = walked(Walk(str(tmp_path), filters, **options))
    parts = [
        walked(Walk(str(tmp_path), filters, key_range=part, **options))
        for part in (KeyRange("", cut), KeyRange(cut))
    ]
    assert [key for found, _ in parts for key in found] == whole
    assert sorted(one for _, part in parts for one in part if not one.elsewhere) == sorted(problems)


def test_a_list_of_files_is_looked_at_in_its_range(tmp_path: Path) -> None:
    make_tree(tmp_path, {"1": "", "2": ""})
    files = {"a": f"{tmp_path}/1", "b": f"{tmp_path}/2", "c": f"{tmp_path}/3"}
    assert keys(tmp_path, files=files, key_range=KeyRange("b", "c")) == ["b"]


def test_a_mount_that_is_gone_counts_in_one_range(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": "", "m/": None})
    for cut in ("a", "m", "m/", "m/x", "z"):
        parts = [
            walked(Walk(str(tmp_path), Filters(), known_mounts=frozenset({"m/", "n/"}), key_range=part))[1]
            for part in (KeyRange("", cut), KeyRange(cut))
        ]
        counted = [problem.path for part in parts for problem in part if not problem.elsewhere]
        assert sorted(counted) == ["m/", "n/"], cut
