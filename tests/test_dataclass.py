"""The quick data classes behave as those of the standard library do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from aios3sync import _dataclass as quick

KINDS = {"frozen": {"frozen": True}, "open": {}, "named": {"frozen": True, "kw_only": True}}


def _classes(make: Any, field: Any, **how: bool) -> Any:
    """Return one class with everything that a field may say, made by one of the two decorators."""

    @make(slots=True, **how)
    class Item:
        """An item."""

        key: str
        size: int = 3
        secret: str = field(default="hidden", repr=False)
        facts: dict[str, int] = field(default_factory=dict)
        noted: list[int] = field(init=False, default_factory=list)
        hidden: int = field(init=False, repr=False, compare=False, default=9)
        late: int = field(init=False, compare=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "late", len(self.key))

        @property
        def double(self) -> int:
            return 2 * self.size

        @classmethod
        def small(cls) -> Any:
            return cls(key="s", size=1)  # type: ignore[call-arg]

    return Item


@pytest.fixture(autouse=True, params=[0, 1, 100], ids="compiled after {} instances".format)
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Constructors are compiled at once, in the middle, or never."""
    monkeypatch.setattr(quick, "_FEW", request.param)


@quick.dataclass(frozen=True, slots=True)
class Pickled:
    key: str
    size: int = 0


@quick.dataclass(frozen=True, slots=True)
class Other:
    key: str
    size: int = 0


@quick.dataclass(slots=True)
class OpenPickled:
    key: str
    facts: list[int] = quick.field(default_factory=list)


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The same class, made by this package and by the standard library."""
    how = KINDS[request.param]
    return _classes(quick.dataclass, quick.field, **how), _classes(
        dataclasses.dataclass, dataclasses.field, **how
    )


def _seen(kind: Any) -> list[Any]:
    """Return what can be seen of a class and of its instances."""
    one, same, other = kind(key="a"), kind(key="a"), kind(key="ab", size=4, facts={"x": 1})
    changed = dataclasses.replace(one, size=7)
    return [
        repr(one),
        repr(other),
        one == same,
        one != other,
        one == "a",
        (one.late, one.hidden, one.secret, other.double, kind.small().size),
        one.facts is not same.facts,
        repr(changed),
        dataclasses.asdict(other),
        [(item.name, item.init, item.repr, item.kw_only) for item in dataclasses.fields(kind)],
        dataclasses.is_dataclass(kind),
        kind.__match_args__,
        kind.__slots__,
        kind.__doc__,
        kind.__hash__ is None,
        orjson.loads(orjson.dumps(other)),
        repr(copy.copy(other)),
        repr(copy.deepcopy(other)),
    ]


def test_a_class_is_seen_as_the_standard_one_is(pair: tuple[Any, Any]) -> None:
    """All that callers can ask for has the same answer."""
    ours, standard = (_seen(kind) for kind in pair)
    assert ours == standard


def test_parameters_have_names_and_kinds_of_the_standard_class(pair: tuple[Any, Any]) -> None:
    """A signature is right before the first instance is made."""
    ours, standard = (inspect.signature(kind).parameters.values() for kind in pair)
    assert [(item.name, item.kind, item.annotation) for item in ours] == [
        (item.name, item.kind, item.annotation) for item in standard
    ]


def test_wrong_arguments_are_refused_with_the_name(pair: tuple[Any, Any]) -> None:
    for kind in pair:
        with pytest.raises(TypeError, match="key"):
            kind()
        with pytest.raises(TypeError, match="unknown"):
            kind(key="a", unknown=1)


def test_frozen_values_can_neither_be_set_nor_deleted() -> None:
    item = Pickled("a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="size"):
        item.size = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="size"):
        del item.size
    assert hash(item) == hash(Pickled("a"))
    other: Any = Other("a")
    assert item != other
    assert quick.replace(item, size=5) == Pickled("a", 5)
    assert quick.asdict(item) == {"key": "a", "size": 0}
    assert dict(quick.defaults_of(Pickled))["size"] == 0


@pytest.mark.parametrize("item", [Pickled("a", 5), OpenPickled("a", [1])])
def test_pickles_are_restored_though_the_class_made_no_instance(item: Any) -> None:
    data = pickle.dumps(item)
    assert pickle.loads(data) == item  # noqa: S301 - our own


def test_patterns_match_by_position() -> None:
    match Pickled("a", 5):
        case Pickled(key, size):
            assert (key, size) == ("a", 5)
        case _:
            pytest.fail("did not match")


def test_a_class_that_would_inherit_fields_is_refused() -> None:
    with pytest.raises(TypeError, match="inherits fields"):
        quick.dataclass(slots=True)(type("Larger", (Pickled,), {"__annotations__": {"more": int}}))


def test_the_standard_decorator_adds_fields_to_an_inherited_class() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Larger(Pickled):
        more: int

    item = Larger(key="k", more=1)
    assert dataclasses.asdict(item) == {"key": "k", "size": 0, "more": 1}
    assert item == Larger(key="k", size=0, more=1)


def test_a_definition_compiles_nothing() -> None:
    """The constructor is compiled when it is needed, which is what makes a definition cheap."""
    made = _classes(quick.dataclass, quick.field, frozen=True)
    assert not isinstance(vars(made)["__dataclass_fields__"], dict)
    for _ in range(quick._FEW):
        made(key="a")
    assert not inspect.isfunction(vars(made)["__init__"])
    made(key="a")
    assert inspect.isfunction(vars(made)["__init__"])


@pytest.mark.usefixtures("switching")
def test_many_threads_may_ask_first() -> None:
    """``dataclasses`` makes its attributes of a class once: it changes the class while it does so."""
    for frozen in [True, False] * 20:
        made = _classes(quick.dataclass, quick.field, frozen=frozen)
        ready = threading.Barrier(4)

        def ask(made: Any = made, ready: threading.Barrier = ready) -> tuple[Any, ...]:
            ready.wait(timeout=60)
            item = made(key="a")
            return item, quick.asdict(item), [field.name for field in dataclasses.fields(made)]

        with ThreadPoolExecutor(4) as threads:
            answers = [asked.result() for asked in [threads.submit(ask) for _ in range(4)]]
        assert all(answer == answers[0] for answer in answers)


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_signatures_show_what_the_standard_ones_show(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
