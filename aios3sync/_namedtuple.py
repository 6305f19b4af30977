"""Named tuples that take little time to define: a sixth of those of ``typing``, which compiles each of them.

:class:`typing.NamedTuple` resolves every annotation, compiles a constructor and changes the finished class
once for each of its attributes: a quarter of a millisecond, and a run has sixty such classes. Here the class
is made at once, its constructor is compiled when the first instance is made, and the other methods are shared
code. Instances are as quick, and have the whole interface of those of ``typing``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import itemgetter

from aios3sync._lazy import WhenAsked
from aios3sync._typing import TYPE_CHECKING, Any, TypeVar

__all__: tuple[str, ...] = ()

T = TypeVar("T", bound=tuple[Any, ...])

try:
    from _collections import _tuplegetter as _field  # type: ignore[import-not-found]
except ImportError:  # an interpreter without this fastest kind of attribute

    def _field(place: int, doc: str) -> property:
        return property(itemgetter(place), doc=doc)


if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _Statement(type):
        """Makes of a class statement that has :class:`NamedTuple` as its base a class of named tuples."""

        def __new__(cls, name: str, bases: tuple[type, ...], written: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, written)
            others = [base for base in bases if base is not NamedTuple]  # Generic
            return type(name, (tuple, *others), _space(written))

    class NamedTuple(metaclass=_Statement):
        """The base of a class statement; no class has it as its base."""


def _space(written: dict[str, Any]) -> dict[str, Any]:
    """Return the namespace of a class of named tuples.

    Raises:
        TypeError: a field without a default follows one that has a default.
    """
    names = tuple(written["__annotations__"])
    defaults = {name: written[name] for name in names if name in written}
    if names[len(names) - len(defaults) :] != tuple(defaults):
        raise TypeError(f"{written['__qualname__']}: all fields after one with a default need one")
    return {
        "__doc__": f"{written['__qualname__']}({', '.join(names)})",
        "__repr__": _represent,
        "_asdict": _asdict,
        **written,
        "__new__": WhenAsked(partial(_constructor, names, tuple(defaults.values()))),
        "__getnewargs__": _getnewargs,
        "_make": classmethod(_make),
        "_replace": _replace,
        "__slots__": (),
        "__match_args__": names,
        "_fields": names,
        "_field_defaults": defaults,
        **{name: _field(place, f"Field {place}.") for place, name in enumerate(names)},
    }


def _constructor(names: tuple[str, ...], defaults: tuple[Any, ...], kind: type) -> Any:
    """Compile ``__new__``."""
    given = "".join(f"{name}, " for name in names)
    made: Any = eval(f"lambda _cls, {given}: _new(_cls, ({given}))", {"_new": tuple.__new__})  # noqa: S307
    made.__name__, made.__qualname__ = "__new__", f"{kind.__qualname__}.__new__"
    made.__module__, made.__annotations__ = kind.__module__, kind.__annotations__
    made.__defaults__ = defaults
    return staticmethod(made)


def _make(kind: type[T], values: Iterable[Any]) -> T:
    """Return a named tuple of the values of its fields."""
    made: T = _new(kind, values)
    if len(made) != len(kind._fields):  # type: ignore[attr-defined]
        raise TypeError(f"{kind.__qualname__} has {len(kind._fields)} fields, not {len(made)}")  # type: ignore[attr-defined]
    return made


def _replace(self: Any, /, **changes: Any) -> Any:
    """Return a copy with other values of some fields."""
    made = self._make(map(changes.pop, self._fields, self))
    if changes:
        raise ValueError(f"{type(self).__qualname__} has no field {', '.join(changes)}")
    return made


def _asdict(self: Any) -> dict[str, Any]:
    """Return the values by the names of their fields."""
    return dict(zip(self._fields, self, strict=True))


def _represent(self: Any) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
    return f"{type(self).__name__}({values})"


def _getnewargs(self: Any) -> tuple[Any, ...]:
    return tuple(self)


_new: Any = tuple.__new__
