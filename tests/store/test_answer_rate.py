"""How fast bodies are answered, and how much longer an answer may take, on a simulated clock."""

from __future__ import annotations

import pytest

from aios3sync.store.answer_rate import AnswerRate

MB = 1_000_000
TIMEOUT = 60.0


class Line:
    """Answers the bodies that it took one after the other."""

    def __init__(self, rate: float) -> None:
        self.now = 0.0
        self.rate = rate
        self.answers = AnswerRate(lambda: self.now)

    def take(self, sizes: list[int]) -> None:
        for size in sizes:
            self.answers.begin(size)

    def answer(self, size: int) -> None:
        self.now += size / self.rate
        self.answers.end(size, accepted=True)


@pytest.mark.parametrize("rate", [0.1 * MB, MB, 100 * MB])
def test_an_answer_may_take_as_long_as_what_was_sent_before_it(rate: float) -> None:
    line = Line(rate)
    line.take([4 * MB] * 30)
    for _ in range(10):
        line.answer(4 * MB)
    assert line.answers.pending == 80 * MB
    expected = min(80 * MB / rate, 10 * TIMEOUT)
    assert line.answers.allowance(80 * MB, TIMEOUT) == pytest.approx(expected, rel=0.3, abs=2.0)


def test_thirty_photos_that_a_proxy_took_at_once_are_waited_for() -> None:
    line = Line(MB)
    line.take([4 * MB] * 30)
    ahead = line.answers.pending
    for _ in range(30):
        assert line.now + 4 < TIMEOUT + line.answers.allowance(ahead, TIMEOUT)
        line.answer(4 * MB)


def test_before_the_first_answer_a_line_is_taken_for_a_slow_one() -> None:
    rate = AnswerRate(lambda: 0.0)
    assert rate.allowance(0, TIMEOUT) == 0
    assert rate.allowance(8 * 2**20, TIMEOUT) == 64
    assert rate.allowance(2**40, TIMEOUT) == 600, "it is bounded"


def test_an_endpoint_that_fell_silent_keeps_its_rate() -> None:
    line = Line(10 * MB)
    line.take([10 * MB] * 4)
    line.answer(10 * MB)
    line.answer(10 * MB)
    before = line.answers.allowance(20 * MB, TIMEOUT)
    line.now += 1000
    assert line.answers.allowance(20 * MB, TIMEOUT) == before == 2


def test_refused_bodies_and_an_idle_line_do_not_count() -> None:
    line = Line(2 * MB)
    for _ in range(20):
        line.take([MB, 5 * MB])
        line.answers.end(5 * MB, accepted=False)
        line.answer(MB)
        line.now += 100
    assert line.answers.pending == 0
    assert line.answers.allowance(20 * MB, TIMEOUT) == pytest.approx(10)
