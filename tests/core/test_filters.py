"""Which keys a sync sees: the rules of ``aws s3 sync``, named files, and pruning that hides nothing."""

from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios3sync.core.filters import Filters, OwnFiles, Rule, make_rules, meanings, read_rules
from aios3sync.core.gitignore import IgnoreTree

laws = settings(deadline=None, derandomize=True, max_examples=400)

TREE = ("foo.txt", "bar.txt", "baz.jpg", ".git/config", ".git/description")
"""The tree of the AWS CLI's own documentation of ``--exclude`` and ``--include``."""


def own(key: str) -> tuple[OwnFiles, ...]:
    return (OwnFiles(re.compile(key), re.compile(key)),)


def visible(pairs: list[tuple[str, str]], keys: tuple[str, ...] = TREE) -> set[str]:
    filters = Filters(make_rules(pairs))
    return {key for key in keys if filters.visible(key)}


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ([], set(TREE)),
        ([("exclude", "ba*")], {"foo.txt", ".git/config", ".git/description"}),
        ([("exclude", "*")], set()),
        ([("exclude", "*"), ("include", "*.txt")], {"foo.txt", "bar.txt"}),
        ([("include", "*.txt"), ("exclude", "*")], set()),
        ([("include", "*.txt")], set(TREE)),
        ([("exclude", ".git/*")], {"foo.txt", "bar.txt", "baz.jpg"}),
        ([("exclude", ".git")], {"foo.txt", "bar.txt", "baz.jpg"}),  # aws hides nothing, which is never meant
        (
            [("exclude", "*.txt"), ("include", "foo.txt"), ("exclude", "f*")],
            set(TREE) - {"foo.txt", "bar.txt"},
        ),
        ([("exclude", "*"), ("include", "ba[rz].*")], {"bar.txt", "baz.jpg"}),
        ([("exclude", "*"), ("include", "ba[!r].*")], {"baz.jpg"}),
        ([("exclude", "ba?.txt")], set(TREE) - {"bar.txt"}),
        ([("exclude", "?git*")], {"foo.txt", "bar.txt", "baz.jpg"}),
        ([("exclude", "*g*")], {"foo.txt", "bar.txt"}),
        ([("exclude", "FOO.TXT")], set(TREE)),
    ],
)
def test_rules_of_aws_s3_sync(pairs: list[tuple[str, str]], wanted: set[str]) -> None:
    """Every rule is tried, the last that matches wins, ``*`` crosses slashes, case counts."""
    assert visible(pairs) == wanted


rule_texts = st.text(st.sampled_from("ab/*?[]!-."), min_size=1, max_size=6)
rules = st.lists(st.tuples(st.sampled_from(["include", "exclude"]), rule_texts), max_size=5).map(make_rules)
keys = st.lists(st.sampled_from(["a", "b", "ab", "a-", ".", "[", "b]", "*"]), min_size=1, max_size=4).map(
    "/".join
)


@laws
@given(rule_texts, keys)
def test_patterns_are_those_of_fnmatch(pattern: str, key: str) -> None:
    """A pattern matches as Python's fnmatch does, with case, on every system."""
    assert Rule(True, pattern).matches(key) == fnmatch.fnmatchcase(key, pattern)


@laws
@given(rules, keys)
@example(make_rules([("exclude", "a*"), ("include", "*/b")]), "a/b")
@example(make_rules([("exclude", "[*"), ("include", "b")]), "a/b")
@example(make_rules([("include", "a/b"), ("exclude", "*")]), "a/b")
def test_pruning_never_hides_a_visible_key(some: tuple[Rule, ...], key: str) -> None:
    """Every directory above a visible key is entered."""
    filters = Filters(some)
    if filters.visible(key):
        parts = key.split("/")
        for depth in range(1, len(parts)):
            assert filters.may_contain("/".join(parts[:depth]) + "/")


@laws
@given(rule_texts, keys, keys)
def test_covering_and_touching_are_sure(pattern: str, above: str, below: str) -> None:
    """covers() means every key below matches; not may_match_below() means none does."""
    rule = Rule(False, pattern)
    directory = f"{above}/"
    if rule.covers(directory):
        assert rule.matches(directory + below)
    if not rule.may_match_below(directory):
        assert not rule.matches(directory + below)


