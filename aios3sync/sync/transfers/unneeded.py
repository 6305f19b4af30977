"""Aborts multipart uploads that a killed run has begun and that are no longer needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync.sync.policy import hides_a_part
from aios3sync.sync.transfers.aborts import abort_upload

if TYPE_CHECKING:
    from aios3sync.sync.run import Run

__all__ = ("abort_unneeded",)


async def abort_unneeded(run: Run) -> None:
    """Abort uploads of killed runs that this run, whose transfers have ended, did not continue."""
    if _knows_what_is_needed(run):
        for upload in await run.unfinished.left():
            store = await run.resources.open_store()
            await abort_upload(store, upload, run.unfinished, run.builder.warn)
    await run.unfinished.tidy()


def _knows_what_is_needed(run: Run) -> bool:
    """Whether the run has seen every key, or all of its range, and was not stopped."""
    planned = run.resources.gate is not None
    return not (planned or run.sends_no_more or run.options.source_listing or hides_a_part(run.options))
