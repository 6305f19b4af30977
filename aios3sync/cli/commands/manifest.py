"""``aios3sync manifest``: shows, exports, imports and forgets the local state of a pair; never asks S3."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aios3sync.cli.errors import failure_document, tell
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    manifest_options,
    output,
    output_options,
)
from aios3sync.cli.output.lines import json_bytes, standard_lines
from aios3sync.cli.output.view import Output
from aios3sync.core.text import count, duration, escape_json, printable, size_text
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.manifest.admin import StoredManifest

__all__ = ("manifest_command",)

_arguments = (
    click.argument("source"),
    click.argument("target", metavar="s3://BUCKET/PREFIX"),
    manifest_options,
    connection_options,
    output_options,
)


def _pair(command: Callable[..., int]) -> Callable[..., int]:
    """The arguments and options of every command here."""
    for decorate in reversed(_arguments):
        command = decorate(command)
    return command


@click.group("manifest", short_help="Show, export, import or forget local state.")
def manifest_command() -> None:
    """Look after the local state of a source and its target; S3 is never asked."""


@manifest_command.command("show")
@_pair
@click.option("--rows", is_flag=True, help="List all rows: size, MD5, ETag and key.")
def _show(**values: Any) -> int:
    """Tell what the manifest of the pair knows."""

    async def work(manifest: StoredManifest, out: _Out) -> None:
        facts = (await manifest.describe()).as_dict()
        rows = [row async for page in manifest.rows() for row in page] if values["rows"] else []
        if out.json:
            listed = {"entries": [row._asdict() for row in rows]} if values["rows"] else {}
            out.document({**facts, **listed})
            return
        for row in rows:
            out.line(f"{row.size:>12} {row.md5:32} {row.etag:34} {row.key}")
        for line in _facts_lines(facts):
            out.line(line)

    return _run(values, work)


@manifest_command.command("export")
@_pair
@click.argument("file", metavar="FILE|-")
def _export(file: str, **values: Any) -> int:
    """Write the manifest of the pair as a JSON document."""

    async def work(manifest: StoredManifest, out: _Out) -> None:
        content = await manifest.export() + b"\n"
        if file == "-":
            out.raw(escape_json(content))
        else:
            _write(file, content)
            out.say({"command": "manifest export", "file": file}, f"exported to {file}")

    return _run(values, work)


@manifest_command.command("import")
@_pair
@click.argument("file", metavar="FILE|-")
def _import(file: str, **values: Any) -> int:
    """Replace the manifest of the pair by a JSON document."""

    async def work(manifest: StoredManifest, out: _Out) -> None:
        rows = await manifest.replace(_read(file))
        out.say({"command": "manifest import", "rows": rows}, f"imported {count(rows, 'row')}")

    return _run(values, work)


@manifest_command.command("forget")
@_pair
def _forget(**values: Any) -> int:
    """Drop the manifest of the pair: the next run compares anew."""

    async def work(manifest: StoredManifest, out: _Out) -> None:
        there = await manifest.forget()
        text = f"forgot {manifest.path}" if there else "there was no manifest"
        out.say({"command": "manifest forget", "forgotten": there, "place": manifest.path}, text)

    return _run(values, work)


class _Out:
    """Where one of these commands prints, and how."""

    def __init__(self, output: Output) -> None:
        self.json = output.json
        self._quiet = output.quiet
        self._out, self._err = standard_lines()
        self.raw = self._out.raw

    def line(self, text: str) -> None:
        """Print a line."""
        self._out.line(printable(text))

    def warn(self, message: str) -> None:
        """Print a warning."""
        if not self._quiet:
            self._err.line(f"warning: {printable(message)}")

    def document(self, facts: Mapping[str, Any]) -> None:
        """Print a JSON document."""
        self.raw(json_bytes(facts, indent=True))

    def say(self, facts: Mapping[str, Any], text: str) -> None:
        """Print what was done, for a machine or for a person."""
        if self.json:
            self.document(facts)
        elif not self._quiet:
            self.line(text)

    def close(self) -> None:
        """Hand over what was printed."""
        self._out.flush()
        self._err.flush()


def _run(values: Mapping[str, Any], work: Callable[[StoredManifest, _Out], Awaitable[None]]) -> int:
    """Find the manifest, do the work, turn what goes wrong into a line and an exit code."""
    told, connection = output(values), connect_options(values)
    from aios3sync.cli.runner import run_async
    from aios3sync.session import connect

    out = _Out(told)

    async def main() -> None:
        async with connect(connection) as session:
            place = values["manifest"]
            found = await session.manifest(values["source"], values["target"], path=place, warn=out.warn)
            await work(found, out)

    try:
        run_async(main)
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes one line
        if told.json:
            out.document(failure_document(error))
        out.close()
        return tell(error, verbose=told.verbose > 1)
    out.close()
    return 0


def _facts_lines(facts: Mapping[str, Any]) -> list[str]:
    pair = facts["binding"]
    lines = [
        f"manifest: {facts['place']}",
        f"source:   {pair['source']}",
        f"target:   s3://{pair['bucket']}/{pair['prefix']} at {pair['endpoint']}",
    ]
    if not facts["exists"]:
        return [*lines, "there is none yet: the next run compares everything"]
    state = "complete" if facts["complete"] else "incomplete: the next run lists the target"
    files = f"{count(facts['rows'], 'file')}, {size_text(facts['size'])}"
    return [
        *lines,
        f"state:    {state}",
        f"listed:   {_ago(facts['listed_age_s'])}",
        f"last run: {_ago(facts['synced_age_s'])}, number {facts['runs']:,}",
        f"rows:     {files}, {facts['unsettled']:,} not settled",
        f"size:     {size_text(facts['file_size'])}",
    ]


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{duration(seconds)} ago"


def _write(file: str, content: bytes) -> None:
    try:
        Path(file).write_bytes(content)
    except OSError as error:
        raise UsageError(f"FILE: {file!r} cannot be written: {error.strerror}") from error


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"FILE: {file!r} cannot be read: {error.strerror}") from error
