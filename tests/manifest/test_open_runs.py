"""P10 where runs overlap: only a run that was alone from its begin to its end makes a document complete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync._dataclass import replace
from aios3sync.manifest.lock import has_ended, this_process
from aios3sync.manifest.open_runs import SILENT_S, OpenRun, merged_runs, with_begun, with_renewed
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.root import RangeLayers, Root, begun, ended, merged, renewed

PAIR = Binding("/data", "http://s3", "bucket", "p/")
COMPLETE = ManifestState(complete=True, listed_at=10.0, listings=(("scope", 9.0),), run=3)
FRESH = Root(1, PAIR, COMPLETE, (RangeLayers("", "", ("old",)),))


def lives(_: str) -> bool:
    return False


def begin(root: Root, name: str, now: float = 0.0) -> Root:
    return begun(root, OpenRun(name, now), lives)


def end(root: Root, name: str) -> Root:
    return ended(root, name, COMPLETE)


def test_a_run_alone_makes_the_document_complete_again() -> None:
    open_ = begin(FRESH, "a")
    assert (open_.state.complete, open_.state.listings, open_.state.run) == (False, (), 4)
    assert end(open_, "a") == FRESH


@pytest.mark.parametrize("last", [True, False], ids=["ends", "killed"])
def test_a_run_within_another_one_leaves_the_next_to_list(*, last: bool) -> None:
    inside = end(begin(begin(FRESH, "cluster"), "alone"), "alone")
    assert not inside.state.complete
    assert not inside.state.listings
    after = end(inside, "cluster") if last else inside
    assert not after.state.complete
    # The one that lists then is trusted, unless the other one is open still.
    assert end(begin(after, "next"), "next").state.complete is last


def test_runs_that_overlap_at_their_ends_leave_the_next_to_list() -> None:
    both = begin(begin(FRESH, "a"), "b")
    for first, second in ("ab", "ba"):
        one = end(both, first)
        assert not one.state.complete
        assert not end(one, second).state.complete


def test_a_run_that_gave_no_sign_of_life_is_dropped_and_the_next_lists() -> None:
    killed = begin(FRESH, "killed", now=100.0)
    early = begin(killed, "early", now=100.0 + SILENT_S)
    assert [run.name for run in early.open_runs] == ["killed", "early"]
    late = begin(killed, "late", now=101.0 + SILENT_S)
    assert late.open_runs == (OpenRun("late", 101.0 + SILENT_S),)
    assert not late.state.complete, "it was none when that one died"
    assert end(late, "late").state.complete
    future = begin(FRESH, "future", now=100.0 + 10 * SILENT_S)
    assert begin(future, "now", now=100.0).open_runs == (OpenRun("now", 100.0),)


def test_a_sign_of_life_keeps_a_run_open_also_one_that_was_taken_for_dead() -> None:
    slow = renewed(begin(FRESH, "slow"), OpenRun("slow", SILENT_S))
    assert [run.name for run in begin(slow, "next", now=1.5 * SILENT_S).open_runs] == ["slow", "next"]
    taken = begin(FRESH, "slow")
    taken = begin(taken, "next", now=2 * SILENT_S)
    back = renewed(end(taken, "next"), OpenRun("slow", 2 * SILENT_S))
    assert (back.state.complete, back.open_runs) == (False, (OpenRun("slow", 2 * SILENT_S, alone=False),))
    assert not end(back, "slow").state.complete
    meanwhile = renewed(taken, OpenRun("slow", 2 * SILENT_S))
    assert not end(end(meanwhile, "slow"), "next").state.complete


def test_a_run_that_another_one_has_dropped_is_not_trusted() -> None:
    assert not end(end(begin(begin(FRESH, "slow"), "next", now=2 * SILENT_S), "next"), "slow").state.complete


NAMES = "abcd"
STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "kill", "renew", "publish"]), st.sampled_from(NAMES)),
    max_size=30,
)


@given(STEPS)
def test_no_run_that_may_be_at_work_is_ever_hidden_by_a_complete_document(
    steps: list[tuple[str, str]],
) -> None:
    """Runs replace the document, or what they have read of it and is merged with what there is."""
    there, now = FRESH, 0.0
    stale: dict[str, Root] = {}
    at_work: dict[str, bool] = {}
    for step, name in steps:
        now += 1.0
        if step == "begin" and name not in at_work:
            at_work = {**dict.fromkeys(at_work, False), name: not at_work}
            there = begin(there, name, now)
            stale[name] = there
        elif step == "renew" and at_work.get(name) is not None:
            there = renewed(there, OpenRun(name, now))
        elif step == "end" and name in at_work and name in stale:
            alone = at_work.pop(name)
            there = end(there, name)
            assert not there.state.complete or (alone and not at_work)
        elif step == "publish" and name in at_work and name in stale:
            base = stale.pop(name)
            alone = at_work.pop(name)
            ours = end(base, name)
            there = ours if there == base else merged(base, ours, there)
            assert not there.state.complete or (alone and not at_work)
        elif step == "kill" and name in at_work:
            stale.pop(name, None)
        assert not (there.state.complete and at_work)
        assert {run.name for run in there.open_runs} == at_work.keys()
        assert Root.decoded(there.encoded()) == there


def test_the_runs_of_two_documents_are_those_that_neither_has_seen_end() -> None:
    base = (OpenRun("ours", 1.0), OpenRun("theirs", 1.0), OpenRun("both", 1.0))
    ours = (OpenRun("theirs", 1.0), OpenRun("both", 5.0), OpenRun("new", 4.0))
    theirs = (OpenRun("ours", 1.0), OpenRun("both", 3.0))
    assert merged_runs(base, ours, theirs) == (
        OpenRun("both", 5.0, alone=False),
        OpenRun("new", 4.0, alone=False),
    )
    assert with_renewed(with_begun((), OpenRun("a", 1.0), lives), OpenRun("a", 2.0)) == (OpenRun("a", 2.0),)


def test_a_document_of_an_earlier_version_names_no_runs() -> None:
    document = FRESH.encoded().replace(b'"open_runs":[],', b"")
    assert b"open_runs" not in document
    assert Root.decoded(document) == FRESH


@pytest.mark.parametrize("runs", [1, [1], [["a"]], [["a", "x", "", True]], [[1, 2.0, "", True]], "ab"])
def test_a_document_whose_runs_are_none_is_refused(runs: object) -> None:
    document = replace(FRESH, open_runs=runs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no root document|not enough values|could not convert"):
        Root.decoded(document.encoded())


# The process of a run.

NAME = "from aios3sync.manifest.lock import this_process; print(this_process(), end='')"


@pytest.fixture
def ended_process() -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", NAME], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.skipif(not os.path.exists("/proc/sys/kernel/random/boot_id"), reason="no procfs")
def test_a_process_of_this_machine_that_has_ended_is_known_to(ended_process: str) -> None:
    assert has_ended(ended_process)
    assert not has_ended(this_process())
    boot, namespace, owner = ended_process.split(" ", 2)
    assert not has_ended(f"other {namespace} {owner}"), "another machine"
    assert not has_ended(f"{boot} pid:[1] {owner}"), "another container"
    assert not has_ended("")
    killed = OpenRun("killed", 100.0, ended_process)
    assert with_begun((killed,), OpenRun("next", 101.0), has_ended) == (OpenRun("next", 101.0),)


def test_where_no_process_can_be_told_from_others_only_time_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.manifest.lock._text", lambda _: "")
    assert this_process() == ""
    assert not has_ended("")
    assert not OpenRun("a", 0.0).is_dead(SILENT_S, has_ended)
