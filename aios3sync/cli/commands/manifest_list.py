"""``aios3sync manifest list`` and ``prune``: lists the manifests with their pairs; removes useless ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import click

from aios3sync.cli.options import output, output_options
from aios3sync.cli.output.choose import report_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.cli.values import seconds
from aios3sync.core.text import count, duration, printable, size_text
from aios3sync.errors import ManifestError, UsageError
from aios3sync.local.state import NO_STATE, state_directory
from aios3sync.manifest.files import describe_pair
from aios3sync.manifest.kept import KeptManifest, kept_manifests, remove_kept
from aios3sync.manifest.removal import left_in_bucket

__all__ = ("list_command", "prune_command")

_DAYS: Final = 90
_ANSWERS: Final = {
    "--manifest": (
        "manifests elsewhere are not looked for; those in a folder of a bucket are listed by 'aios3sync ls "
        "s3://BUCKET/FOLDER/.aios3sync/manifests/', and 'manifest show' or 'manifest forget', with source, "
        "target and --manifest, is about one of them"
    )
}


@click.command("list", cls=ProgramCommand, answers=_ANSWERS)
@output_options
def list_command(**values: Any) -> int:
    """List the manifests of this user: the file, its pair, and when it was used last.

    Those that --manifest has put elsewhere, such as into a bucket, are not among them.
    """
    found = _kept()
    total = f"{count(len(found), 'manifest')}, {size_text(sum(one.file_size for one in found))}"
    return _print("manifest list", values, found, f"{total} in {_directory()}")


@click.command("prune", cls=ProgramCommand, answers=_ANSWERS)
@click.option(
    "--older-than",
    type=seconds,
    metavar="AGE",
    help=f"Remove what was not used for so long ({_DAYS}d).",
)
@click.option(
    "--missing-source",
    is_flag=True,
    help="Remove what belongs to a directory that is not there, of any age unless --older-than says one.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@output_options
def prune_command(older_than: float | None, *, missing_source: bool, dry_run: bool, **values: Any) -> int:
    """Remove manifests that were not used for long, and files that a run has set aside.

    Nothing in S3 or in a source is touched. If a pair is synced again, its run compares everything.
    """
    if older_than is not None and older_than <= 0:
        raise UsageError("--older-than: must be above 0 s")
    age = older_than if older_than is not None else 0.0 if missing_source else _DAYS * 86_400.0
    limit = time.time() - age
    chosen = [one for one in _kept() if one.used_at <= limit and (one.source_missing or not missing_source)]
    busy: list[KeptManifest] = []
    if not dry_run:
        busy = [one for one in chosen if not remove_kept(one)]
    removed = [one for one in chosen if one not in busy]
    did = "would remove" if dry_run else "removed"
    summary = f"{did} {count(len(removed), 'manifest')}, {size_text(sum(one.file_size for one in removed))}"
    warnings = [f"a run is at work with {one.path}: it stays" for one in busy]
    if not dry_run and (unfinished := sum(one.unfinished_uploads for one in removed)):
        warnings.append(left_in_bucket(unfinished))
    return _print("manifest prune", values, removed, summary, tuple(warnings))


def _directory() -> str:
    directory = state_directory()
    if directory is None:
        raise ManifestError(NO_STATE)
    return directory


def _kept() -> list[KeptManifest]:
    return list(kept_manifests(_directory()))


def _print(
    command: str,
    values: dict[str, Any],
    found: Sequence[KeptManifest],
    summary: str,
    warnings: tuple[str, ...] = (),
) -> int:
    """Print the manifests, the most recently used first."""
    ordered = sorted(found, key=lambda one: -one.used_at)
    document = {
        "command": command,
        "directory": _directory(),
        "manifests": [one.as_dict() for one in ordered],
    }
    conclusion = Conclusion(summary, differences=tuple(map(_line, ordered)), warnings=warnings)
    shown = output(values).without_progress()
    report_view(command, shown, attrgetter("conclusion"))(CommandResult(document, conclusion))
    return 0


def _line(one: KeptManifest) -> str:
    if one.is_set_aside:
        pair = "set aside by a run that could not use it"
    elif one.binding is None:
        pair = one.problem or "of no pair yet"
    else:
        pair = describe_pair(one.binding)
    missing = " (the source is not there)" if one.source_missing else ""
    unfinished = f", {count(one.unfinished_uploads, 'unfinished upload')}" if one.unfinished_uploads else ""
    used = f"{duration(max(time.time() - one.used_at, 0.0))} ago"
    return printable(f"{one.path}  {size_text(one.file_size)}, used {used}: {pair}{missing}{unfinished}")
