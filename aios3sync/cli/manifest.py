"""``aios3sync manifest``: shows, exports, imports and forgets the local state of a pair; never asks S3."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aios3sync.cli.failure import exit_code_of, failure_document, tell
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    manifest_options,
    output,
    output_options,
)
from aios3sync.cli.printing import Lines, count, duration, printable, size_text, standard_lines
from aios3sync.cli.views import Output
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.manifest.exchange import ManifestFacts
    from aios3sync.manifest.protocol import Binding

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

    async def work(session: _Work) -> None:
        from aios3sync.manifest.exchange import describe

        facts = await describe(session.path, session.binding, session.warn)
        rows = await session.rows() if values["rows"] and facts.exists else []
        if session.output.json:
            listed = {"entries": [row._asdict() for row in rows]} if values["rows"] else {}
            session.document({**facts.as_dict(), **listed})
            return
        for row in rows:
            session.out.line(f"{row.size:>12} {row.md5:32} {row.etag:34} {printable(row.key)}")
        for line in _facts_lines(facts):
            session.out.line(printable(line))

    return _run(values, work)


@manifest_command.command("export")
@_pair
@click.argument("file", metavar="FILE|-")
def _export(file: str, **values: Any) -> int:
    """Write the manifest of the pair as a JSON document."""

    async def work(session: _Work) -> None:
        from aios3sync.manifest.exchange import export_document

        content = await export_document(session.path, session.binding, session.warn)
        if file == "-":
            session.out.raw(content + b"\n")
            return
        _write(file, content + b"\n")
        session.say({"command": "manifest export", "file": file}, f"exported to {file}")

    return _run(values, work)


@manifest_command.command("import")
@_pair
@click.argument("file", metavar="FILE|-")
def _import(file: str, **values: Any) -> int:
    """Replace the manifest of the pair by a JSON document."""

    async def work(session: _Work) -> None:
        from aios3sync.manifest.exchange import import_document

        rows = await import_document(session.path, session.binding, _read(file), session.warn)
        session.say({"command": "manifest import", "rows": rows}, f"imported {count(rows, 'row')}")

    return _run(values, work)


@manifest_command.command("forget")
@_pair
def _forget(**values: Any) -> int:
    """Drop the manifest of the pair: the next run compares anew."""

    async def work(session: _Work) -> None:
        from aios3sync.manifest.exchange import forget

        there = await forget(session.path, session.binding, session.warn)
        text = f"forgot {session.path}" if there else "there was no manifest"
        session.say({"command": "manifest forget", "forgotten": there, "place": session.path}, text)

    return _run(values, work)


class _Work:
    """One of these commands: its pair, its manifest, and where it prints."""

    def __init__(self, output: Output, path: str, binding: Binding) -> None:
        self.output = output
        self.path = path
        self.binding = binding
        self.out: Lines
        self.err: Lines
        self.out, self.err = standard_lines()

    def warn(self, message: str) -> None:
        """Print a warning."""
        if not self.output.quiet:
            self.err.line(f"warning: {printable(message)}")

    def document(self, facts: Mapping[str, Any]) -> None:
        """Print a JSON document."""
        import orjson

        self.out.raw(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    def say(self, facts: Mapping[str, Any], text: str) -> None:
        """Print what was done, for a machine or for a person."""
        if self.output.json:
            self.document(facts)
        elif not self.output.quiet:
            self.out.line(printable(text))

    async def rows(self) -> list[Any]:
        """All rows."""
        from anyio import to_thread

        from aios3sync.manifest.exchange import rows_of
        from aios3sync.manifest.opening import open_manifest

        def opened() -> Any:
            return open_manifest(self.path, self.binding, lambda _: None, read_only=True)

        manifest = await to_thread.run_sync(opened)
        try:
            return [row async for page in rows_of(manifest) for row in page]
        finally:
            await manifest.close()


def _run(values: Mapping[str, Any], work: Callable[[_Work], Awaitable[None]]) -> int:
    """Find the pair, do the work, turn what goes wrong into a line and an exit code."""
    told = output(values)
    from aios3sync.cli.execution import run_async

    try:
        session = _Work(told, *_place(values))
        run_async(lambda: work(session))
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes one line
        if told.json:
            out, _ = standard_lines()
            import orjson

            out.raw(
                orjson.dumps(failure_document(error), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            )
            out.flush()
        tell(error, verbose=told.verbose > 1)
        return exit_code_of(error)
    session.out.flush()
    session.err.flush()
    return 0


def _place(values: Mapping[str, Any]) -> tuple[str, Binding]:
    """The manifest of the pair on the command line, and the pair."""
    from aios3sync.core.keys import Location
    from aios3sync.endpoint import endpoint_name
    from aios3sync.manifest.opening import default_path
    from aios3sync.manifest.protocol import Binding

    location = Location.parse(values["target"])
    endpoint = endpoint_name(connect_options(values))
    binding = Binding(os.path.abspath(values["source"]), endpoint, location.bucket, location.prefix)
    return os.path.abspath(values["manifest"] or default_path(binding)), binding


def _facts_lines(facts: ManifestFacts) -> list[str]:
    pair = facts.binding
    lines = [
        f"manifest: {facts.place}",
        f"source:   {pair.source}",
        f"target:   s3://{pair.bucket}/{pair.prefix} at {pair.endpoint}",
    ]
    if not facts.exists:
        return [*lines, "there is none yet: the next run compares everything"]
    listed = "never" if facts.listed_age_s is None else f"{duration(facts.listed_age_s)} ago"
    synced = "never" if facts.synced_age_s is None else f"{duration(facts.synced_age_s)} ago"
    complete = "complete" if facts.complete else "incomplete: the next run lists the target"
    return [
        *lines,
        f"state:    {complete}",
        f"listed:   {listed}, last run {synced} (number {facts.runs:,})",
        f"rows:     {count(facts.rows, 'file')}, {size_text(facts.size)}, {facts.unsettled:,} not settled",
        f"size:     {size_text(facts.file_size)}",
    ]


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
