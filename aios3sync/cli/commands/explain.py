"""``aios3sync explain``: prints what a sync would do with one key, and why; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aios3sync.cli.catalog_source import catalog_source_of, catalog_source_options
from aios3sync.cli.command import run_command
from aios3sync.cli.options import (
    comparison_options,
    connect_options,
    connection_options,
    deletion_options,
    filter_options,
    manifest_options,
    output,
    output_options,
    reading_options,
    source_connect_options,
    source_connection_options,
    sync_options,
)
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.core.text import count, duration, printable

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.session import Session
    from aios3sync.sync.explain import Explanation

__all__ = ("conclude_explanation", "explain_command")


@click.command("explain", cls=ProgramCommand, short_help="Show what a sync would do with one key.")
@click.argument("source")
@click.argument("target")
@click.argument("key")
@click.option("--no-manifest", is_flag=True, help="Explain a sync with --no-manifest.")
@deletion_options
@filter_options
@comparison_options
@reading_options
@manifest_options
@source_connection_options
@catalog_source_options
@connection_options
@output_options
@click.pass_context
def explain_command(ctx: click.Context, /, source: str, target: str, key: str, **values: Any) -> int:
    """Show what a sync with the same options would do with KEY, and why."""
    named = catalog_source_of(source, values)
    shown, options, connection = output(values), sync_options(ctx, values), connect_options(values)

    async def work(session: Session, _view: View, _stop: Stop) -> Explanation:
        return await session.explain(
            source if named is None else await named.locate(session),
            target,
            key,
            options=options,
            source_connect=source_connect_options(values, connection),
        )

    return run_command(work, connection, partial(choose_view, "explain", shown, conclude_explanation))


def conclude_explanation(found: Explanation) -> Conclusion:
    """Return the explanation as lines; the last one names the action."""
    lines = (f"{label + ':':<10}{printable(text)}" for label, text in _facts(found) if text)
    action = f"{'action:':<10}{found.action} ({found.reason})"
    return Conclusion(summary=printable(action), differences=tuple(lines))


def _facts(found: Explanation) -> Iterator[tuple[str, str]]:
    yield "key", found.full_key
    yield "filters", found.visibility
    download = found.direction == "down"
    yield "target" if download else "source", _file(found)
    yield "recorded", _recorded(found)
    yield "source" if download else "target", _object(found)
    yield "listing", "" if found.listed else "not needed: the run trusts the manifest"
    yield "compared", found.compared


def _file(found: Explanation) -> str:
    if found.source is None:
        return f"no {'object' if found.direction == 'copy' else 'file'} ({found.source_error})"
    entry: Any = found.source
    if found.direction == "copy":
        return f"{count(entry.size, 'byte')}, ETag {entry.etag}"
    return f"{count(entry.size, 'byte')}, {_stat(entry)}"


def _stat(entry: Any) -> str:
    return f"mtime {entry.mtime_ns}, ctime {entry.ctime_ns}, inode {entry.inode}"


def _recorded(found: Explanation) -> str:
    if found.recorded is None:
        return "no row" if found.manifest else "no manifest"
    row = found.recorded
    md5 = f"MD5 {row.md5}, " if row.md5 else ""  # else the ETag has the digests of the parts
    text = f"{count(row.size, 'byte')}, {_stat(row)}, {md5}ETag {row.etag}"
    if found.direction == "copy":
        text = f"{count(row.size, 'byte')}, ETag {row.md5} of the source, {row.etag} of the target"
    if row.encoding:
        text += f", {row.encoding}"
    if not row.settled:
        text += "; changed too shortly before it was hashed to trust its stat"
    age = "never" if found.knowledge_age_s is None else f"{duration(found.knowledge_age_s)} ago"
    return f"{text}; manifest {'complete' if found.complete else 'incomplete'}, target listed {age}"


def _object(found: Explanation) -> str:
    if found.target is None:
        return "no object"
    text = f"{count(found.target.size, 'byte')}, ETag {found.target.etag}, which proves {found.proof}"
    for name in ("encoding", "encryption"):
        if value := getattr(found, name):
            text += f"; {name} {value}"
    return f"{text}; MD5 in its metadata {found.stored_md5}" if found.stored_md5 else text
