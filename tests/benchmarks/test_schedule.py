"""The order of runs and the time budget, with a clock that the test turns."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from benchmarks.schedule import Budget, Entrant, Schedule, rounds


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(costs: dict[Entrant, float], runs: int, share_s: float) -> tuple[list[tuple[int, str]], Schedule]:
    """Run a schedule in which each turn takes the cost of its entrant, and return the turns."""
    clock = Clock()
    schedule = Schedule(list(costs), runs, share_s, 1800.0, clock)
    by_name = {each.name: cost for each, cost in costs.items()}
    turns = []
    for number, name in schedule.turns():
        turns.append((number, name))
        clock.now += by_name[name]
        schedule.took(name, by_name[name])
    return turns, schedule


OURS = Entrant("ours", is_peer=False)
QUICK, SLOW = Entrant("quick", is_peer=True), Entrant("slow", is_peer=True)


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


def test_without_a_budget_everyone_runs_every_round() -> None:
    """The turns are those of the rounds, however long they take."""
    turns, schedule = run({OURS: 10.0, QUICK: 20.0, SLOW: 9000.0}, 5, math.inf)
    expected = [(number, name) for number, names in rounds(["ours", "quick", "slow"], 5) for name in names]
    assert turns == expected
    assert schedule.limit == 1800.0


def test_what_fits_into_the_share_runs_as_often_as_asked() -> None:
    """A budget that is not reached changes nothing."""
    turns, _ = run({OURS: 1.0, QUICK: 2.0, SLOW: 9.0}, 5, 60.0)
    assert Counter(name for _, name in turns) == {"ours": 5, "quick": 5, "slow": 5}


def test_a_peer_that_cannot_be_the_fastest_makes_room() -> None:
    """It has one run; ours has as many as the fastest peer, also where ours is the slowest."""
    turns, _ = run({OURS: 5.0, QUICK: 1.0, SLOW: 3.0}, 5, 28.0)
    assert Counter(name for _, name in turns) == {"ours": 4, "quick": 4, "slow": 1}
    kept = Entrant("slow", is_peer=True, kept=True)
    turns, _ = run({OURS: 5.0, QUICK: 1.0, kept: 3.0}, 5, 28.0)
    assert Counter(name for _, name in turns) == {"ours": 3, "quick": 3, "slow": 3}


def test_the_first_round_is_complete_in_any_case() -> None:
    """One run of each is the least; no round ends early."""
    turns, _ = run({OURS: 5.0, QUICK: 4.0, SLOW: 5.5}, 5, 1.0)
    assert turns == [(0, "ours"), (0, "quick"), (0, "slow")]


def test_some_contenders_run_once() -> None:
    """The others go on."""
    once = Entrant("once", is_peer=True, once=True)
    turns, _ = run({OURS: 1.0, once: 1.0}, 3, math.inf)
    assert Counter(name for _, name in turns) == {"ours": 3, "once": 1}
    turns, _ = run({once: 1.0}, 3, math.inf)
    assert len(turns) == 1


@pytest.mark.parametrize(("fastest", "limit"), [(1.0, 20.0), (10.0, 40.0), (1000.0, 1800.0)])
def test_a_run_may_take_some_multiple_of_the_fastest(fastest: float, limit: float) -> None:
    """But never more than the limit of all runs."""
    _, schedule = run({OURS: fastest}, 1, 60.0)
    assert schedule.limit == limit


def test_a_case_leaves_the_time_that_it_does_not_need() -> None:
    """Each gets an equal part of what is left, and none when nothing is."""
    clock = Clock()
    budget = Budget(60.0, 3, clock)
    assert budget.share() == 20.0
    clock.now += 4.0
    assert budget.share() == 28.0
    clock.now += 60.0
    assert budget.share() == 0.0
    assert Budget(math.inf, 3, clock).share() == math.inf
