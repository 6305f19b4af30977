"""The gates of plans, between the decisions and the actions of a run: one writes a plan, one checks it.

A run without a plan has no gate. :class:`PlanWriter` writes the actions of a dry run into a plan;
:class:`PlanCheck` admits only actions that a plan names, exactly as it names them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from aios3sync.core.text import count
from aios3sync.errors import UsageError
from aios3sync.events import Kept, NotDone
from aios3sync.local.scratch import ScratchDatabase
from aios3sync.sync.deferred import DeferredAction
from aios3sync.sync.plans.plan import Plan
from aios3sync.sync.plans.planned import PlannedAction, difference, planned_action, planned_delete
from aios3sync.sync.resources import ActionGate
from aios3sync.sync.transfers.stages import Stage, feeding

if TYPE_CHECKING:
    from aios3sync.sync.run import Run

__all__ = ("PlanCheck", "PlanWriter", "gated_stage")

_PAGE: Final = 1000
_SCHEMA: Final = "CREATE TABLE lines (key TEXT PRIMARY KEY, number INTEGER, line BLOB) WITHOUT ROWID;"
_ADD: Final = "INSERT INTO lines VALUES (?, ?, ?)"
_FIND: Final = "SELECT number, line FROM lines WHERE key IN ({})"
_UNSEEN, _ADMITTED, _REFUSED = range(3)


async def gated_stage(
    run: Run, gate: ActionGate, stage: Stage, jobs: MemoryObjectReceiveStream[list[Any]]
) -> None:
    """Run a stage with the actions that a gate admits; ``jobs`` is closed at the end."""
    async with jobs, feeding(stage) as admitted:
        async for batch in jobs:
            if going_on := await gate.admit(run, batch):
                await admitted.send(going_on)


class PlanWriter:
    """Writes the actions of a dry run into a plan.

    Args:
        plan: takes them.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.refused = 0

    async def admit(self, run: Run, actions: list[Any]) -> list[Any]:  # noqa: ARG002 - see ActionGate
        """Write the actions to the plan, and return all of them, to be counted."""
        await to_thread.run_sync(self._plan.add, list(map(planned_action, actions)))
        return actions

    def stays(self, page: Sequence[DeferredAction]) -> set[str]:  # noqa: ARG002 - see ActionGate
        """Return no key: withheld deletes are known later."""
        return set()

    async def preview(self, page: Sequence[DeferredAction]) -> None:
        """Write the deletes to the plan."""
        await to_thread.run_sync(self._plan.add, list(map(_planned_delete, page)))

    async def restart(self) -> None:
        """Drop all written actions: they are decided again."""
        await to_thread.run_sync(self._plan.clear)

    async def end(self, run: Run, *, deletes: bool) -> None:
        """Do nothing more."""


