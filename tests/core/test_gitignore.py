"""The rules of ``.gitignore``, compared with git itself."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios3sync.core.gitignore import IgnoreTree, _atoms, _translate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("lines", "path", "ignored"),
    [
        (["*.log"], "a.log", True),
        (["*.log"], "deep/down/a.log", True),
        (["*.log", "!keep.log"], "keep.log", False),
        (["!keep.log", "*.log"], "keep.log", True),
        (["/only-here"], "only-here", True),
        (["/only-here"], "sub/only-here", False),
        (["a/b"], "a/b", True),
        (["a/b"], "x/a/b", False),
        (["build/"], "build/out.o", True),
        (["build/"], "sub/build/out.o", True),
        (["build/"], "build", False),
        (["**/foo"], "x/y/foo", True),
        (["foo/**"], "foo/x/y", True),
        (["foo/**", "!foo/keep"], "foo/keep", False),
        (["foo/", "!foo/keep"], "foo/keep", True),
        (["foo/*", "!foo/keep"], "foo/keep", False),
        (["a/**/b"], "a/b", True),
        (["a/**/b"], "a/x/y/b", True),
        (["foo**bar"], "foo/bar", False),
        (["*", "!*/", "!*.py"], "x/a.py", False),
        (["*", "!*/", "!*.py"], "x/a.txt", True),
        (["é", "!/*/"], "x/é/y", True),
        (["# comment", "\\#real"], "#real", True),
        (["# comment"], "# comment", False),
        (["\\!real"], "!real", True),
        (["trailing   "], "trailing", True),
        (["kept\\ "], "kept ", True),
        (["a?c"], "a/c", False),
        (["[a-c].txt"], "b.txt", True),
        (["[!a-c].txt"], "b.txt", False),
        (["[[:digit:]]"], "7", True),
        (["[[:nonsense:]]"], "7", False),
        (["[a"], "[a", False),
        (["[!]"], "!", False),
        (["[]"], "]", False),
        (["[]-]"], "]", True),
        (["[z-a]"], "z", True),
        (["broken\\"], "broken\\", False),
        (["", "/", "!", "//"], "a", False),
        (["crlf\r\n"], "crlf", True),
    ],
)
def test_documented_rules(lines: list[str], path: str, ignored: bool) -> None:
    """The examples of git's own documentation, and the corners of its parser."""
    tree = IgnoreTree()
    tree.add("", lines)
    assert tree.hides(path) is ignored


def test_the_deepest_file_decides() -> None:
    """A .gitignore speaks of what is below it, relative to itself, and overrules those above."""
    tree = IgnoreTree()
    tree.add("", ["*.txt", "/top"])
    tree.add("sub/", ["!keep.txt", "/top"])
    tree.add("sub/deeper/", ["keep.txt"])
    seen = ("keep.txt", "sub/keep.txt", "sub/deeper/keep.txt", "sub/other.txt", "sub/top", "sub/x/top")
    assert [tree.hides(path) for path in seen] == [True, False, True, True, True, False]


def test_nothing_below_an_ignored_directory_is_seen_again() -> None:
    """A file cannot be taken back in where its directory is out."""
    tree = IgnoreTree()
    tree.add("", ["out/"])
    tree.add("out/", ["!a"])
    assert tree.hides("out/a")
    assert tree.ignores("out/")
    assert not tree.ignores("out/a")


def test_no_files_hide_nothing() -> None:
    """Without any .gitignore everything is visible."""
    assert not IgnoreTree().hides("a/b")
    assert not IgnoreTree().ignores("a/")


NAMES = ("a", "b", "foo", "x.py", "y.txt", ".h", "a b", "é", "[x]", "h!")
GLOBS = (*NAMES, "*", "**", "?", "*.py", "*.*", "[ab]", "[!a]", "f*", "fo?", "*o", "[^a-c]*", "[[:alpha:]]")
SOUP = (
    "a",
    "b",
    "foo",
    ".",
    "*",
    "**",
    "?",
    "[",
    "]",
    "!",
    "-",
    "\\",
    "/",
    "/",
    " ",
    "#",
    "é",
    "[a-c]",
    "\r",
)


def random_rule(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "".join(rng.choice(SOUP) for _ in range(rng.randint(1, 6)))
    rule = "/".join(rng.choice(GLOBS) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))
    rule = rng.choice(("", "", "", "/")) + rule + rng.choice(("", "", "/"))
    return rng.choice(("", "", "!")) + rule


