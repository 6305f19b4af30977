"""Execute the phases of a run, and the task that records their outcomes; conclude it however it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from aios3sync import events
from aios3sync.sync.run import Run

__all__ = ("execute",)

_GRACE: Final = 4.0
"""Seconds that requests in flight get to end after a stop was requested."""
_REPEATS_S: Final = 0.5
"""Seconds between two events about repeated requests."""


async def execute(
    run: Run, phases: Callable[[], Awaitable[None]], remember: Callable[[], Awaitable[None]]
) -> None:
    """Run all phases; a requested stop ends them early but orderly.

    Args:
        run: whose outcomes are recorded meanwhile.
        phases: the work.
        remember: saves the state for the next run, once all outcomes are recorded.

    Raises:
        AioS3SyncError: the run failed as a whole (perhaps inside an exception group). What was done until
            then is recorded.
    """
    try:
        async with anyio.create_task_group() as background:
            background.start_soon(run.recorder.run)
            if run.resources.counts is not None:
                background.start_soon(_report_repeats, run)
            with anyio.CancelScope() as work:
                background.start_soon(_cancel_after_grace, run, work)
                await phases()
            background.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _conclude(run, remember)


async def _conclude(run: Run, remember: Callable[[], Awaitable[None]]) -> None:
    """Record what has ended and release the tree, however the run ended."""
    try:
        with anyio.move_on_after(2 * _GRACE):
            await run.recorder.flush()
            run.builder.cancel_pending()
            await remember()
    finally:
        run.builder.cancel_pending()  # where recording took too long: each item has a state
        if run.tree_writer is not None:
            run.tree_writer.close()


async def _cancel_after_grace(run: Run, work: anyio.CancelScope) -> None:
    await run.stop.wait()
    await anyio.sleep(_GRACE)
    work.cancel()


async def _report_repeats(run: Run) -> None:
    """Send an event about repeated requests at intervals; there may be thousands in a second."""
    counts = run.resources.counts
    retries, throttled, codes = counts.retries, counts.throttled, counts.retry_codes.copy()
    while True:
        try:
            await anyio.sleep(_REPEATS_S)
        finally:  # also when the run ends: the events add up to its report
            if counts.retries != retries:
                repeated = (counts.retries - retries, counts.throttled - throttled)
                run.events(events.RequestsRepeated(*repeated, dict(counts.retry_codes - codes)))
                retries, throttled, codes = counts.retries, counts.throttled, counts.retry_codes.copy()
