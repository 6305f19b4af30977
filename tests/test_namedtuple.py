"""The quick named tuples behave as those of the standard library do."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import typing
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

import pytest

from aios3sync import _namedtuple as quick

T = TypeVar("T")
BOTH = pytest.mark.parametrize("base", [typing.NamedTuple, quick.NamedTuple], ids=["standard", "quick"])


def _class(base: Any) -> Any:
    """Return a class with everything that a statement may say, of one of the two bases."""

    class Item(base):  # type: ignore[misc]
        """An item."""

        key: str
        size: int = 3
        facts: tuple[int, ...] = ()

        @property
        def double(self) -> int:
            return 2 * self.size

        @classmethod
        def small(cls) -> Any:
            return cls("s", 1)

    return Item


class Pickled(quick.NamedTuple):
    key: str
    size: int = 0


class Batch(quick.NamedTuple, Generic[T]):
    items: list[T]


@BOTH
def test_instances(base: Any) -> None:
    kind = _class(base)
    item = kind("a", facts=(1,))
    assert item == ("a", 3, (1,))
    assert (item.key, item.size, item.facts, item.double) == ("a", 3, (1,), 6)
    assert hash(item) == hash(("a", 3, (1,)))
    assert repr(item) == "Item(key='a', size=3, facts=(1,))"
    assert kind.small() == ("s", 1, ())
    assert item._asdict() == {"key": "a", "size": 3, "facts": (1,)}
    assert item._replace(size=4) == ("a", 4, (1,))
    assert type(item._replace(size=4)) is type(kind._make(["a", 1, ()])) is kind
    assert copy.copy(item) == copy.deepcopy(item) == item
    assert isinstance(item, tuple)
    assert not hasattr(item, "__dict__")


@BOTH
def test_a_pattern_names_its_fields(base: Any) -> None:
    kind = _class(base)
    match kind("a", 5):
        case kind(key, size=size):
            assert (key, size) == ("a", 5)
        case _:
            pytest.fail("no match")


@BOTH
def test_the_class(base: Any) -> None:
    kind = _class(base)
    assert kind._fields == kind.__match_args__ == ("key", "size", "facts")
    assert kind._field_defaults == {"size": 3, "facts": ()}
    assert kind.__doc__ == "An item."
    assert kind.__module__ == __name__
    assert kind.__mro__ == (kind, tuple, object)
    assert get_type_hints(kind) == {"key": str, "size": int, "facts": tuple[int, ...]}
    assert list(inspect.signature(kind).parameters) == ["key", "size", "facts"]


@BOTH
def test_what_is_wrong_is_refused(base: Any) -> None:
    kind = _class(base)
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind("a", other=1)
    with pytest.raises(TypeError, match="2"):
        kind._make(["a", 1])
    with pytest.raises(ValueError, match="other"):
        kind("a")._replace(other=1)
    with pytest.raises(AttributeError):
        kind("a").key = "b"
    with pytest.raises(TypeError, match="default"):

        class Wrong(base):  # type: ignore[misc]
            size: int = 3
            key: str


@BOTH
def test_a_class_of_another_one(base: Any) -> None:
    """The constructor belongs to the class that has the fields, whichever is made first."""
    kind = _class(base)
    other = type("Other", (kind,), {"__slots__": ()})
    assert type(other("a")) is other
    assert type(kind("a")) is kind
    assert other("a") == kind("a")


@BOTH
def test_a_single_field(base: Any) -> None:
    class One(base):  # type: ignore[misc]
        key: str

    assert One("a") == ("a",)
    assert repr(One("a")) == "One(key='a')"
    assert "One(key" in (One.__doc__ or "")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol: int) -> None:
    item = Pickled("a", 4)
    again = pickle.loads(pickle.dumps(item, protocol))  # noqa: S301 - written here
    assert again == item
    assert type(again) is Pickled


def test_the_package_has_no_others() -> None:
    """One that is defined with ``typing`` costs each run that loads it a quarter of a millisecond."""
    root = Path(quick.__file__).parent
    others = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(
            r"^from typing import [^\n]*\bNamedTuple\b(?! as)", path.read_text("utf-8"), re.MULTILINE
        )
    ]
    assert not others, "take it from aios3sync._namedtuple"


def test_a_generic_class_takes_a_type() -> None:
    assert Batch[int]([1]) == Batch([1]) == ([1],)
    assert typing.get_origin(Batch[int]) is Batch
    assert Batch.__parameters__ == (T,)  # type: ignore[attr-defined]
