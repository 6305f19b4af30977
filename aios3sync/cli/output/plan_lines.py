"""The lines of a plan, grouped by action, deletes first; shown in a pager where a terminal is too small."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aios3sync.core.text import printable
from aios3sync.sync.plans.planned import ACTIONS

if TYPE_CHECKING:
    from aios3sync.cli.output.lines import Lines
    from aios3sync.sync.plans.plan import Plan

__all__ = ("plan_lines", "show_plan")


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a line for each action; what would be lost comes first."""
    for action in ACTIONS:
        if plan.counts[action]:
            for planned in plan.of(action):
                yield f"(dry run) would {action}: {printable(planned.key)} ({planned.reason})"


def show_plan(plan: Plan, out: Lines) -> None:
    """Print the lines of a plan, through the pager of the user where a terminal cannot hold them."""
    if sys.stdout.isatty() and len(plan) + 2 > shutil.get_terminal_size().lines and _has_pager():
        import click

        out.flush()
        click.echo_via_pager(f"{line}\n" for line in plan_lines(plan))
        return
    for line in plan_lines(plan):
        out.line(line)


def _has_pager() -> bool:
    return os.environ.get("TERM", "dumb") != "dumb"