@pytest.mark.parametrize(
    ("pairs", "directory", "enter"),
    [
        ([("exclude", "*")], "dir/", False),
        ([("exclude", "dir/*")], "dir/", False),
        ([("exclude", "dir/*")], "dir/sub/", False),
        ([("exclude", "dir/*")], "other/", True),
        ([("exclude", "d*")], "dir/", False),
        ([("exclude", "*/cache/*")], "a/cache/", False),
        ([("exclude", "*/cache/*")], "a/", True),
        ([("exclude", "*.log")], "dir/", True),
        ([("exclude", "*"), ("include", "keep/*")], "dir/", False),
        ([("exclude", "*"), ("include", "keep/*")], "keep/", True),
        ([("exclude", "*"), ("include", "keep/deep/a")], "keep/", True),
        ([("exclude", "*"), ("include", "keep/deep/a")], "keep/other/", False),
        ([("exclude", "*"), ("include", "*.txt")], "dir/", True),
        ([("include", "keep/*"), ("exclude", "*")], "keep/", False),
    ],
)
def test_directories_that_need_not_be_entered(
    pairs: list[tuple[str, str]], directory: str, enter: bool
) -> None:
    """Pruning works where the rules allow it: an excluded subtree is not walked."""
    assert Filters(make_rules(pairs)).may_contain(directory) is enter


def test_named_files_are_all_there_is() -> None:
    """With --files-from only the named files exist, and rules still hide some of them."""
    filters = Filters(make_rules([("exclude", "*.tmp")]), files=frozenset({"a", "b.tmp"}))
    assert [filters.visible(key) for key in ("a", "b.tmp", "c")] == [True, False, False]


def test_files_of_the_run_itself_are_never_seen() -> None:
    """The manifest and its like stay out, whatever is included."""
    filters = Filters(make_rules([("include", "*")]), own=own("state.db"))
    assert not filters.visible("state.db")
    assert filters.visible("other.db")


def test_trivial_filters_hide_nothing() -> None:
    """Only filters without any rule may be skipped."""
    assert Filters().trivial
    assert not Filters(make_rules([("include", "*")])).trivial
    assert not Filters(files=frozenset()).trivial
    assert not Filters(ignored=IgnoreTree()).trivial
    assert not Filters(own=own("a")).trivial


def ignoring(*lines: str) -> IgnoreTree:
    tree = IgnoreTree()
    tree.add("", lines)
    return tree


def test_what_is_hidden_is_hidden_by_its_key_alone_d10_p6() -> None:
    """The same question has the same answer for a file and for an object, so excluded objects stay."""
    filters = Filters(make_rules([("exclude", "private/*")]), ignored=ignoring("*.log"), own=own("state.db"))
    for key in ("private/a", "x/private.log", "y.log/below", "state.db"):
        assert not filters.visible(key)
    assert filters.visible("x/private")


def test_gitignore_prunes_and_rules_hide_on_their_own() -> None:
    """A key must pass both the rules and the .gitignore files."""
    filters = Filters(
        make_rules([("exclude", "*.tmp"), ("include", "*")]), ignored=ignoring("build/", "!a.tmp")
    )
    assert not filters.may_contain("build/")
    assert filters.may_contain("src/")
    assert not filters.visible("build/a")
    assert filters.visible("src/a")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("state.db", "hidden: a file of this run itself"),
        ("unnamed", "hidden: not named by --files-from"),
        ("a.tmp", "hidden by exclude '*.tmp' (rules:3)"),
        ("a.log", "hidden by .gitignore"),
        ("keep.tmp", "visible by include 'keep.*' (rules:4)"),
        ("a", "visible: no rule matches"),
    ],
)
def test_explanations(key: str, why: str) -> None:
    """explain() names the rule that decides, and agrees with visible()."""
    filters = Filters(
        tuple(read_rules(["# scratch\n", "\n", "*.tmp\n", "+ keep.*\n"], "rules")),
        frozenset({"state.db", "a.tmp", "a.log", "keep.tmp", "a"}),
        ignoring("*.log"),
        own("state.db"),
    )
    assert filters.explain(key) == why
    assert filters.visible(key) == why.startswith("visible")


def test_reading_a_file_of_rules() -> None:
    """Blank lines and comments say nothing; ``!`` and ``+`` include, ``-`` and nothing exclude."""
    lines = ["# comment", "", "  ", "*.o\r\n", "!a.o", "+ b.o", "- c.o", "+ - d", "-e", "f #g"]
    got = [(rule.include, rule.pattern, rule.origin) for rule in read_rules(lines, "x")]
    assert got == [
        (False, "*.o", "x:4"),
        (True, "a.o", "x:5"),
        (True, "b.o", "x:6"),
        (False, "c.o", "x:7"),
        (True, "- d", "x:8"),
        (False, "-e", "x:9"),
        (False, "f #g", "x:10"),
    ]


def test_rules_are_values() -> None:
    """Two equal rules are equal, and a rule says where it came from."""
    assert Rule(True, "*.py") == Rule(True, "*.py")
    assert Rule(True, "*.py") != Rule(False, "*.py")
    assert [str(rule) for rule in make_rules([("include", "a")])] == ["include 'a' (--include)"]
    assert str(Rule(False, "a")) == "exclude 'a'"


# What aws users mean

