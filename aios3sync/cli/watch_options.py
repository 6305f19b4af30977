"""The options of ``sync --watch``, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from aios3sync.cli.option_group import flag, option_group
from aios3sync.cli.values import seconds
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.watch.pending import WatchTimes

__all__ = ("check_watch", "watch_options", "watch_times")

watch_options = option_group(
    flag("--watch", help="Sync again whenever SOURCE changes, until you stop it."),
    click.option(
        "--watch-stable",
        type=seconds,
        metavar="TIME",
        help="With --watch: send a file that has not changed for so long (1s).",
    ),
    click.option(
        "--watch-every",
        type=seconds,
        metavar="TIME",
        help="With --watch: compare all of SOURCE at least so often (10m).",
    ),
    click.option(
        "--watch-queue",
        metavar="URL",
        help="With --watch of a bucket: the SQS queue of its notifications.",
    ),
    title="Watching",
)


def watch_times(values: Mapping[str, Any]) -> WatchTimes:
    """Return the times of a watch.

    Raises:
        UsageError: they are not above 0.
    """
    from aios3sync.watch.pending import WatchTimes

    given = {
        name: values[f"watch_{name}"] for name in WatchTimes._fields if values[f"watch_{name}"] is not None
    }
    for name, value in given.items():
        if value <= 0:
            raise UsageError(f"--watch-{name}: must be above 0 s")
    return WatchTimes(**given)


def check_watch(values: Mapping[str, Any]) -> None:
    """Check which options are combined with ``--watch``.

    Raises:
        UsageError: one of them is impossible with it.
    """
    if values["watch"]:
        if values["json"]:
            raise UsageError("--watch has no one result for --json; --events prints an object for each thing")
        for name in ("plan", "receipt", "catalog_dataset", "catalog_model"):
            if values.get(name):
                raise UsageError(f"--watch goes on; leave out --{name.replace('_', '-')}")
        return
    for name in ("watch_stable", "watch_every", "watch_queue"):
        if values[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} goes with --watch")
