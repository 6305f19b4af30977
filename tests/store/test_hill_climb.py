"""HillClimb: the limit as a function of measured throughput."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.store.wrappers.hill_climb import CHANGE, LOWEST, HillClimb

if TYPE_CHECKING:
    from collections.abc import Callable

CEILING = 256


class Course:
    """A HillClimb that gets the throughput of a curve, window after window."""

    def __init__(self, curve: Callable[[int], float], first: int = 32, ceiling: int = CEILING) -> None:
        self.hill = HillClimb(first, ceiling)
        self.curve = curve
        self.limit = first
        self.limits: list[int] = []

    def run(self, windows: int) -> list[int]:
        """The limits of the next windows."""
        start = len(self.limits)
        for _ in range(windows):
            self.limits.append(self.limit)
            self.limit = self.hill.next(self.curve(self.limit))
        return self.limits[start:]

    def share(self, limits: list[int]) -> float:
        """Mean throughput at these limits, as a share of the best there is."""
        best = max(self.curve(limit) for limit in range(1, self.hill.ceiling + 1))
        return sum(map(self.curve, limits)) / len(limits) / best


def knee(at: int) -> Callable[[int], float]:
    """Throughput that grows with the limit up to ``at``, and not beyond."""
    return lambda limit: float(min(limit, at))


def soft(at: int) -> Callable[[int], float]:
    """Half of what can be reached is reached at the limit ``at``."""
    return lambda limit: limit / (limit + at)


def test_it_doubles_while_that_brings_throughput() -> None:
    assert Course(knee(1000)).run(4) == [32, 64, 128, 256]


def test_the_ceiling_ends_the_way_up() -> None:
    assert Course(knee(1000), ceiling=100).run(4)[:3] == [32, 64, 100]
    assert set(Course(knee(1000), first=1, ceiling=1).run(50)) == {1}


def test_where_more_brings_nothing_it_goes_back_and_then_down() -> None:
    course = Course(knee(1))
    assert course.run(4) == [32, 64, 64, 32]
    course.run(200)
    assert course.hill.base == LOWEST


@pytest.mark.parametrize("at", [8, 12, 32, 50, 100, 150, 256])
def test_it_settles_near_the_knee(at: int) -> None:
    course = Course(knee(at))
    course.run(100)
    settled = course.run(200)
    assert course.share(settled) > 0.9
    assert sum(settled) / len(settled) < 1.5 * max(at, LOWEST)


@pytest.mark.parametrize("at", [4, 20, 60])
def test_a_soft_knee_costs_little(at: int) -> None:
    course = Course(soft(at))
    course.run(100)
    assert course.share(course.run(200)) > 0.8


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [16, 100, 1000])
def test_noise_does_not_lead_it_astray(at: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same each time
    clean = knee(at)
    course = Course(lambda limit: clean(limit) * rng.uniform(0.9, 1.1))
    course.run(50)
    settled = course.run(300)
    course.curve = clean
    assert course.share(settled) > 0.85


def test_one_bad_window_does_not_end_the_way_up() -> None:
    """New connections take some round trips before they bring anything."""
    bad = {64}

    def curve(limit: int) -> float:
        if limit in bad:
            bad.remove(limit)
            return 32.0
        return float(limit)

    assert Course(curve).run(5) == [32, 64, 64, 128, 256]


def test_trials_become_rare() -> None:
    course = Course(knee(1000))
    course.run(100)
    assert sum(limit != CEILING for limit in course.run(340)) <= 10


def test_a_trial_is_judged_by_the_windows_around_it() -> None:
    """An endpoint that becomes faster all the time proves nothing about the limit."""
    now = 100.0

    def curve(_: int) -> float:
        nonlocal now
        now *= 1.05
        return now

    course = Course(curve, first=LOWEST)
    course.run(3)  # doubling has nothing to compare with but what came before
    base = course.hill.base
    course.run(100)
    assert course.hill.base <= base


@pytest.mark.parametrize("factor", [1 / 10, 10])
def test_other_conditions_are_looked_into_at_once(factor: float) -> None:
    course = Course(knee(16))
    course.run(200)
    assert course.hill.base < 32
    course.curve = lambda limit: factor * limit  # now it is latency that limits
    assert course.hill.ceiling in course.run(25)
    assert factor > CHANGE or factor < 1 / CHANGE


def test_an_overload_ends_a_trial() -> None:
    course = Course(knee(1000))
    course.run(2)
    assert course.limit == 128
    assert course.hill.fall_back() == course.hill.base == 64
    course.limit = course.hill.base
    assert CEILING in course.run(20)


@given(
    first=st.integers(1, 300),
    ceiling=st.integers(1, 300),
    rates=st.lists(st.floats(0, 1e6) | st.none(), max_size=200),
)
def test_no_rate_leads_out_of_bounds(first: int, ceiling: int, rates: list[float | None]) -> None:
    first = min(first, ceiling)
    hill = HillClimb(first, ceiling)
    for rate in rates:
        limit = hill.fall_back() if rate is None else hill.next(rate)
        assert min(first, LOWEST) <= limit <= ceiling
        assert min(first, LOWEST) <= hill.base <= ceiling
