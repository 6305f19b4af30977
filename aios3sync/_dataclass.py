"""Data classes that take little time to define: half of the start of a command line would be spent on them.

``dataclasses`` compiles up to nine methods of a class and then makes the class again for its slots: half a
millisecond each, and a hundred of them are defined before a command line begins its work. Here a
constructor is compiled when some instances were made, the other methods are shared code, and what
``dataclasses`` itself needs is made when it is asked for: ``fields()``, ``replace()``, ``asdict()`` and
``is_dataclass()`` take these classes as their own. All of them have slots, and none inherits fields.
"""

from __future__ import annotations

from _thread import allocate_lock  # threading is loaded later, if at all
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter

from aios3sync._lazy import WhenAsked
from aios3sync._typing import TYPE_CHECKING, Any, Final, TypeVar

__all__ = ("asdict", "defaults_of")

T = TypeVar("T")


class _Missing:
    """No value; signatures show it where each instance gets a default of its own, as the standard ones do."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<factory>"


_MISSING: Final = _Missing()
_FEW: Final = 3
"""Instances of a class that are made before its constructor is compiled."""
_making: Final = allocate_lock()
"""Held while ``dataclasses`` makes its attributes of a class, which it changes: it cannot do so twice."""


class _Field:
    """What :func:`field` says of a field."""

    __slots__ = ("default", "options")

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.default = options.get("default", _MISSING)


def defaults_of(kind: type) -> Mapping[str, Any]:
    """Return the fields of a class, in order, each with its default; one without has a value of its own."""
    known: dict[str, Any] = kind.__defaults__  # type: ignore[attr-defined]
    return known


def asdict(item: Any) -> dict[str, Any]:
    """Return the fields as a dictionary, as :func:`dataclasses.asdict` does, which is loaded here."""
    import dataclasses

    return dataclasses.asdict(item)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:

    def field(**options: Any) -> _Field:
        """Say more of a field: takes the keyword arguments of :func:`dataclasses.field`."""
        return _Field(options)

    def replace(item: T, /, **changes: Any) -> T:
        """Return a copy with other values, as :func:`dataclasses.replace` does."""
        kind = type(item)
        if "__given__" not in vars(kind):
            import dataclasses

            return dataclasses.replace(item, **changes)
        kept = [name for name in kind.__given__ if name not in changes]
        return kind(**{name: getattr(item, name) for name in kept}, **changes)

    def dataclass(*, frozen: bool = False, slots: bool, kw_only: bool = False) -> Callable[[type], type]:
        """Make a class of its annotations, as :func:`dataclasses.dataclass` does.

        ``slots`` must be true; it is spelled out for type checkers, which see the standard decorator.
        """
        if not slots:
            raise TypeError("a class of this kind has slots")
        return lambda plain: _slotted(plain, frozen=frozen, kw_only=kw_only)


def _slotted(plain: type, *, frozen: bool, kw_only: bool) -> type:
    """Return the class with slots and methods; ``plain`` stays as it was written, for ``dataclasses``."""
    if any("__given__" in vars(base) for base in plain.__mro__[1:]):
        raise TypeError(f"{plain.__qualname__} inherits fields: use dataclasses.dataclass")
    written = vars(plain)
    fields = {name: written.get(name, _MISSING) for name in plain.__annotations__}
    own = {name: value for name, value in written.items() if name not in fields}
    del own["__dict__"], own["__weakref__"]
    given = tuple(name for name, value in fields.items() if _option(value, "init"))
    made = {
        **_methods(fields, frozen=frozen),
        **own,  # a method that is written out is kept
        "__slots__": tuple(fields),
        "__qualname__": plain.__qualname__,
        "__match_args__": () if kw_only else given,
        "__given__": given,
        "__defaults__": {name: _default(value) for name, value in fields.items()},
        "__init__": _Constructor(fields, frozen=frozen, kw_only=kw_only),
    }
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        made[name] = WhenAsked(partial(_standard_attribute, plain, name, frozen=frozen, kw_only=kw_only))
    return type(plain)(plain.__name__, plain.__bases__, made)


class _Constructor(WhenAsked):
    """``__init__`` of a class, compiled when it is looked up, or when a few instances were made without it.

    Compiling takes as long as filling twenty instances by their fields, and of most classes a run makes one.
    """

    __slots__ = ("_fields", "_kw_only", "_left")

    def __init__(self, fields: Mapping[str, Any], *, frozen: bool, kw_only: bool) -> None:
        super().__init__(lambda kind: _compiled(kind, fields, frozen=frozen, kw_only=kw_only))
        self._fields = fields
        self._kw_only = kw_only
        self._left = _FEW

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None or self._left <= 0:
            return super().__get__(instance, owner)
        self._left -= 1
        return partial(self._fill, instance)

    def _fill(self, instance: Any, /, *arguments: Any, **named: Any) -> None:
        """Set each field, then call ``__post_init__``; the compiled one says what is wrong with arguments."""
        given: tuple[str, ...] = instance.__given__
        values = {**dict(zip(given, arguments, strict=False)), **named}
        right = len(values) == len(arguments) + len(named) and not (self._kw_only and arguments)
        if not (right and values.keys() <= {*given}):
            self._owner.__init__(instance, *arguments, **named)  # type: ignore[misc]
            return
        for name, field in self._fields.items():
            value = values[name] if name in values else _own_default(field)
            if value is not _MISSING:
                object.__setattr__(instance, name, value)
            elif _option(field, "init"):
                self._owner.__init__(instance, *arguments, **named)  # type: ignore[misc]
                return
        if hasattr(instance, "__post_init__"):
            instance.__post_init__()


def _own_default(field: object) -> Any:
    """Return the default of a field for one instance, or ``_MISSING``."""
    if isinstance(field, _Field) and "default_factory" in field.options:
        return field.options["default_factory"]()
    return _default(field)


def _option(value: object, name: str) -> bool:
    return not isinstance(value, _Field) or value.options.get(name, True)


def _default(value: object) -> Any:
    return value.default if isinstance(value, _Field) else value


def _standard_attribute(plain: Any, name: str, _: type, *, frozen: bool, kw_only: bool) -> Any:
    """Return an attribute that ``dataclasses`` gives to a class."""
    import dataclasses  # takes 8 ms, and few runs need it

    with _making:  # several threads may ask first
        if name not in vars(plain):
            for field_name, value in list(vars(plain).items()):
                if isinstance(value, _Field):
                    setattr(plain, field_name, dataclasses.field(**value.options))
            dataclasses.dataclass(frozen=frozen, kw_only=kw_only)(plain)
        return getattr(plain, name)


def _compiled(kind: type, fields: Mapping[str, Any], *, frozen: bool, kw_only: bool) -> Callable[..., None]:
    """Compile ``__init__``: one assignment for each field, then ``__post_init__``."""
    space: dict[str, Any] = {"_unset": _MISSING}
    parameters, lines = ["self", "*"] if kw_only else ["self"], []
    for name, value in fields.items():
        source = name
        if isinstance(value, _Field) and "default_factory" in value.options:
            space[f"_make_{name}"] = value.options["default_factory"]
            space[f"_default_{name}"] = _MISSING
            source = f"_make_{name}() if {name} is _unset else {name}"
        elif (default := _default(value)) is not _MISSING:
            space[f"_default_{name}"] = default
        has_default = f"_default_{name}" in space
        if _option(value, "init"):
            parameters.append(f"{name}=_default_{name}" if has_default else name)
        elif has_default:
            source = source.partition(" if ")[0] if "_make_" in source else f"_default_{name}"
        else:
            continue  # set by __post_init__, or later
        if frozen:  # object.__setattr__ would look the slot up by its name, which takes twice as long
            space[f"_set_{name}"] = vars(kind)[name].__set__
        lines.append(f"    _set_{name}(self, {source})" if frozen else f"    self.{name} = {source}")
    if hasattr(kind, "__post_init__"):
        lines.append("    self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or ["    pass"]), space)  # noqa: S102
    made: Any = space["__init__"]
    made.__qualname__ = f"{kind.__qualname__}.__init__"
    made.__module__ = kind.__module__
    made.__annotations__ = {
        **{name: hint for name, hint in kind.__annotations__.items() if name in kind.__given__},  # type: ignore[attr-defined]
        "return": None,
    }
    return made  # type: ignore[no-any-return]


def _methods(fields: Mapping[str, Any], *, frozen: bool) -> dict[str, Any]:
    """Return the methods that need no compiling."""
    shown = [name for name, value in fields.items() if _option(value, "repr")]
    compared = _values_of([name for name, value in fields.items() if _option(value, "compare")])

    def represent(self: Any) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({values})"

    def equal(self: Any, other: Any) -> Any:
        return compared(self) == compared(other) if type(other) is type(self) else NotImplemented

    methods = {"__repr__": represent, "__eq__": equal, "__hash__": None}
    return methods | _frozen_methods(tuple(fields), compared) if frozen else methods


def _frozen_methods(
    names: tuple[str, ...], compared: Callable[[Any], tuple[Any, ...]]
) -> dict[str, Callable[..., Any]]:
    values = _values_of(names)

    def restore(self: Any, state: tuple[Any, ...]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {
        "__hash__": lambda self: hash(compared(self)),
        "__getstate__": lambda self: values(self),
        "__setstate__": restore,
        "__setattr__": _refuse_set,
        "__delattr__": _refuse_delete,
    }


def _values_of(names: Any) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda item: tuple(getattr(item, name) for name in names)


def _refuse_set(_: object, name: str, value: object) -> None:  # noqa: ARG001
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(_: object, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")
