"""Makes decorators of options: those of one section of help together, and plain flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ("flag", "option_group")

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def option_group(*options: Callable[[CommandT], CommandT], title: str = "") -> Callable[[CommandT], CommandT]:
    """Return a decorator that adds options, which help shows in the section of this title."""

    def decorate(command: CommandT) -> CommandT:
        before = len(getattr(command, "__click_params__", ()))
        for option in reversed(options):
            command = option(command)
        for param in getattr(command, "__click_params__", ())[before:]:
            if not hasattr(param, "section"):
                param.section = title
        return command

    return decorate


def flag(*names: str, help: str) -> Callable[[CommandT], CommandT]:  # noqa: A002 - click's word
    """Return a decorator that adds a flag, which is unset unless it is given."""
    return click.option(*names, is_flag=True, default=None, help=help)
