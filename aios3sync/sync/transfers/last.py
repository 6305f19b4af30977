"""Holds the transfers of keys that are published last: they begin when all others have succeeded.

A web site whose ``index.html`` arrives before the files that it names is broken for a moment, and a dataset
whose index lists shards that failed is broken until the next run. Deletes come after all transfers anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from anyio.streams.memory import MemoryObjectReceiveStream

from aios3sync.core.filters import Rule, make_rules
from aios3sync.events import NotDone
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.stages import Stage, feeding

__all__ = ("last_rules", "last_stage")

_BATCH: Final = 256


def last_rules(patterns: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules of the keys that are published last; patterns are those of ``include``."""
    return make_rules([("include", pattern) for pattern in patterns])


async def last_stage(
    run: Run, rules: Sequence[Rule], stage: Stage, jobs: MemoryObjectReceiveStream[list[Any]]
) -> None:
    """Pass transfers on to a stage, those that match the rules last; ``jobs`` is closed at the end.

    Where another transfer has failed, or a file could not be read, the held transfers are cancelled: their
    keys stay as they were.
    """
    held: dict[str, Any] = {}
    async with jobs, feeding(stage) as sent:
        async for batch in jobs:
            rest = []
            for action in batch:
                key = action.source.key
                if not any(rule.matches(key) for rule in rules):
                    rest.append(action)
                    continue
                if key in held:  # it was decided again by a comparison that began anew
                    run.builder.plan(-1)
                held[key] = action
            run.recorder.held = len(held)
            if rest:
                await sent.send(rest)
        await run.recorder.settled(lambda: run.stop.signal)
        run.recorder.held = 0
        if reason := _reason_to_hold(run):
            run.recorder.add_all([NotDone(key, "cancelled", "upload", reason) for key in held])
            return
        actions = list(held.values())
        for start in range(0, len(actions), _BATCH):
            await sent.send(actions[start : start + _BATCH])


def _reason_to_hold(run: Run) -> str:
    """Return why the held transfers must not begin; empty where they may."""
    failed = run.recorder.failed_transfers + run.recorder.failed_reads
    if run.refusals.reason:
        return f"it comes last, and the others were given up: {run.refusals.reason}"
    return f"it comes last, and {failed} of the others failed" if failed else ""
