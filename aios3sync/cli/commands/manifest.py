"""``aios3sync manifest``: shows, exports, imports and forgets the state of a pair, wherever it is kept."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aios3sync._namedtuple import NamedTuple
from aios3sync.cli.command import run_command
from aios3sync.cli.commands.manifest_list import list_command, prune_command
from aios3sync.cli.errors import failure_document, print_error
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    manifest_options,
    output,
    output_options,
    source_connect_options,
    source_connection_options,
)
from aios3sync.cli.output.lines import json_bytes, standard_lines
from aios3sync.cli.program_command import ProgramGroup
from aios3sync.core.text import count, duration, escape_json, printable, size_text
from aios3sync.errors import UsageError
from aios3sync.events import Event, Warned
from aios3sync.local.replacing import replacing

if TYPE_CHECKING:
    from aios3sync.cli.output.view import Output, View
    from aios3sync.concurrency import Stop
    from aios3sync.core.entries import RecordedEntry
    from aios3sync.manifest.admin import StoredManifest
    from aios3sync.session import Session

__all__ = ("manifest_command",)

_arguments = (
    click.argument("source"),
    click.argument("target"),
    manifest_options,
    source_connection_options,
    connection_options,
    output_options,
)


def _pair(command: Callable[..., int]) -> Callable[..., int]:
    """Add the arguments and options that all these commands have."""
    for decorate in reversed(_arguments):
        command = decorate(command)
    return command


@click.group("manifest", cls=ProgramGroup, short_help="Show, list, export, import or forget local state.")
def manifest_command() -> None:
    """Show, export, import or forget the local state of a source and its target; list and prune all of it.

    Nothing is sent to S3, unless --manifest names a place in a bucket.
    """


manifest_command.add_command(list_command)
manifest_command.add_command(prune_command)


class _ManifestResult(NamedTuple):
    """The output of one of these commands.

    Attributes:
        document: printed with ``--json``.
        lines: printed as text.
        is_notice: whether ``--quiet`` hides the lines, as they only say what was done.
        content: printed unchanged instead of both.
    """

    document: Mapping[str, Any]
    lines: Sequence[str] = ()
    is_notice: bool = False
    content: bytes = b""

    @property
    def exit_code(self) -> int:
        return 0


def _notice(document: Mapping[str, Any], text: str) -> _ManifestResult:
    return _ManifestResult(document, (text,), is_notice=True)


@manifest_command.command("show")
@_pair
@click.option("--rows", is_flag=True, help="List all rows: size, MD5, ETag and key.")
def _show(**values: Any) -> int:
    """Show what the manifest of the pair holds."""

    async def work(manifest: StoredManifest) -> _ManifestResult:
        facts = (await manifest.describe()).as_dict()
        lines = _facts_lines(facts)
        if not values["rows"]:
            return _ManifestResult(facts, lines)
        rows = [row async for page in manifest.rows() for row in page]
        if values["json"]:
            return _ManifestResult({**facts, "entries": [row._asdict() for row in rows]})
        return _ManifestResult(facts, [*map(_row_line, rows), *lines])

    return _run(values, work)


@manifest_command.command("export")
@_pair
@click.argument("file", metavar="FILE|-")
def _export(file: str, **values: Any) -> int:
    """Write the manifest of the pair as a JSON document."""

    async def work(manifest: StoredManifest) -> _ManifestResult:
        content = await manifest.export() + b"\n"
        if file == "-":
            return _ManifestResult({}, content=escape_json(content))
        _write(file, content)
        return _notice({"command": "manifest export", "file": file}, f"exported to {file}")

    return _run(values, work)


@manifest_command.command("import")
@_pair
@click.argument("file", metavar="FILE|-")
def _import(file: str, **values: Any) -> int:
    """Replace the manifest of the pair by a JSON document."""

    async def work(manifest: StoredManifest) -> _ManifestResult:
        rows = await manifest.replace(_read(file))
        return _notice({"command": "manifest import", "rows": rows}, f"imported {count(rows, 'row')}")

    return _run(values, work)


@manifest_command.command("forget")
@_pair
def _forget(**values: Any) -> int:
    """Drop the manifest of the pair: the next run compares everything."""

    async def work(manifest: StoredManifest) -> _ManifestResult:
        there = await manifest.forget()
        text = f"forgot {manifest.path}" if there else "there was no manifest"
        return _notice({"command": "manifest forget", "forgotten": there, "place": manifest.path}, text)

    return _run(values, work)


class _ManifestView:
    """See :class:`~aios3sync.cli.output.view.View`: a result at the end, warnings on standard error."""

    def __init__(self, output: Output, on_lost: Callable[[], None]) -> None:
        self._output = output
        self._out, self._err = standard_lines(on_lost)

    def __call__(self, event: Event, /) -> None:
        """Print a warning."""
        if isinstance(event, Warned) and not self._output.quiet:
            self._err.line(f"warning: {printable(event.message)}")

    def tick(self) -> None:
        """Show nothing before the end."""

    def stopping(self, signal: int) -> None:
        """Show nothing: these commands end at once."""

    def close(self) -> None:
        """Flush what was printed."""
        self._out.flush()
        self._err.flush()

    def report(self, report: _ManifestResult) -> None:
        """Print the result as JSON or as text."""
        if report.content:
            self._out.raw(report.content)
        elif self._output.json:
            self._out.raw(json_bytes(report.document, indent=True))
        elif not (report.is_notice and self._output.quiet):
            for line in report.lines:
                self._out.line(line)
        self.close()

    def fail(self, error: BaseException) -> None:
        """Print the error."""
        if self._output.json:
            self._out.raw(json_bytes(failure_document(error), indent=True))
        self.close()
        print_error(error, verbose=self._output.verbose > 1)


def _run(values: Mapping[str, Any], work: Callable[[StoredManifest], Awaitable[_ManifestResult]]) -> int:
    """Find the manifest of the pair and do the work with it; return the exit code."""
    shown, connection = output(values), connect_options(values)

    async def found(session: Session, view: View, _stop: Stop) -> _ManifestResult:
        manifest = await session.manifest(
            values["source"],
            values["target"],
            path=values["manifest"],
            warn=lambda message: view(Warned(message)),
            source_connect=source_connect_options(values, connection),
        )
        return await work(manifest)

    return run_command(found, connection, partial(_ManifestView, shown))


def _row_line(row: RecordedEntry) -> str:
    return f"{row.size:>12} {row.md5:32} {row.etag:34} {row.key}"


def _facts_lines(facts: Mapping[str, Any]) -> list[str]:
    pair = facts["binding"]
    lines = [
        f"manifest: {facts['place']}",
        f"source:   {pair['source']}",
        f"target:   s3://{pair['bucket']}/{pair['prefix']} at {pair['endpoint']}",
    ]
    if not facts["exists"]:
        return [*lines, "there is no manifest yet: the next run compares everything"]
    state = "complete" if facts["complete"] else "incomplete: the next run lists the target"
    files = f"{count(facts['rows'], 'file')}, {size_text(facts['size'])}"
    return [
        *lines,
        f"state:    {state}",
        f"listed:   {_ago(facts['listed_age_s'])}",
        f"last run: {_ago(facts['synced_age_s'])}, number {facts['runs']:,}",
        f"rows:     {files}, {facts['unsettled']:,} unsettled",
        f"size:     {size_text(facts['file_size'])}",
    ]


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{duration(seconds)} ago"


def _write(file: str, content: bytes) -> None:
    """Replace a file atomically; write directly to one that is not regular, such as a FIFO."""
    path = Path(file).resolve()
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        with replacing(str(path)) as target:
            target.write(content)
    except OSError as error:
        raise UsageError(f"FILE: {file!r} cannot be written: {error.strerror}") from error


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"FILE: {file!r} cannot be read: {error.strerror}") from error
