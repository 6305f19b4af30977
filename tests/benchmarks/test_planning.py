"""Cases, contenders, the order of runs and their commands."""

from __future__ import annotations

import re

import pytest

from benchmarks import __main__ as program
from benchmarks.cases import CASES, scaled, select_cases
from benchmarks.conditions import ALL as CONDITIONS
from benchmarks.conditions import Condition, applicable, parse
from benchmarks.contenders import OURS, PEERS, Contender, filled_in, our_lanes, ours, select_contenders

ALL = [*ours(["wire", "boto"]), *PEERS]
PLACES = {
    *("tree", "empty", "down", "target", "bucket", "prefix", "origin", "endpoint"),
    *("python", "library", "find", "s5cmd", "rclone", "aws", "boto3-s3"),
}


def test_the_cases_have_the_promised_sizes() -> None:
    """A smaller run needs an option."""
    sizes = {case.name: case.items for case in select_cases([])}
    assert sizes == {
        "fresh-271": 271,
        "fresh-1k": 1_000,
        "unchanged-271": 271,
        "unchanged-1k": 1_000,
        "changed-1k": 1_000,
        "unchanged-10k": 10_000,
        "changed-10k": 10_000,
        "fresh-512m": 1,
        "unchanged-30k": 30_000,
        "down-unchanged-30k": 30_000,
        "fresh-30k": 30_000,
        "fresh-4g": 4,
        "down-30k": 30_000,
        "down-4g": 4,
        "copy-30k": 30_000,
        "delete": 100_000,
        "list": 100_000,
    }
    changed = {case.name: case.changed for case in CASES if case.changed}
    assert changed == {"changed-1k": 1, "changed-10k": 1000}


def test_uploads_are_measured_in_all_conditions() -> None:
    """Latency and TLS make other tools win; downloads and copies are measured without TLS."""
    names = {
        case.name: [each.name for each in applicable(case.scope, CONDITIONS)] for case in select_cases([])
    }
    assert names["fresh-271"] == ["http", "http-30ms", "tls", "tls-30ms"]
    assert names["down-30k"] == ["http", "http-30ms"]
    assert names["list"] == ["http"]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda each: each.name)
def test_conditions_are_chosen_by_their_name(condition: Condition) -> None:
    """The name has TLS or not, and the latency."""
    assert parse(condition.name) == condition


@pytest.mark.parametrize("name", ["https", "http-30", "tls 30ms", "", "http-ms"])
def test_an_unknown_condition_is_refused(name: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(ValueError, match=r"no such condition: .*; write http, tls, http-30ms"):
        parse(name)


def test_cases_on_request_run_only_if_they_are_named() -> None:
    """A million objects are too many for most endpoints."""
    assert [case.items for case in select_cases(["million", "list-1m"])] == [1_000_000, 1_000_000]
    assert not any(case.on_request for case in select_cases([]))


def test_a_scaled_case_has_its_own_size_in_its_title() -> None:
    """Small files are fewer, large ones as many but smaller."""
    small, large = select_cases(["fresh-4g", "fresh-30k"], 0.01)
    assert (small.title, small.items) == ("Fresh sync of 300 x 4 KiB", 300)
    assert (large.title, large.items, large.tree.size) == ("Fresh sync of 4 x 10 MiB", 4, round(2**30 * 0.01))
    assert select_cases(["changed-10k"], 0.01)[0].title == "10 of 100 files changed"
    assert select_cases(["fresh-512m"])[0].title == "Fresh sync of 1 x 512 MiB"
    tiny = [scaled(case, 1e-9) for case in CASES if case.tree.kind != "large"]
    assert all(case.items >= 4 and case.changed <= 1 for case in tiny)


def test_unknown_names_are_refused() -> None:
    """The message lists the known names."""
    with pytest.raises(ValueError, match="no such case: frsh; there are changed-10k, changed-1k, copy"):
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


def test_comparisons_of_our_own_settings_are_measured_on_request() -> None:
    """They take the time of the peers; their name, or ``all``, asks for them."""
    usual = [each.name for each in select_contenders(ALL, []) if not each.is_peer]
    assert usual == ["aios3sync", "aios3sync listing", "aios3sync manifest lost"]
    assert select_contenders(ALL, ["all"]) == ALL
    chosen = select_contenders(ALL, ["aios3sync", "aios3sync lane boto"])
    assert [each.name for each in chosen] == [*usual, "aios3sync lane boto"]


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
        (["--only", "nothing"], "no such case"),
        (["--conditions", "http3"], "no such condition: http3"),
        (["--server", "s3sim", "--tools", "aios3sync"], "needs --s3sim"),
        (["--endpoint-url", "http://127.0.0.1:1", "--tools", "aios3sync"], "needs AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_usage_is_reported(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message comes before any server or contender starts."""
    assert program.main([*words, "--no-install"]) == 2
    assert message in capsys.readouterr().err
