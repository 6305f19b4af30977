"""Names of ``typing`` for the modules that the most common command lines load, which do not load ``typing``.

With ``re``, which it imports, ``typing`` takes a sixth of the time of a sync that has nothing to do, and such
a sync evaluates no annotation. So stand-ins take the places of its names in a process that runs a sync:
classes can be derived from them, types can be written with them, and the types of the fields of options can
be read. Only ``isinstance`` with a protocol needs ``typing``. An application, another command, or a process
whose interpreter has loaded ``typing`` already gets the names themselves.
"""

from __future__ import annotations

import sys
from types import NoneType, UnionType

__all__: tuple[str, ...] = ()

TYPE_CHECKING = False
_PROGRAM = "aios3sync.__main__"


def _is_sync() -> bool:
    """Whether this process was started, in either way, for a sync or to say its version."""
    started = getattr(sys.modules.get("__main__"), "__spec__", None)
    is_program = _PROGRAM in sys.modules or getattr(started, "name", "") == _PROGRAM
    return is_program and sys.argv[1:2] in (["sync"], ["--version"])


if TYPE_CHECKING or "typing" in sys.modules or not _is_sync():
    from typing import IO as IO
    from typing import Annotated as Annotated
    from typing import Any as Any
    from typing import AnyStr as AnyStr
    from typing import Final as Final
    from typing import Generic as Generic
    from typing import Literal as Literal
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import Self as Self
    from typing import TextIO as TextIO
    from typing import TypeGuard as TypeGuard
    from typing import TypeVar as TypeVar
    from typing import Union as Union
    from typing import cast as cast
    from typing import get_args as get_args
    from typing import get_origin as get_origin
    from typing import runtime_checkable as runtime_checkable
else:

    class _Form:
        """Stands for a name that is written in types, alone or with arguments in brackets."""

        __slots__ = ("__args__", "__origin__")

        def __init__(self, origin=None, arguments=()):
            self.__origin__ = origin
            self.__args__ = arguments

        def __getitem__(self, arguments):
            return _Form(self, arguments if isinstance(arguments, tuple) else (arguments,))

        def __or__(self, other):
            return Union[self, NoneType if other is None else other]

        def __ror__(self, other):
            return Union[NoneType if other is None else other, self]

    class _Base:
        """Stands for a class that others are derived from, alone or with arguments in brackets."""

        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    class Protocol(_Base):
        """Stands for the base of protocols."""

        __slots__ = ()

    class Generic(_Base):
        """Stands for the base of generic classes."""

        __slots__ = ()

    IO, Annotated, Any, AnyStr, Final, Literal, NoReturn, Self, TextIO, TypeGuard, Union = (
        _Form() for _ in range(11)
    )

    def TypeVar(_, **__):  # noqa: N802 - as in typing
        """Stands for a type variable."""
        return _Form()

    def cast(_, value):
        """Return the value."""
        return value

    def runtime_checkable(protocol):
        """Return the protocol."""
        return protocol

    def get_origin(form):
        """Return what a type was made of with brackets or ``|``, or ``None``; a stand-in for any of these.

        A module that is loaded later may have written the type with ``typing`` itself.
        """
        typing = sys.modules.get("typing")
        if typing is None or isinstance(form, _Form):
            return UnionType if isinstance(form, UnionType) else getattr(form, "__origin__", None)
        origin = typing.get_origin(form)
        meant = {typing.Annotated: Annotated, typing.Literal: Literal, typing.Union: Union}
        return meant.get(origin, origin)

    def get_args(form):
        """Return the arguments of a type."""
        typing = sys.modules.get("typing")
        if typing is None or isinstance(form, _Form):
            return getattr(form, "__args__", ())
        return typing.get_args(form)
