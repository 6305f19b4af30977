"""The exception tree: drawn, complete, and able to cross a process border."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from aios3sync import errors
from aios3sync.errors import AioS3SyncError, OutOfOrderError, StoreError, UsageError

CLASSES = [
    item
    for item in vars(errors).values()
    if inspect.isclass(item) and item.__module__ == errors.__name__ and issubclass(item, Exception)
]
FACTS = {
    "operation": "PutObject",
    "bucket": "b",
    "key": "a/ü",
    "code": "SlowDown",
    "status": 503,
    "retry_after": 1.5,
}


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, StoreError):
        return kind("the endpoint said no", **FACTS)  # type: ignore[arg-type]
    if issubclass(kind, OutOfOrderError):
        return kind("target", "b", "a")
    return kind("what went wrong")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[Exception]) -> None:
    """Every exception comes out of a pickle with its type, its text, its facts and its notes."""
    error = made(kind)
    error.add_note("while testing")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own pickle
        assert type(again) is kind
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert again.args == error.args
    assert vars(copy.copy(error)) == vars(error)


def test_the_drawing_is_the_tree() -> None:
    """The docstring draws every class once, below its base class."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│ ├└─]*)(\w+Error)\b", line)
        if match is not None:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn[match[2]] = path[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__mro__[1].__name__ for kind in CLASSES}


def test_all_of_them_are_public() -> None:
    """Whatever can be raised can be imported and caught."""
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in CLASSES)
    assert list(errors.__all__) == sorted(errors.__all__)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_one_root(kind: type[Exception]) -> None:
    """One except clause catches them all, and each says in a docstring what it means."""
    assert issubclass(kind, AioS3SyncError)
    assert kind.__doc__


def test_wrong_arguments_are_value_errors() -> None:
    """A caller who knows nothing of this package still catches a wrong argument."""
    assert issubclass(UsageError, ValueError)


def test_retryable_kinds() -> None:
    """Only temporary errors are retried."""
    retryable = {kind.__name__ for kind in CLASSES if getattr(kind, "retryable", False)}
    assert retryable == {"ThrottledError", "UnavailableError", "IntegrityError"}


def test_store_errors_carry_facts() -> None:
    """A store error has its facts as attributes and its message as text; unset facts are empty."""
    error = StoreError("no", **FACTS)  # type: ignore[arg-type]
    assert {name: getattr(error, name) for name in FACTS} == FACTS
    bare = StoreError("no")
    assert (bare.operation, bare.bucket, bare.key, bare.code, bare.status) == ("", "", None, "", 0)
    assert bare.retry_after is None
    assert str(bare) == bare.message == "no"


def test_out_of_order_names_both_keys_d11() -> None:
    """The error of a stream that does not ascend can be acted on."""
    assert str(OutOfOrderError("target", "b", "a")) == "target is not in ascending key order: 'a' after 'b'"
