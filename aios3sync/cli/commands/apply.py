"""``aios3sync apply``: carries out a plan, as far as both sides have not changed since it was made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aios3sync._dataclass import replace
from aios3sync.cli.command import run_command
from aios3sync.cli.followed_index import followed_index
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    customer_keys,
    key_options,
    output,
    output_options,
    progress_options,
    source_connect_options,
    source_connection_options,
)
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.summary import conclude_apply
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.cli.values import DATABASE
from aios3sync.sync.plans.plan import Plan

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.report import SyncReport
    from aios3sync.session import Session

__all__ = ("apply_command",)


class _ApplyCommand(ProgramCommand):
    """Ignores a general setting of an index, as the plan may be one of a download."""

    explicit = frozenset({"index"})


@click.command(
    "apply",
    cls=_ApplyCommand,
    short_help="Do what 'sync --plan' has written down, if nothing has moved since.",
)
@click.argument("file", metavar="PLAN")
@click.option("--dry-run", is_flag=True, help="Print what would be done and what is refused; write nothing.")
@click.option("--index", type=DATABASE, metavar="URL", help="Keep this object index current, as sync does.")
@key_options
@source_connection_options
@connection_options
@output_options
@progress_options
def apply_command(file: str, dry_run: bool, index: str | None, **values: Any) -> int:
    """Do what PLAN says, a file of 'sync --plan', and nothing else.

    Both sides are compared again. An action whose file or object has changed since is refused: exit code 3,
    and nothing is deleted then, unless the plan was made with --delete-despite-errors.
    """
    shown, connection = output(values), connect_options(values)
    keys: dict[str, Any] = customer_keys(values)
    plan = Plan.load(file)

    async def work(session: Session, view: View, stop: Stop) -> SyncReport:
        payer = plan.options.request_payer
        async with followed_index(session, index, view, request_payer=payer) as opened:
            report = await session.apply(
                plan,
                on_event=view,
                stop=stop,
                index=opened.database,
                source_connect=source_connect_options(values, connection),
                dry_run=dry_run,
                **keys,
            )
            return replace(report, warnings=(*opened.warnings, *report.warnings))

    open_view = partial(
        choose_view,
        "apply",
        replace(shown, actions=not dry_run),  # those of a dry run come at the end, in the order of a plan
        partial(conclude_apply, plan=plan, verbose=shown.verbose),
        heading=f"{plan.source} -> {plan.target}",
        dry_run=dry_run,
    )
    return run_command(work, connection, open_view, orderly=True)
