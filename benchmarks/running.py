"""Runs the cases under their conditions, each within its share of the budget."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks import machine
from benchmarks.cases import Case
from benchmarks.conditions import PLAIN, Condition, applicable
from benchmarks.contenders import Contender
from benchmarks.endpoints import Server
from benchmarks.record import CaseRow
from benchmarks.schedule import Budget
from benchmarks.trees import Tree, build_tree
from benchmarks.trial import Context, Trial

__all__ = ("Bench", "count_trials")


def count_trials(cases: Sequence[Case], conditions: Sequence[Condition]) -> int:
    """Return how many cases there are if each condition of a case counts."""
    return sum(len(applicable(case.scope, conditions)) for case in cases)


@dataclass(slots=True)
class Bench:
    """The runs on one endpoint.

    Attributes:
        servers: for each condition.
        patient: also measure contenders that take minutes for a case.
        saved: called after each case, so that an interruption loses one case at most.
    """

    context: Context
    servers: Mapping[Condition, Server]
    contenders: Sequence[Contender]
    budget: Budget
    patient: bool
    saved: Callable[[], None]

    def run_case(self, case: Case) -> None:
        """Run one case, under each of its conditions, with each contender that has a command for it."""
        conditions = applicable(case.scope, list(self.servers))
        able = [
            each
            for each in self.contenders
            if case.verb in each.commands and case.full_items >= each.min_items
        ]
        if not self.patient:
            able = self._without_slow(case, able)
        reason = _reason_to_skip(case, able)
        tree = Tree(self.context.place) if reason else build_tree(case.tree, self.context.place / "tree")
        try:
            if not reason:
                self.context.settle()
            for number, condition in enumerate(conditions):
                share_s = self.budget.share()
                skipped = reason or ("" if share_s else "the time budget was used up")
                row = CaseRow(
                    case.name,
                    case.title,
                    case.verb,
                    case.items,
                    tree.total,
                    case.changed,
                    skipped,
                    condition.label,
                )
                self.context.record.cases.append(row)
                self.context.say(
                    f"{case.title} ({condition.label}):" + (f" skipped, {skipped}" if skipped else "")
                )
                if not skipped:
                    generation = number * self.context.runs
                    chosen = [each for each in able if condition == PLAIN or not each.once]
                    server = self.servers[condition]
                    self._run(Trial(self.context, case, condition, server, tree, chosen, share_s, generation))
        finally:
            shutil.rmtree(self.context.place / "tree", ignore_errors=True)

    def _run(self, trial: Trial) -> None:
        try:
            trial.run()
        except (RuntimeError, OSError, BotoCoreError, ClientError) as error:
            # The endpoint failed, not a contender: the other cases may still be possible.
            problem = self.context.public(str(error))
            note = f"{trial.case.name} ({trial.condition.label}) ended early: {problem}"
            self.context.record.notes.append(note)
            self.context.say(f"  {note}")
        finally:
            for name in ("homes", "down"):
                shutil.rmtree(self.context.place / name, ignore_errors=True)
            trial.server.rest()
            self.saved()

    def _without_slow(self, case: Case, able: Sequence[Contender]) -> list[Contender]:
        slow = [each.name for each in able if each.max_items and case.items > each.max_items]
        if slow:
            self.context.record.notes.append(
                f"{case.name} without {', '.join(slow)}: --patient measures them as well"
            )
        return [each for each in able if each.name not in slow]


def _reason_to_skip(case: Case, able: Sequence[Contender]) -> str:
    free = machine.free_memory()
    if free < case.memory:
        return f"needs {case.memory >> 20:,} MiB of memory, {free >> 20:,} were free"
    return "" if able else "no chosen contender can do it"