def random_tree(rng: random.Random, root: Path) -> tuple[set[str], IgnoreTree]:
    """Make a small tree with .gitignore files; return its files and what our reading of them is."""
    files: set[str] = set()
    for _ in range(rng.randint(3, 12)):
        path = root.joinpath(*(rng.choice(NAMES) for _ in range(rng.randint(1, 4))))
        if not path.exists() and not any(up.is_file() for up in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            files.add(path.relative_to(root).as_posix())
    tree = IgnoreTree()
    above = {name[: place + 1] for name in files for place, sign in enumerate(name) if sign == "/"}
    for directory in sorted({""} | above):
        if not directory or rng.random() < 0.3:
            lines = [random_rule(rng) for _ in range(rng.randint(1, 4))]
            (root / directory / ".gitignore").write_bytes("\n".join(lines).encode())
            tree.add(directory, lines)
    return files, tree


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")
@pytest.mark.parametrize("seed", range(4))
def test_git_agrees_on_random_trees_p6(seed: int, tmp_path: Path) -> None:
    """On random trees with nested .gitignore files exactly those files are hidden that git ignores."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=environment)
    trees = {}
    for number in range(120):
        name = f"tree{number}"
        tmp_path.joinpath(name).mkdir()
        trees[name] = random_tree(rng, tmp_path / name)
    asked = [f"{name}/{file}" for name, (files, _) in trees.items() for file in sorted(files)]
    answer = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(asked).encode(),
        stdout=subprocess.PIPE,
        env=environment,
        check=False,  # 1 means that nothing is ignored
    )
    ours = {f"{name}/{file}" for name, (files, tree) in trees.items() for file in files if tree.hides(file)}
    assert ours == set(answer.stdout.decode().split("\0")) - {""}
    assert ours


def test_gits_own_directory_is_never_part_of_a_tree() -> None:
    """With or without any rules; a worktree and a submodule have a file of that name."""
    tree = IgnoreTree()
    for _ in range(2):
        assert tree.hides(".git/config")
        assert tree.hides("sub/.git")
        assert tree.ignores(".git/")
        assert not tree.hides(".github/workflows/x.yml")
        tree.add("", ["*.log"])


# Time: a tree of others may hold any rule and any name.

_PLAIN = {"*": "[^/]*", "**/": "(?:[^/]*/)*", "**": ".*"}
patterns = st.text(st.sampled_from("ab*/?")).map(lambda text: text.replace("//", "/"))


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=2000)
@given(patterns, st.text(st.sampled_from("ab/"), max_size=12))
@example("**/a*b", "ax/ab")
@example("**/a*b/**/c*d", "ab/cd/ab/x/cx/cxd")
@example("a*ab", "aaab")
@example("**/a/b/**", "a/a/b/c")
def test_wildcards_that_take_nothing_back_find_the_same(pattern: str, path: str) -> None:
    """The expression of each pattern is equal to the plain one, which tries everything."""
    atoms = _atoms(pattern)
    assert atoms is not None
    plain = "".join(_PLAIN.get(atom, atom) for atom in atoms)
    compiled = re.compile(_translate(pattern) or "", re.DOTALL)
    assert bool(compiled.fullmatch(path)) == bool(re.fullmatch(plain, path, re.DOTALL))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a" * 100 + "b", "a" * 255),
        ("/x/" + "*a" * 100 + "b", "x/" + "a" * 255),
        ("**/a/" * 100 + "b", "a/" * 500 + "c"),
        ("**/" + "*a" * 50 + "/" + "**/*a*a" * 20 + "b", ("a" * 100 + "/") * 10 + "c"),
        ("*" * 5000 + "b", "a" * 255),
        ("?*" * 200 + "b", "a" * 255),
        ("[ab]*" * 200 + "c", "ab" * 127),
    ],
)
def test_no_rule_takes_long_whatever_the_name(line: str, path: str) -> None:
    """Trying every length of every wildcard would take longer than the age of the universe."""
    tree = IgnoreTree()
    began = time.process_time()
    tree.add("", [line])
    assert not tree.hides(path)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "line",
    [
        " " * 100_000 + "x",
        "[" * 100_000,
        "[:" * 50_000 + "]",
        "[[:" * 30_000 + "]",
        "\\ " * 50_000,
        "[a-" * 30_000,
    ],
    ids=["spaces", "[", "[:", "[[:", "escaped spaces", "[a-"],
)
def test_no_line_takes_long_to_read(line: str) -> None:
    began = time.process_time()
    IgnoreTree().add("", [line])
    assert time.process_time() - began < 5
