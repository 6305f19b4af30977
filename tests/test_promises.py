"""Each promise has a test in each direction; the table of the documentation names tests that exist."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.promises import DIRECTIONS, PROMISES, table

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "promises.md"
CELLS = [
    pytest.param(test, id=f"{number} {direction}: {test.rpartition('::')[2] or test.strip()}"[:90])
    for number, promise in PROMISES.items()
    for direction in DIRECTIONS
    for test in getattr(promise, direction)
]


@cache
def names_in(path: str) -> set[str]:
    """The tests that a file defines: functions, and test cases of models."""
    body = ast.parse((TESTS / path).read_text("utf-8")).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    models = {ast.unparse(node.targets[0]) for node in body if isinstance(node, ast.Assign)}
    return functions | models


def test_there_are_sixteen_promises() -> None:
    assert list(PROMISES) == [f"P{number}" for number in range(1, 17)]


@pytest.mark.parametrize("number", PROMISES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_direction_has_a_test_or_a_reason(number: str, direction: str) -> None:
    tests = getattr(PROMISES[number], direction)
    assert tests
    reasons = [test for test in tests if test.startswith(" ")]
    assert not reasons or tests == (reasons[0],), "a reason is given where there is no test"
    assert len(set(tests)) == len(tests)


@pytest.mark.parametrize("test", CELLS)
def test_the_tests_exist(test: str) -> None:
    if not test.startswith(" "):
        path, _, name = test.partition("::")
        assert name.startswith(("test_", "Test"))
        assert name in names_in(path)


def test_the_documentation_has_the_same_table() -> None:
    """``python -m tests.promises`` prints it."""
    assert table() in PAGE.read_text("utf-8")
