"""Prints the lines of a plan, grouped by what would be lost: all in a pipe, with headings on a terminal.

If a terminal is too small they are shown in a pager, as git shows a log, or shortened without one.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.text import count, printable, size_text

if TYPE_CHECKING:
    from aios3sync.cli.output.lines import Lines
    from aios3sync.sync.plans.plan import Plan
    from aios3sync.sync.plans.planned import PlannedAction

__all__ = ("plan_lines", "show_plan")

_SHOWN: Final = 10
"""Lines of each group if not all of them fit and there is no pager."""
_AROUND: Final = 4
"""Lines of a terminal for the summary below a plan and the next prompt."""
_TRANSFERS: Final = ("upload", "download", "copy")


class PlanGroup(NamedTuple):
    """The actions of a plan with the same effect on their target.

    Attributes:
        action: as in the plan.
        replaces: whether they replace something.
        number, size: of the actions, and of their bytes.
    """

    action: str
    replaces: bool
    number: int
    size: int

    @property
    def title(self) -> str:
        """Their effect, in a word or two."""
        if self.replaces:
            return "overwrite"
        return {"delete": "delete", "update": "update headers"}.get(self.action, f"{self.action} new")

    def heading(self, direction: str) -> str:
        """Return the heading of their lines: ``would overwrite 250 objects (1.2 MB)``."""
        new = self.action in _TRANSFERS and not self.replaces
        noun = "object" if direction == "copy" or (direction == "up" and not new) else "file"
        verb = {"update headers": "update the headers of", "overwrite": "overwrite"}.get(
            self.title, self.action
        )
        return f"would {verb} {count(self.number, f'new {noun}' if new else noun)} ({size_text(self.size)})"

    def holds(self, planned: PlannedAction) -> bool:
        """Whether the action is of this group."""
        return planned.action == self.action and _replaces(planned) is self.replaces


def _replaces(planned: PlannedAction) -> bool:
    return planned.action in _TRANSFERS and planned.target is not None


def groups_of(plan: Plan) -> list[PlanGroup]:
    """Return the groups that are not empty; losses come first."""
    numbers, sizes = dict[tuple[str, bool], int](), dict[tuple[str, bool], int]()
    for planned in plan:
        kind = (planned.action, _replaces(planned))
        numbers[kind] = numbers.get(kind, 0) + 1
        sizes[kind] = sizes.get(kind, 0) + planned.size
    kinds = [("delete", False), *((name, True) for name in _TRANSFERS), ("update", False)]
    kinds += ((name, False) for name in _TRANSFERS)
    return [PlanGroup(*kind, numbers[kind], sizes[kind]) for kind in kinds if kind in numbers]


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a line for each action, group by group."""
    for group in groups_of(plan):
        yield from map(_line, filter(group.holds, plan))


def _line(planned: PlannedAction) -> str:
    return f"(dry run) would {planned.action}: {printable(planned.key)} ({planned.reason})"


def headed_lines(plan: Plan, most: int = 0) -> Iterator[str]:
    """Yield an overview where there are several groups, and each group below its heading.

    Args:
        plan: the plan.
        most: the most lines of a group that are shown; 0 for all.
    """
    groups = groups_of(plan)
    if len(groups) > 1:
        yield "(dry run) would"
        yield from _overview(groups)
        yield ""
    for group in groups:
        yield f"(dry run) {group.heading(plan.direction)}"
        shown = islice(filter(group.holds, plan), most or None)
        yield from (f"  {size_text(each.size):>9}  {printable(each.key)} ({each.reason})" for each in shown)
        if most and group.number > most:
            yield f"  ... and {group.number - most:,} more (-v lists them all)"
        yield ""


def _overview(groups: Iterable[PlanGroup]) -> Iterator[str]:
    rows = [(group.title, f"{group.number:,}", size_text(group.size)) for group in groups]
    title, number, size = (max(map(len, column)) for column in zip(*rows, strict=True))
    for row in rows:
        yield f"  {row[0]:<{title}}  {row[1]:>{number}}  {row[2]:>{size}}"


def show_plan(plan: Plan, out: Lines, *, verbose: bool = False) -> None:
    """Print a plan.

    Args:
        plan: the plan.
        out: standard output.
        verbose: show all lines on a terminal even without a pager.
    """
    if not sys.stdout.isatty() or len(plan) + _AROUND <= shutil.get_terminal_size().lines:
        _print(plan_lines(plan), out)
        return
    from aios3sync.cli.output.pager import page

    out.flush()
    if not page(f"{line}\n" for line in headed_lines(plan)):
        _print(headed_lines(plan, 0 if verbose else _SHOWN), out)


def _print(lines: Iterable[str], out: Lines) -> None:
    for line in lines:
        out.line(line)