class PlanCheck:
    """Admits the actions that a plan names, exactly as it names them; others are not carried out.

    A planned action that would be decided differently now is refused and reported, unless its effect exists
    already, as after a plan was applied in part.

    Args:
        plan: the plan.
        due: for a dry run, takes the actions that would be carried out.

    Attributes:
        refused: actions of the plan that were refused so far.
    """

    def __init__(self, plan: Plan, due: Plan | None = None) -> None:
        self._plan = plan
        self._due = due
        self._lines = ScratchDatabase(_SCHEMA)
        self._states = bytearray(len(plan))
        self._refused_deletes: list[tuple[str, str]] = []
        self._left_alone = 0
        self._stat_fields = plan.options.stat_fields
        self.refused = 0

    async def open(self) -> None:
        """Read the plan; call it before the run.

        Raises:
            UsageError: the plan names a key twice.
            TemporarySpaceError: there is no space for its index.
        """
        await self._lines.transact(self._read)

    async def close(self) -> None:
        """Drop the index of the plan."""
        await self._lines.close()

    def _read(self, connection: sqlite3.Connection) -> None:
        rows = (
            (planned.key, number, json.dumps(planned).encode()) for number, planned in enumerate(self._plan)
        )
        for row in rows:
            try:
                connection.execute(_ADD, row)
            except sqlite3.IntegrityError:
                raise UsageError(f"the plan names {row[0]!r} twice; make it again") from None

    async def admit(self, run: Run, actions: list[Any]) -> list[Any]:
        """Return the actions that the plan names; others are not carried out."""
        found = await to_thread.run_sync(self._find, [action.source.key for action in actions])
        admitted: list[Any] = []
        left: list[Any] = []
        for action in actions:
            key = action.source.key
            text = self._judge(found.get(key), planned_action(action))
            if text is None:
                left.append(action)
                run.recorder.add(Kept(key))
            elif text:
                self._report(run, key, text)
            else:
                admitted.append(action)
        if left:
            self._left_alone += len(left)
            run.recorder.uncertain += len(left)
            run.events(run.direction.planned(-len(left), -sum(action.source.size for action in left)))
        if self._due is not None:
            await to_thread.run_sync(self._due.add, list(map(planned_action, admitted)))
        return admitted

    def _find(self, keys: Sequence[str]) -> dict[str, tuple[int, PlannedAction]]:
        found = {}
        for number, line in self._lines.select_named(_FIND, keys):
            planned = PlannedAction(*json.loads(line))
            found[planned.key] = number, planned
        return found

    def _judge(self, found: tuple[int, PlannedAction] | None, now: PlannedAction) -> str | None:
        """Return why an action is refused; empty if it is not refused, ``None`` if it is not planned."""
        if found is None:
            return None
        number, planned = found
        text = difference(planned, now, self._stat_fields)
        self._states[number] = _REFUSED if text else _ADMITTED
        return text

    def _report(self, run: Run, key: str, text: str) -> None:
        self.refused += 1
        run.recorder.add(NotDone(key, "conflicts", "plan", text, uncertain=True))

    def stays(self, page: Sequence[DeferredAction]) -> set[str]:
        """Return the keys whose deletes the plan does not name, or names differently. Blocks."""
        found = self._find([action.key for action in page])
        stays = set()
        for action in page:
            text = self._judge(found.get(action.key), _planned_delete(action))
            if text == "":
                continue
            stays.add(action.key)
            if text is None:
                self._left_alone += 1
            else:
                self._refused_deletes.append((action.key, text))
        return stays

    async def preview(self, page: Sequence[DeferredAction]) -> None:
        """Collect the deletes that are due."""
        if self._due is not None:
            await to_thread.run_sync(self._due.add, list(map(_planned_delete, page)))

    async def restart(self) -> None:
        """Keep the states of what was done; in a dry run drop the actions, as they are decided again."""
        if self._due is not None:
            await to_thread.run_sync(self._due.clear)

    async def end(self, run: Run, *, deletes: bool) -> None:
        """Refuse planned actions that were not decided at all, unless their effect exists already."""
        if deletes:
            for key, text in self._refused_deletes:
                run.builder.plan()
                self._report(run, key, text)
        actions = iter(self._plan)
        for start in range(0, len(self._states), _PAGE):
            page = await to_thread.run_sync(list, islice(actions, _PAGE))
            for number, planned in enumerate(page, start):
                unseen = self._states[number] == _UNSEEN and (planned.action == "delete") == deletes
                if unseen and (text := await self._why_unseen(run, planned)):
                    run.builder.plan()
                    self._report(run, planned.key, text)
            await run.recorder.catch_up()
        if deletes and self._left_alone:
            left = count(self._left_alone, "change")
            verb = "was" if self._left_alone == 1 else "were"
            run.builder.warn(f"{left} that the plan does not name {verb} left alone")

    async def _why_unseen(self, run: Run, planned: PlannedAction) -> str:
        """Return why an action is refused that is no longer due; empty if it is done already."""
        entry = await run.source.entry(planned.key)
        if planned.action == "delete":
            return "" if isinstance(entry, str) else "the source has it again"
        if isinstance(entry, str):
            return f"the source has it no more: {entry}"
        return ""


def _planned_delete(action: DeferredAction) -> PlannedAction:
    key, _, etag, size, _, reason, stat = action
    return planned_delete(key, size, reason, etag, stat)