FILES = ("a.txt", "cache/x", "sub/cache/y", "sub/a.txt", ".git/config", "sub/.git/config", "cached")


@pytest.mark.parametrize(
    ("pattern", "hidden"),
    [
        ("cache/*", {"cache/x"}),
        ("./cache/*", {"cache/x"}),
        (".//cache/*", {"cache/x"}),
        ("././cache/*", {"cache/x"}),
        ("/cache/*", {"cache/x"}),
        ("//cache/*", {"cache/x"}),
        ("cache/", {"cache/x"}),
        ("./cache/", {"cache/x"}),
        ("cache", {"cache/x"}),
        ("/cache", {"cache/x"}),
        ("/home/me/data/cache/*", {"cache/x"}),
        ("/home/me/data/cache/", {"cache/x"}),
        ("/home/me/data/./cache", {"cache/x"}),
        ("/real/data/sub", {"sub/cache/y", "sub/a.txt", "sub/.git/config"}),
        ("/home/me/data-old/cache/*", set()),
        (".git", {".git/config"}),
        ("*/.git/", {"sub/.git/config"}),
        ("a.txt", {"a.txt"}),
        ("/a.txt", {"a.txt"}),
        ("*/cache/*", {"sub/cache/y"}),
        ("./*", set(FILES)),
        ("./", set()),
        ("/", set()),
        ("cache\\*", set()),
    ],
)
def test_a_pattern_that_aws_would_match_with_nothing_means_what_its_author_had_in_mind(
    pattern: str, hidden: set[str]
) -> None:
    roots = ("/home/me/data", "/real/data/")
    excluding = Filters(make_rules([("exclude", pattern)], roots))
    assert {key for key in FILES if not excluding.visible(key)} == hidden
    including = Filters(make_rules([("exclude", "*"), ("include", pattern)], roots))
    assert {key for key in FILES if including.visible(key)} == hidden
    for key in hidden:
        directories = [key[: place + 1] for place, letter in enumerate(key) if letter == "/"]
        assert all(map(including.may_contain, directories)), "a walk gets there"


@laws
@given(st.text(st.sampled_from("ab/.*?[]!"), max_size=8), st.text(st.sampled_from("ab/."), max_size=8))
def test_keys_that_a_pattern_matches_literally_still_match_p6(pattern: str, key: str) -> None:
    """No object that a filter hid before is shown, and deleted, because of another meaning."""
    (rule,) = make_rules([("exclude", pattern)], ["/a"])
    if Rule(False, pattern).matches(key):
        assert rule.matches(key)
    assert pattern not in meanings(pattern)


@pytest.mark.parametrize(
    ("pairs", "keys", "unmatched"),
    [
        ([("exclude", "*.tpm")], ["a.tmp"], ["*.tpm"]),
        ([("exclude", "*.tmp")], ["a.tmp"], []),
        ([("exclude", "a*"), ("exclude", "*.tmp")], ["a.tmp"], []),
        ([("exclude", "*.tmp"), ("exclude", "b*")], ["a.tmp"], ["b*"]),
        ([("exclude", "*"), ("include", "*.jpg")], ["a.jpg"], []),
        ([("include", "*.jpg"), ("exclude", "*")], ["a.gif"], ["*.jpg"]),
        ([("exclude", "x"), ("exclude", "x")], ["y"], ["x", "x"]),
        ([("exclude", "x"), ("exclude", "x")], ["x"], []),
        ([("exclude", "/cache/*")], ["cache/x"], []),
    ],
)
def test_rules_that_matched_nothing_are_known(
    pairs: list[tuple[str, str]], keys: list[str], unmatched: list[str]
) -> None:
    filters = Filters(make_rules(pairs))
    for key in keys:
        filters.visible(key)
    assert [rule.pattern for rule in filters.unmatched] == unmatched


def test_no_rule_is_called_useless_for_a_directory_that_was_not_entered() -> None:
    pairs = [("exclude", "*.tmp"), ("exclude", "other/x"), ("exclude", "dir/*")]
    filters = Filters(make_rules(pairs))
    assert not filters.may_contain("dir/")
    assert [rule.pattern for rule in filters.unmatched] == ["other/x"]


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("*a" * 500 + "b", "a" * 1024),
        ("*" * 5000 + "b", "a" * 1024),
        ("?*" * 500 + "b", "a" * 1024),
        ("[ab]*" * 500 + "c", "ab" * 512),
        ("*a" * 500 + "b*", "a" * 1023 + "/"),
    ],
)
def test_no_pattern_takes_long_whatever_the_key(pattern: str, key: str) -> None:
    began = time.process_time()
    (rule,) = make_rules([("exclude", pattern)])
    assert not rule.matches(key)
    assert not rule.covers(f"{key}/")
    assert time.process_time() - began < 5
