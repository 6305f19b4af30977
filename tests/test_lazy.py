"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from aios3sync._lazy import lazy_pattern


def plus() -> str:
    return "a+"


@pytest.mark.parametrize("text", ["a+", plus], ids=["text", "function"])
def test_a_pattern_is_the_pattern(text: str) -> None:
    """Each method is that of the compiled one, before and after its first use."""
    pattern = lazy_pattern(text)
    for _ in range(2):
        assert pattern.fullmatch("aaa") is not None
        assert pattern.sub("b", "caac") == "cbc"
    assert pattern.pattern == "a+"
    assert lazy_pattern(rb"(?i)A").flags & re.IGNORECASE


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_a_pattern_can_be_copied_and_sent_to_another_process(used: bool) -> None:
    pattern = lazy_pattern(plus)
    if used:
        assert pattern.match("a")
    sent = pickle.loads(pickle.dumps(pattern))  # noqa: S301 - our own
    for other in (copy.copy(pattern), copy.deepcopy(pattern), sent):
        assert other.fullmatch("aa") is not None
        assert other.fullmatch("b") is None


def test_what_no_pattern_has_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="fullmath"):
        lazy_pattern("a").fullmath("a")  # type: ignore[attr-defined]
