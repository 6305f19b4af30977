"""Cases, contenders, the order of runs and their commands."""

from __future__ import annotations

import re

import pytest

from benchmarks import __main__ as program
from benchmarks.cases import CASES, rounds, scaled, select_cases
from benchmarks.contenders import OURS, PEERS, Contender, filled_in, our_lanes, ours, select_contenders

ALL = [*ours(["wire", "boto"]), *PEERS]
PLACES = {
    *("tree", "empty", "target", "bucket", "prefix", "endpoint"),
    *("python", "library", "find", "s5cmd", "rclone", "aws", "boto3-s3"),
}


def test_rounds_are_interleaved_and_begin_with_another_contender() -> None:
    """Each contender runs once a round."""
    plan = list(rounds(["a", "b", "c"], 4))
    assert plan == [
        (0, ["a", "b", "c"]),
        (1, ["b", "c", "a"]),
        (2, ["c", "a", "b"]),
        (3, ["a", "b", "c"]),
    ]
    assert list(rounds([], 1)) == [(0, [])]


def test_the_cases_have_the_promised_sizes() -> None:
    """A smaller run needs an option."""
    sizes = {case.name: case.items for case in select_cases([])}
    assert sizes == {
        "fresh-10k": 10_000,
        "fresh-30k": 30_000,
        "start": 1_000,
        "unchanged": 30_000,
        "changed": 10_000,
        "mixed": 271,
        "large": 4,
        "delete": 100_000,
        "list": 100_000,
    }


def test_cases_on_request_run_only_if_they_are_named() -> None:
    """A million objects are too many for most endpoints."""
    assert [case.items for case in select_cases(["million", "list-1m"])] == [1_000_000, 1_000_000]
    assert not any(case.on_request for case in select_cases([]))


def test_a_scaled_case_has_its_own_size_in_its_title() -> None:
    """Small files are fewer, large ones as many but smaller."""
    small, large = select_cases(["large", "fresh-30k"], 0.01)
    assert (small.title, small.items) == ("Fresh sync of 300 x 4 KiB", 300)
    assert (large.title, large.items, large.tree.size) == ("Fresh sync of 4 x 10 MiB", 4, round(2**30 * 0.01))
    assert all(scaled(case, 1e-9).items >= 4 for case in CASES)


def test_unknown_names_are_refused() -> None:
    """The message lists the known names."""
    with pytest.raises(ValueError, match="no such case: frsh; there are changed, delete"):
        select_cases(["frsh"])
    with pytest.raises(ValueError, match="no such tool: s6cmd"):
        select_contenders(ALL, ["s6cmd"])


def test_tools_and_single_rows_can_be_chosen() -> None:
    """A tool means all its rows."""
    chosen = select_contenders(ALL, ["rclone", "s5cmd best"])
    assert [each.name for each in chosen] == [
        "s5cmd best",
        "rclone best",
        "rclone wide",
        "rclone verifying",
        "rclone default",
    ]
    assert select_contenders(ALL, []) == ALL


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_every_command_can_be_filled_in(each: Contender) -> None:
    """Placeholders are known ones; a contender that needs objects in the bucket can upload them first."""
    for command in each.commands.values():
        assert set(re.findall(r"\{([^}]*)\}", command)) <= PLACES
    if {"unchanged", "changed", "walk"} & each.commands.keys() and each.uploads:
        assert each.setup


def test_names_are_unique_and_every_case_has_both_sides() -> None:
    """No case is measured without a peer."""
    assert len({each.name for each in ALL}) == len(ALL)
    for case in CASES:
        sides = {each.is_peer for each in ALL if case.verb in each.commands}
        assert sides == {True, False}, case.name


def test_every_peer_runs_at_its_best_and_at_its_default() -> None:
    """Each peer has a row for both."""
    for tool in {each.tool for each in PEERS if each.uploads}:
        names = {each.name for each in PEERS if each.tool == tool}
        assert {f"{tool} best", f"{tool} default"} <= names


def test_values_are_not_split_at_blanks() -> None:
    """Only the template is split into words."""
    words = filled_in(
        "{python} -m x {tree}/ {target}/*", {"python": "py", "tree": "a b", "target": "s3://c d"}
    )
    assert words == ["py", "-m", "x", "a b/", "s3://c d/*"]


def test_a_record_has_no_path_of_this_machine() -> None:
    """Commands are exact, with placeholders for values that differ from run to run."""
    for each in ALL:
        shown = program._shown(each)
        assert not any(re.search(r"(^|[ =])/|\{", command) for command in shown.commands.values())
        assert "{" not in "".join(shown.environment.values())
    best = next(each for each in PEERS if each.name == "s5cmd best")
    assert program._shown(best).commands["fresh"] == "s5cmd --numworkers 32 --log error cp TREE/ TARGET/"


def test_lanes_are_those_that_the_command_line_knows() -> None:
    """A lane that this version does not have gets no row."""
    assert "boto" in our_lanes()
    assert "auto" not in our_lanes()
    names = [each.name for each in ours(["boto"])]
    assert f"{OURS} lane boto" in names
    assert f"{OURS} lane wire" not in names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cases", "nothing"], "no such case"),
        (["--server", "s3sim", "--tools", "aios3sync"], "needs --s3sim"),
        (["--endpoint-url", "http://127.0.0.1:1", "--tools", "aios3sync"], "needs AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_usage_is_reported(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message comes before any server or contender starts."""
    assert program.main([*words, "--no-install"]) == 2
    assert message in capsys.readouterr().err
