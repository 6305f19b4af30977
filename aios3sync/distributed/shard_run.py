"""The steps of one shard: survey, compare and transfer, delete, finish. Each can be repeated on any node.

A shard is a request with a range of keys, and a manifest of its own. :func:`compare_shard` deletes nothing:
the deletes are held in a file until the guards have accepted the sum of all shards
(:mod:`~aios3sync.distributed.guards`). A step that is repeated finds what was done in its manifest, or by the
listing.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.keys import stored_form
from aios3sync.core.lookalikes import UndecodableNames
from aios3sync.core.safety import PlanFacts, Unfinished
from aios3sync.core.text import escape_undecodable
from aios3sync.distributed.held_file import HeldFileReader, HeldFileWriter, HeldSummary
from aios3sync.distributed.results import MOST_LOOKALIKES, ShardFacts, ShardResult, SourceSurvey
from aios3sync.errors import SourceError
from aios3sync.report import SyncReport
from aios3sync.sync.delete_run import HeldPages, run_deletes
from aios3sync.sync.execution import execute
from aios3sync.sync.opened_tree import make_directories, markers_of, sweep_stale
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import assembled, run_sync
from aios3sync.sync.tree import TreeTarget

if TYPE_CHECKING:
    from aios3sync.sync.deferred import DeferredAction
    from aios3sync.sync.deletes import DeleteStage
    from aios3sync.sync.pipeline import Pipeline

__all__ = ("compare_shard", "delete_shard", "finish_shard", "survey_shard")


async def survey_shard(request: SyncRequest, resources: Resources) -> SourceSurvey:
    """Count how many recorded files still exist, where the tree may be a different one than before.

    Nothing is written. The sum of all shards decides whether anything may be transferred: see
    :func:`~aios3sync.distributed.guards.swapped_tree`.

    Raises:
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
    """
    request = replace(request, options=replace(request.options, dry_run=True))
    async with assembled(request, resources) as run:
        recorded, found = await run.pipeline.survey()
        return SourceSurvey(recorded=recorded, found=found)


async def compare_shard(
    request: SyncRequest, resources: Resources, held: str, run: str = "", before: int = 0
) -> ShardResult:
    """Compare a shard and carry out its transfers; delete nothing.

    Args:
        request: the sync with the range of the shard, and the path of the shard's own manifest.
        resources: what the session provides.
        held: a path that the deletes are written to, in a directory that exists. The file exists once this
            has returned complete facts.
        run: names the run of the whole, whose earlier attempts may have recorded counts in the manifest,
            which are kept; empty where there is none.
        before: the number of the last run before it.

    Raises:
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
        ManifestError: the file cannot be written.
    """
    part = _Part(request, HeldFileWriter(held, request), run, before)
    try:
        report = await run_sync(request, replace(resources, part=part))
        if part.summary is not None:
            await to_thread.run_sync(part.writer.finish, part.summary)
    finally:
        await to_thread.run_sync(part.writer.drop)
    return ShardResult(report=report, facts=part.facts)


class _Part:
    """Takes the deletes and the facts of the run of a shard.

    Attributes:
        facts: incomplete until the run has ended.
        summary: of the deletes; ``None`` unless both sides were seen to their ends.
    """

    def __init__(self, request: SyncRequest, writer: HeldFileWriter, run: str, before: int) -> None:
        self.writer = writer
        self.run = run
        self.before = before
        self.facts = ShardFacts(plan=PlanFacts(0, 0, 0, False, False), unfinished=Unfinished())
        self.summary: HeldSummary | None = None
        self._request = request

    async def hold(self, stage: DeleteStage, planned: int) -> None:
        """Write the deletes to the file; see :class:`~aios3sync.sync.request.RunPart`."""
        await to_thread.run_sync(self.writer.begin)
        held = 0
        async for page in stage.deferred.pages("delete"):
            due = await stage.due(page)
            await to_thread.run_sync(self.writer.add, due)
            held += len(due)
        unreadable = stage.unreadable
        names = [*islice(unreadable.undecodable, MOST_LOOKALIKES + 1)]
        names += await stage.deferred.names(MOST_LOOKALIKES + 1 - len(names))
        self.facts = ShardFacts(
            plan=replace(stage.facts(planned), deletes=held),
            unfinished=_bounded(stage.unfinished()),
            explained=frozenset(islice(unreadable.explained, MOST_LOOKALIKES)),
            lookalikes=frozenset(names[:MOST_LOOKALIKES]),
            lookalikes_missing=len(names) > MOST_LOOKALIKES,
        )

    def ended(self, pipeline: Pipeline, *, headers_unknown: bool) -> None:
        """Add the facts that are known at the end."""
        if not pipeline.complete:
            return
        run, target = pipeline.run, pipeline.run.target
        walk = target.last_walk if isinstance(target, TreeTarget) else None
        self.summary = HeldSummary(
            known_since=pipeline.known_since,
            root=run.files.identity,
            markers=markers_of(run, pipeline.listed_source),
            temporaries=() if walk is None else walk.temporaries,
        )
        check = run.inventory_check
        self.facts = replace(
            self.facts,
            changed_since_inventory=check.changed if check is not None else 0,
            inventory_created=check.created if check is not None else 0.0,
            unmatched_filters=tuple(map(str, pipeline.filters.unmatched)),
            unmatched_headers=() if headers_unknown else tuple(pipeline.unmatched_headers()),
            scope=pipeline.filter_scope,
            listed_at=pipeline.known_since,
            to_finish=bool(self.summary.markers or self.summary.temporaries),
        )


def _bounded(unfinished: Unfinished) -> Unfinished:
    """Return the facts with a bounded number of places; further ones count as unreadable files."""
    more = len(unfinished.places) - MOST_LOOKALIKES
    if more <= 0:
        return unfinished
    places = frozenset(sorted(unfinished.places)[:MOST_LOOKALIKES])
    return replace(unfinished, places=places, failed_reads=unfinished.failed_reads + more)


async def delete_shard(
    request: SyncRequest, resources: Resources, held: str, lookalikes: frozenset[str] = frozenset()
) -> SyncReport:
    """Carry out the held deletes of a shard, of objects that have not changed; the guards have accepted all.

    Args:
        request: as for :func:`compare_shard`.
        resources: what the session provides.
        held: the file that was written.
        lookalikes: names of the source that another shard has found, see
            :func:`~aios3sync.distributed.guards.lookalikes_of`.

    Raises:
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
        ManifestError: the file is incomplete, or is of another shard.
        SourceError: another directory has replaced the one that was compared.
    """
    reader = HeldFileReader(held, request)
    summary = await reader.summary()
    await _check_root(request, summary)

    undecodable = UndecodableNames()
    for name in lookalikes:
        if escape_undecodable(name) != name:
            undecodable.add(name)

    def stays(page: list[DeferredAction]) -> set[str]:
        keys = (action.key for action in page)
        return {key for key in keys if stored_form(key) in lookalikes or undecodable.covers(key)}

    return await run_deletes(request, resources, HeldPages(reader.pages, summary.known_since, stays))


async def _check_root(request: SyncRequest, summary: HeldSummary) -> None:
    """Check that the directory is the one that was compared, as far as this machine can know."""
    tree = request.tree()
    await tree.check(may_be_absent=request.direction == "down")
    before, now = summary.root, tree.identity
    if before and now and before[0] == now[0] and before[1] != now[1]:
        raise SourceError(f"another directory took the place of {tree.root!r} after it was compared")


async def finish_shard(request: SyncRequest, resources: Resources, held: str) -> SyncReport:
    """Make the directories of a download's keys that end in ``/``; remove unfinished files of earlier runs.

    Call it when all shards have deleted: deletes remove directories that have become empty.

    Raises:
        AioS3SyncError: as :func:`delete_shard`.
    """
    began = time.monotonic()
    summary = await HeldFileReader(held, request).summary()
    async with assembled(request, resources) as run:
        pipeline = run.pipeline

        async def phases() -> None:
            if request.direction == "down" and not request.options.dry_run:
                await pipeline.open_tree()
                await make_directories(pipeline.run, summary.markers)
                await sweep_stale(pipeline.run, summary.temporaries)

        async def remember() -> None:
            """Leave the state as it is."""

        await execute(pipeline.run, phases, remember)
        return run.report(began)
