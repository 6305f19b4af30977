"""Writes the reference of the command line from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import click

from aios3sync.cli.connection_help import CONNECTION, VARIABLES, section_of
from aios3sync.cli.program import program

__all__ = ("commands", "page")

_INTRODUCTION: Final = """# Commands

What `--help` says, of all commands. Every command that reaches a bucket has the [options of the
connection](#connection) as well.
"""


def commands(
    command: click.Command = program, parent: click.Context | None = None
) -> Iterator[click.Context]:
    """Yield each command and each group below a group, in the order of help."""
    context = click.Context(command, info_name=command.name if parent else "aios3sync", parent=parent)
    if parent is not None:
        yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from commands(below, context)


def page() -> str:
    """Return the page in Markdown."""
    found = list(commands())
    shared: dict[str, str] = {}
    for context in found:
        shared.update(_records(context, CONNECTION))
    parts = [_INTRODUCTION, *(_section(context) for context in found), _connection(shared)]
    return "\n".join(parts)


def _section(context: click.Context) -> str:
    command = context.command
    path = context.command_path.partition(" ")[2]
    pieces = " ".join(command.collect_usage_pieces(context))
    lines = [
        f"{'#' * (path.count(' ') + 2)} {path}",
        "",
        "```text",
        f"{context.command_path} {pieces}",
        "```",
        "",
    ]
    lines += [_prose(command.help or ""), ""]
    titles = dict.fromkeys(
        section_of(param) for param in command.get_params(context) if not isinstance(param, click.Argument)
    )
    for title in [*(title for title in titles if title not in {"Options", CONNECTION}), "Options"]:
        records = dict(_records(context, title))
        if title == "Options":
            records = {names: text for names, text in records.items() if "--help" not in names}
        if records:
            lines += [
                *_table(title if len(titles) > 2 and title != "Options" else "Option", records.items()),
                "",
            ]
    if CONNECTION in titles:
        lines += ["And the [options of the connection](#connection).", ""]
    return "\n".join(lines)


def _records(context: click.Context, title: str) -> Iterator[tuple[str, str]]:
    """Yield the options of a section of help with what they mean."""
    for param in context.command.get_params(context):
        if section_of(param) == title and not isinstance(param, click.Argument):
            record = param.get_help_record(context)
            if record is not None:
                yield record


def _connection(records: dict[str, str]) -> str:
    return "\n".join(
        [
            f"## {CONNECTION}",
            "",
            "`--help-connection` of a command shows those that it has.",
            "",
            *_table("Option", records.items()),
            "",
            *_table("Variable", VARIABLES),
            "",
        ]
    )


def _table(title: str, records: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"| {title} | |"
    yield "|---|---|"
    for names, text in records:
        cell = names.replace("|", "\\|")
        yield f"| `{cell}` | {_escaped(text)} |"


def _escaped(text: str) -> str:
    """Return the text of help for a cell: what it calls by an option's name becomes code."""
    plain = " ".join(text.split())
    plain = re.sub(r"([\\*_<|\[\]])", r"\\\1", plain)
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*[a-z])", r"`\1`", plain)


def _prose(text: str) -> str:
    """Return the description of a command; what click must not wrap is kept as it is written."""
    paragraphs = []
    for paragraph in re.split(r"\n[ \t]*\n", text.replace("\f", "").strip()):
        if paragraph.lstrip().startswith("\b"):
            lines = [line for line in paragraph.strip("\b \n").splitlines() if line.strip() != "\b"]
            paragraphs.append("\n".join(["```text", *lines, "```"]))
        else:
            paragraphs.append(_escaped(paragraph))
    return "\n\n".join(paragraphs)
