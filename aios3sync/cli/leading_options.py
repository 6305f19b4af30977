"""Moves options that come before the command, as with aws and s5cmd, after it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from aios3sync.cli.habits import TAKEN_OPTIONS

__all__ = ("moved_after",)


def moved_after(group: click.Group, ctx: click.Context, args: list[str]) -> list[str]:
    """Return the arguments with the options before the command moved after its name."""
    known = {name: param for param in _options(group, ctx) for name in param.opts}
    known |= {theirs: known[ours] for theirs, ours in TAKEN_OPTIONS.items() if ours in known}
    leading, at = _leading(args, known)
    if not leading or at == len(args) or args[at].startswith("-"):
        return args
    depth = _depth(group, ctx, args[at:])
    return [*args[at : at + depth], *leading, *args[at + depth :]]


def _options(group: click.Group, ctx: click.Context) -> Iterator[click.Option]:
    """Yield the options that may come before a command: those of ``sync``, which include the shared ones."""
    command = group.get_command(ctx, "sync")
    assert command is not None  # noqa: S101 - there is one
    yield from (param for param in command.params if isinstance(param, click.Option))


def _leading(args: list[str], known: dict[str, click.Option]) -> tuple[list[str], int]:
    """Return the known options at the beginning with their values, and the index of their end."""
    at = 0
    while at < len(args):
        name, equals, _ = args[at].partition("=")
        option = known.get(name)
        if option is None:
            break
        takes_next = not (option.is_flag or option.count or equals)
        at += 2 if takes_next else 1
    at = min(at, len(args))
    return args[:at], at


def _depth(group: click.Command, ctx: click.Context, words: list[str]) -> int:
    """Return the number of words of a command's name: two for the command of a group."""
    depth = 0
    command: click.Command | None = group
    while isinstance(command, click.Group) and depth < len(words):
        command = command.get_command(ctx, words[depth])
        depth += 1
    return depth
