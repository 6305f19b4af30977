"""CubicRate: when the rate is cut, how far, and how it recovers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.store.wrappers.cubic_rate import CUT, CubicRate


class Line:
    """A rate, a clock, and requests that always want to start."""

    def __init__(self) -> None:
        self.cubic = CubicRate()
        self.now = 1000.0
        self.successes = 0

    def accept(self, rate: float, seconds: float) -> None:
        """So many requests a second succeed, whatever the rate is."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.successes += round(rate / 10)
            self.cubic.note(self.now, self.successes)

    def start(self, seconds: float) -> int:
        """Start what may start; all of it succeeds."""
        end, before = self.now + seconds, self.successes
        while self.now < end and self.cubic.rate < math.inf:
            if wait := self.cubic.take(self.now):
                self.now += wait
                self.cubic.note(self.now, self.successes)
            else:
                self.successes += 1
        return self.successes - before

    def cut(self) -> bool:
        return self.cubic.cut(self.now, self.successes)


def paced(rate: float = 1000.0) -> Line:
    line = Line()
    line.accept(rate, 3)
    assert line.cut()
    return line


def test_there_is_none_before_somebody_refuses() -> None:
    assert CubicRate().rate == math.inf


def test_a_cut_goes_below_what_was_accepted() -> None:
    assert paced(1000).cubic.rate == pytest.approx(1000 * CUT, rel=0.01)


def test_without_knowledge_there_is_no_cut() -> None:
    line = Line()
    assert not line.cut()
    line.accept(100, 0.9)
    assert not line.cut()
    line.accept(100, 0.2)
    assert line.cut()


def test_one_overload_cuts_once() -> None:
    line = paced()
    rate = line.cubic.rate
    line.accept(0, 0.9)
    assert not line.cut()
    assert line.cubic.rate == rate


def test_a_pause_is_no_measure() -> None:
    line = Line()
    line.accept(1000, 3)
    line.now += 60
    line.accept(1000, 1.2)
    assert line.cut()
    assert line.cubic.rate > 800


def test_refused_again_it_goes_by_whole_seconds() -> None:
    """Refused in the middle of a second, and 1.4 s later: one second's worth was accepted."""
    line = Line()
    line.accept(2000, 3)
    assert line.cut()
    line.accept(0, 0.5)
    line.accept(1000, 0.9)
    line.successes += 100
    assert line.cut()
    assert line.cubic.rate == pytest.approx(1000 * CUT, rel=0.01)


def test_a_rate_far_below_the_limit_is_no_measure_of_what_is_accepted() -> None:
    """Little was asked for before the refusal; that is no measure of what would be accepted."""
    line = paced(1000)
    rate = line.cubic.rate
    line.accept(100, 4)
    assert line.cut()
    assert line.cubic.rate == pytest.approx(rate * CUT * CUT, rel=0.01)
    line.accept(100, 1)
    assert line.cut()  # refused again: it has changed
    assert line.cubic.rate == pytest.approx(100 * CUT, rel=0.02)


def test_starts_keep_to_the_rate() -> None:
    line = paced(1000)
    started = line.start(0.5)
    assert started == pytest.approx(0.5 * 1000 * CUT, rel=0.1)


def test_a_late_timer_is_made_up_for_and_a_pause_is_not() -> None:
    line = paced(1000)
    line.start(0.05)

    def burst(pause: float) -> int:
        line.now += pause
        count = 0
        while not line.cubic.take(line.now):
            count += 1
        return count

    assert 8 <= burst(0.01) <= 12
    assert burst(5.0) < 30


def test_it_is_back_after_three_seconds_and_careful_there() -> None:
    line = paced(1000)
    line.start(1.0)
    assert 950 < line.cubic.rate < 1000
    line.start(2.0)
    assert line.cubic.rate == pytest.approx(1000, rel=0.01)
    line.start(1.0)
    assert line.cubic.rate < 1010
    line.start(3.0)
    assert line.cubic.rate > 1080


def test_a_limit_that_is_gone_is_forgotten() -> None:
    line = paced(100)
    seconds = 0
    while line.cubic.rate < math.inf:
        line.start(0.1)
        seconds += 1
    assert 60 < seconds < 120  # tenths


def test_time_without_need_proves_nothing() -> None:
    line = paced(1000)
    for _ in range(600):
        line.now += 0.1
        assert line.cubic.take(line.now) == 0.0
    assert line.cubic.rate < 1000


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5000)), max_size=60))
def test_no_cut_makes_it_faster(steps: list[tuple[float, int]]) -> None:
    line = Line()
    for pause, successes in steps:
        line.now += pause
        line.successes += successes
        before = line.cubic.rate
        if line.cut():
            assert 0 < line.cubic.rate <= max(1.0, before)
        assert line.cubic.take(line.now + pause) < 10
