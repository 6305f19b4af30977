"""When changes are due: nothing is sent half, nothing waits for ever, and nothing is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aios3sync.watch.pending import Batch, Pending, WatchTimes

TIMES = WatchTimes(stable=1.0, every=100.0)
EVERYTHING = Batch(everything=True)


def begun(now: float = 0.0, took: float = 0.0, times: WatchTimes = TIMES) -> Pending:
    """Return what waits after a first run that ended ``now``."""
    pending = Pending(times, now - took)
    assert pending.due(now - took) == EVERYTHING
    pending.done(EVERYTHING, now - took, now)
    return pending


def test_the_first_run_is_of_everything() -> None:
    assert Pending(TIMES, 0.0).due(0.0) == EVERYTHING


def test_a_file_is_due_once_it_is_stable() -> None:
    pending = begun()
    pending.note(["a"], 1.0)
    assert pending.due(1.9) is None
    pending.note(["a"], 1.9)
    assert pending.due(2.8) is None
    assert pending.due(2.9) == Batch(everything=False, paths=("a",))
    assert pending.due(9.0) is None


def test_a_file_that_never_rests_is_due_all_the_same() -> None:
    pending = begun()
    batches = []
    for tenth in range(10, 450):
        pending.note(["log"], tenth / 10)
        if (batch := pending.due(tenth / 10)) is not None:
            batches.append((tenth / 10, batch.paths))
    assert batches == [(31.0, ("log",))]


def test_files_are_due_each_by_itself() -> None:
    pending = begun()
    pending.note(["a", "b"], 1.0)
    pending.note(["b"], 1.5)
    assert pending.due(2.0) == Batch(everything=False, paths=("a",))
    assert (len(pending), pending.due(2.5)) == (1, Batch(everything=False, paths=("b",)))


def test_a_removal_is_settled_by_a_run_over_everything() -> None:
    pending = begun()
    pending.note(["a"], 1.0)
    pending.note_rescan(1.0)
    assert pending.rescans
    assert pending.due(1.5) is None
    assert pending.due(2.0) == EVERYTHING
    assert (len(pending), pending.rescans) == (0, False), "the run over everything takes the files as well"


def test_runs_over_everything_are_spaced_by_what_they_cost() -> None:
    pending = begun(took=2.0)
    pending.note_rescan(1.0)
    pending.note(["a"], 1.0)
    assert pending.due(5.0) == Batch(everything=False, paths=("a",))
    assert pending.due(19.9) is None
    assert pending.due(20.0) == EVERYTHING


def test_everything_is_compared_regularly() -> None:
    pending = begun()
    assert pending.due(99.0) is None
    assert pending.due(100.0) == EVERYTHING


def test_many_changes_are_settled_by_a_run_over_everything() -> None:
    pending = Pending(TIMES, 0.0, most=10)
    pending.due(0.0)
    pending.done(EVERYTHING, 0.0, 0.0)
    pending.note(map(str, range(11)), 1.0)
    assert pending.due(2.0) == EVERYTHING


def test_failures_are_tried_again_ever_later_and_at_most_a_minute() -> None:
    pending, now, waits = begun(), 0.0, []
    for _ in range(8):
        waits.append(pending.failed(now))
        assert pending.due(now + waits[-1] - 0.01) is None
        now += waits[-1] + 1.0
        assert pending.due(now) == EVERYTHING
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    pending.done(EVERYTHING, now, now)
    assert pending.failed(now) == 1


steps = st.lists(
    st.tuples(
        st.floats(0.0, 5.0),
        st.sampled_from(["change", "rescan", "look", "fail"]),
        st.sampled_from("abc"),
    ),
    max_size=60,
)


@given(steps)
def test_every_change_is_in_a_later_batch_that_did_not_fail(steps: list[tuple[float, str, str]]) -> None:
    """Whatever happens in which order: each change is covered by a run that begins after it, and succeeds."""
    pending, now = begun(), 0.0
    waiting: set[str] = set()
    for wait, what, path in [*steps, *[(200.0, "look", "")] * 2]:
        now += wait
        if what == "change":
            pending.note([path], now)
            waiting.add(path)
        elif what == "rescan":
            pending.note_rescan(now)
            waiting.add("*")
        else:
            batch = pending.due(now)
            if batch is not None and what == "fail":
                pending.failed(now)
            elif batch is not None:
                pending.done(batch, now, now)
                waiting = set() if batch.everything else waiting - {*batch.paths}
    assert not waiting
    assert len(pending) == 0
