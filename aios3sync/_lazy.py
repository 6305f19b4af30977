"""What is made when it is first used: names of public faces, attributes of classes, regular expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

TYPE_CHECKING = False  # the name by which type checkers know it; a command line does not load typing

if TYPE_CHECKING:
    import re
    from typing import Any, AnyStr

__all__ = ("WhenAsked", "lazy_names", "lazy_pattern")


def lazy_names(
    package: str, homes: Mapping[str, str], eager: tuple[str, ...] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` (PEP 562) of a package.

    Args:
        package: the name of the package, for the message of an ``AttributeError``.
        homes: for each module the names that it defines, separated by spaces.
        eager: names that the package defines itself.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home), name)

    def names() -> list[str]:
        return sorted((*home_of, *eager))

    return get, names


class WhenAsked:
    """An attribute of a class that is made when it is first looked up, and stays.

    Args:
        make: returns it for the class that it is an attribute of.
    """

    __slots__ = ("_make", "_name", "_owner")

    def __init__(self, make: Callable[[type], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, instance: object, owner: type) -> Any:
        setattr(self._owner, self._name, self._make(self._owner))
        return getattr(owner if instance is None else instance, self._name)


class _Pattern:
    """Stands for a compiled pattern: the first method that is asked for compiles it."""

    def __init__(self, text: Any) -> None:
        self._text = text

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":  # asked for by what copies objects, of one that has no text yet
            raise AttributeError(name)
        import re

        pattern: re.Pattern[Any] = re.compile(self._text() if callable(self._text) else self._text)
        found = getattr(pattern, name)
        setattr(self, name, found)  # so that the next use is as quick as that of the pattern itself
        return found


def lazy_pattern(text: AnyStr | Callable[[], AnyStr]) -> re.Pattern[AnyStr]:
    """Return a pattern that is compiled when it is first used.

    Compiling takes from a tenth of a millisecond to five, for classes of many characters; of the patterns of
    this package a run uses a few.

    Args:
        text: the pattern, with its flags in it, or what returns it.
    """
    stand_in: re.Pattern[AnyStr] = _Pattern(text)  # type: ignore[assignment]
    return stand_in
