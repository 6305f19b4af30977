"""Prices of requests, as they are given and as AWS has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.prices import Prices, minimum_of, prices_of, read_prices
from aios3sync.errors import UsageError


def test_a_thousand_requests_cost_their_price() -> None:
    assert prices_of("").cost(1000, 0) == 0.005
    assert prices_of("STANDARD").cost(0, 10_000) == pytest.approx(0.004)
    assert prices_of("DEEP_ARCHIVE").cost(2000, 0) == 0.1


def test_small_and_young_objects_of_some_classes_are_billed_for_more() -> None:
    assert minimum_of("STANDARD") is None
    assert minimum_of("STANDARD_IA") == (131072, 30)
    assert minimum_of("DEEP_ARCHIVE") == (0, 180)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.from_regex(r"[A-Z]{3}", fullmatch=True))
def test_prices_are_read_as_they_are_given(writes: float, reads: float, currency: str) -> None:
    text = f"writes={writes!r}, reads={reads!r},currency={currency}"
    assert read_prices(text) == Prices(writes, reads, currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "writes=1",
        "writes=1,reads=x",
        "writes=1,reads=2,lists=3",
        "writes=-1,reads=1",
        "writes=inf,reads=1",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"writes=0\.005,reads=0\.0004,currency=USD"):
        read_prices(text)
