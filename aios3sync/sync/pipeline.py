"""The phases of a sync: walk, compare and transfer concurrently, then delete, then save the state.

The pipeline owns the tasks of a run and the order of its phases; each phase has a module of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync import events
from aios3sync._dataclass import dataclass, field, replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import CORES
from aios3sync.core.actions import CompareDigest, UpdateHeaders
from aios3sync.core.entries import RecordedEntry, SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.core.merge import BatchJoin
from aios3sync.core.safety import Refusal, swapped
from aios3sync.errors import AccessDeniedError, OutOfOrderError
from aios3sync.manifest.protocol import Manifest, ManifestState
from aios3sync.sync.compare import compare_worker
from aios3sync.sync.deferred import DeferredDeletes
from aios3sync.sync.deletes import DeleteSender, DeleteStage
from aios3sync.sync.detector import Detector, ListingNeededError
from aios3sync.sync.directions import COPY, UP
from aios3sync.sync.execution import execute
from aios3sync.sync.manifest_diff import DiffStep, ManifestDiff
from aios3sync.sync.prefetch import Producer, prefetched, pump
from aios3sync.sync.run import Run
from aios3sync.sync.sides import SourceWalk
from aios3sync.sync.transfers.header_updates import preview_updates, update_stage
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.stages import Stage
from aios3sync.sync.transfers.uploads import preview_stage, upload_stage

if TYPE_CHECKING:
    from aios3sync.sync.download_gate import DownloadGate
    from aios3sync.sync.resources import RunPart

__all__ = ("Pipeline",)

_COMPARERS: Final = min(4, max(2, CORES))
"""Groups of files that are hashed at once: large ones on all cores; each may hold some MiB of buffers."""
_PAGE: Final = 1000
_LOG: Final = logging.getLogger(__name__)
_NOT_IN_STEP: Final = ("conflicts", "withheld", "failed", "vanished", "archived", "restoring")
"""States of a download after which a row may describe an object that is gone or was replaced."""

T = TypeVar("T")


class _Outlets(NamedTuple):
    """Where a comparison sends what it decides."""

    transfers: MemoryObjectSendStream[list[Any]]
    compares: MemoryObjectSendStream[list[CompareDigest]]
    updates: MemoryObjectSendStream[list[UpdateHeaders]]


@dataclass(slots=True)
class Pipeline:
    """One sync, from its first look at the source to the saved manifest.

    Args:
        run: what the stages share.
        manifest: the local state, bound to this pair.
        state: the manifest's state as the run found it.
        filters: what is visible.
        headers: what uploads send.
        listed: whether the target is listed from the start.
        scope: a digest of what hides a part of the source; empty where all of it is visible.
        filter_scope: the same for the filters alone, whatever the range of keys.

    Attributes:
        refused: the guard that refused, if any.
        known_since: since when the rows are known to be what the bucket holds, except for held deletes; 0
            where they are not.
    """

    run: Run
    manifest: Manifest
    state: ManifestState
    filters: Filters
    headers: HeaderPlan
    listed: bool
    scope: str = ""
    filter_scope: str = ""
    refused: Refusal | None = None
    known_since: float = 0.0
    _deferred: DeferredDeletes = field(default_factory=DeferredDeletes)
    _detector: Detector | None = None
    _walks: list[SourceWalk[SourceEntry]] = field(default_factory=list)
    _mounts: set[str] = field(default_factory=set)
    _listing_began: float = 0.0
    _listed: SourceWalk[Any] | None = None
    _refused_listing: bool = False
    _held: int = 0

    async def execute(self) -> None:
        """Run all phases; a requested stop ends them early but orderly.

        Raises:
            AioS3SyncError: the run failed as a whole (perhaps inside an exception group). What was uploaded
                until then is recorded.
        """
        try:
            await execute(self.run, self._phases, self._remember)
        finally:
            with anyio.CancelScope(shield=True):
                await self._deferred.close()

    @property
    def complete(self) -> bool:
        """Whether both sides were seen to their ends."""
        return self._detector is not None and self._detector.complete and not self.run.stop.signal

    def unmatched_headers(self) -> list[str]:
        """Return the rules for headers that matched no key, if all keys were compared with them."""
        if not self.complete or self.run.policy.headers is None:
            return []
        return [str(rule) for rule in self.headers.unmatched_rules()]

    async def _phases(self) -> None:
        self.run.events(events.PhaseBegan("compare"))
        if await self._source_is_swapped():
            return
        await self.open_tree()
        await self._compare_and_transfer()
        if not self.run.stop.signal:
            await self.run.recorder.flush()
            await self._end_gate(deletes=False)
            await self._delete()
            await self._end_gate(deletes=True)
            await self._finish_tree()

    async def _end_gate(self, *, deletes: bool) -> None:
        gate, run = self.run.resources.gate, self.run
        if gate is not None and self.complete:
            await gate.end(run, deletes=deletes)
            await run.recorder.flush()

    @property
    def listed_source(self) -> SourceWalk[Any] | None:
        """The pass over the source of a download."""
        return self._listed

    @property
    def part(self) -> RunPart | None:
        """What takes the results of a run of one key range; ``None`` for a run of its own."""
        return self.run.resources.part

    # The directory that a download fills.

    async def open_tree(self) -> None:
        """Open the directory of a download for writing."""
        if self.run.direction.lists_source and not self.run.options.dry_run:
            from aios3sync.sync.opened_tree import open_tree

            await open_tree(self.run)

    async def _finish_tree(self) -> None:
        if self.part is not None:
            return
        if self.run.tree_writer is not None and self._listed is not None and self.complete:
            from aios3sync.sync.opened_tree import finish_tree

            await finish_tree(self.run, self._listed)

    # Walk, compare, transfer: all at once, in batches.

    async def _compare_and_transfer(self) -> None:
        transfers_in, transfers_out = anyio.create_memory_object_stream[list[Any]](4)
        compares_in, compares_out = anyio.create_memory_object_stream[list[CompareDigest]](4)
        updates_in, updates_out = anyio.create_memory_object_stream[list[UpdateHeaders]](4)
        run = self.run
        async with anyio.create_task_group() as stages:
            with transfers_in, compares_in, compares_out, updates_in:
                stages.start_soon(
                    self._gated(self._with_last(self._noted(self._transfer_stage()))), transfers_out
                )
                stages.start_soon(self._gated(self._update_stage(transfers_in.clone())), updates_out)
                for _ in range(_COMPARERS):
                    stages.start_soon(
                        compare_worker, run, compares_out.clone(), transfers_in.clone(), updates_in.clone()
                    )
                await self._compare_until_certain(_Outlets(transfers_in, compares_in, updates_in))

    def _gated(self, stage: Stage) -> Stage:
        gate = self.run.resources.gate
        if gate is None:
            return stage
        from aios3sync.sync.plans.gate import gated_stage

        return partial(gated_stage, self.run, gate, stage)

    def _with_last(self, stage: Stage) -> Stage:
        patterns = self.run.options.last
        if not patterns or self.run.options.dry_run:
            return stage
        from aios3sync.sync.transfers.last import last_rules, last_stage

        return partial(last_stage, self.run, last_rules(patterns), stage)

    def _noted(self, stage: Stage) -> Stage:
        if self.run.progress is None:
            return stage
        from aios3sync.sync.part_progress import noted_stage

        return partial(noted_stage, self.run.progress, stage)

    def _update_stage(self, transfers: MemoryObjectSendStream[list[Any]]) -> Stage:
        update = preview_updates if self.run.options.dry_run else update_stage

        async def stage(jobs: MemoryObjectReceiveStream[list[UpdateHeaders]]) -> None:
            await update(self.run, self.headers, jobs, transfers)

        return stage

    def _transfer_stage(self) -> Stage:
        run, dry = self.run, self.run.options.dry_run
        if self._is_up:
            upload = partial(preview_stage if dry else upload_stage, run, self.headers)
            if run.renames is None or dry:
                return upload
            from aios3sync.sync.transfers.renamed import renamed_stage

            return partial(renamed_stage, run, self.headers, run.renames, upload)
        if run.direction.name == COPY:
            from aios3sync.sync.transfers.copies import copy_stage, preview_copies

            return partial(preview_copies if dry else copy_stage, run, self.headers)
        from aios3sync.sync.transfers.downloads import download_stage, preview_downloads

        return partial(preview_downloads if dry else download_stage, run)

    async def _compare_until_certain(self, outlets: _Outlets) -> None:
        """Compare, and compare again with a listing, or with a sorted one, where that proves necessary."""
        while True:
            again = await self._compare(outlets)
            if self.run.stop.signal:
                return
            if again is None and not self.listed and not self._unlistable:
                await self._settled()
                again = ListingNeededError() if self.run.target_changed else None
            if again is None or not await self._settled():
                return
            await self._deferred.clear()
            if self.run.resources.gate is not None:
                await self.run.resources.gate.restart()
            _LOG.info("the comparison begins again, with a listing: %s", again)
            self.run.recorder.begin_comparison()
            self.run.events(events.PhaseBegan("compare"))
            self.listed = not isinstance(again, AccessDeniedError)
            if not self.listed:
                self._go_on_unlisted(again)
            if isinstance(again, OutOfOrderError):
                self.run.listing.saw_disorder()

    @property
    def _unlistable(self) -> bool:
        """Whether the target must not or cannot be listed."""
        return self.run.options.no_list or self._refused_listing

    def _go_on_unlisted(self, error: Exception) -> None:
        """Continue with the manifest alone after a refused listing, where no delete depends on it.

        Raises:
            AccessDeniedError: the run depends on the listing.
        """
        options = self.run.options
        if not self.state.last_sync or options.delete != "off" or options.check != "auto":
            raise error
        self._refused_listing = True
        self.run.builder.warn(f"the target was compared with the manifest alone: {error}")

    async def _settled(self) -> bool:
        """Wait until all planned items have ended; return False if a stop was requested."""
        await self.run.recorder.settled(lambda: self.run.stop.signal)
        return not self.run.stop.signal

    async def _compare(self, outlets: _Outlets) -> Exception | None:
        """Compare once; return the error that makes another comparison necessary, or ``None``."""
        if self.run.renames is not None:
            self.run.renames.restart()
        self._detector = detector = Detector(self.run, self._deferred, *outlets, self._gate())
        try:
            if self.listed or not self.run.policy.stat_decides or self._needs_rows:
                await self._compare_streams(detector)
            else:
                await self._compare_unlisted(detector)
        except ListingNeededError as error:
            return error
        except OutOfOrderError as error:
            if error.stream in self._listed_streams:
                return error
            raise
        except BaseExceptionGroup as group:
            # The listing raises it in a task of its own.
            if self._is_up and (refusal := _refused_listing(group)) is not None:
                return refusal
            if group.split(OutOfOrderError)[1] is not None:
                raise
            return OutOfOrderError(self._listed_streams[0], "", "")
        return None

    @property
    def _needs_rows(self) -> bool:
        """Whether rows are needed and not only their stats: for a receipt, or where rows are of this run.

        An earlier attempt has counted those already.
        """
        run = self.run
        return run.receipt is not None or (run.progress is not None and run.progress.continued)

    @property
    def _is_up(self) -> bool:
        return self.run.direction.name == UP

    @property
    def _listed_streams(self) -> Sequence[str]:
        """The streams whose order depends on the endpoint."""
        if self.run.direction.name == COPY:
            return "source", "target"
        return ("source",) if self.run.direction.lists_source else ("target",)

    def _gate(self) -> DownloadGate | None:
        if not self.run.direction.lists_source:
            return None
        from aios3sync.sync.download_gate import DownloadGate

        return DownloadGate(self.run)

    @property
    def _visible(self) -> Callable[[str], bool] | None:
        everything = self.filters.static_is_trivial or self.run.options.delete_excluded
        return None if everything else self.filters.visible_by_rules

    async def _compare_unlisted(self, detector: Detector) -> None:
        walk = self.run.files.walk(self.filters, self.run.location.prefix, self._known_mounts)
        self._walks.append(walk)
        asked = self.run.policy.headers
        satisfied_by = None if asked is None else asked.satisfied_by
        agreement = ManifestDiff(walk.batches(), self.manifest, satisfied_by)
        await detector.compare_unlisted(_steps(agreement), self._visible)

    async def _compare_streams(self, detector: Detector) -> None:
        walk = self._new_walk()
        self._walks.append(walk)
        first: Producer = walk.send_batches
        last: Producer | None = self._list_target if self.listed else None
        if self.run.direction.name == COPY:
            first = self._list_copied
        elif self.run.direction.lists_source:
            first, last = self._list_source, walk.send_batches
        if self.run.receipt is not None:
            first = self.run.receipt.noting(first)
        again: Exception | None = None
        async with anyio.create_task_group() as producers:
            with (
                prefetched(producers, first) as source,
                prefetched(producers, partial(pump, _rows(self.manifest))) as recorded,
                nullcontext() if last is None else prefetched(producers, last) as target,
            ):
                try:
                    await detector.compare(source, recorded, target, self._visible)
                except (ListingNeededError, OutOfOrderError) as error:
                    again = error  # raised outside, where no task group wraps it
                producers.cancel_scope.cancel()
        if again is not None:
            raise again

    async def _list_target(self, out: MemoryObjectSendStream[Any]) -> None:
        await self.run.target.open()
        self._listing_began = time.time()
        await self.run.target.send_entries(out)

    async def _list_copied(self, out: MemoryObjectSendStream[Any]) -> None:
        await self.run.source.walk(self.filters, "").send_batches(out)

    async def _list_source(self, out: MemoryObjectSendStream[Any]) -> None:
        self._listing_began = time.time()
        self._listed = self.run.source.walk(self.filters, self.run.location.prefix)
        await self._listed.send_batches(out)

    @property
    def _known_mounts(self) -> frozenset[str]:
        return frozenset(self.state.mounts).union(*(walk.mounts for walk in self._walks))

    def _new_walk(self) -> SourceWalk[SourceEntry]:
        return self.run.walked.walk(self.filters, self.run.location.prefix, self._known_mounts)

    # The guards, and the deletes that they permit.

    async def _source_is_swapped(self) -> bool:
        """Whether another tree has replaced the recorded one; checked before the first transfer (P3).

        A download that deletes nothing may fill an empty tree again.
        """
        recorded, found = (0, 0) if self.part is not None else await self.survey()
        self.refused = swapped(recorded, found, uploads=self._is_up)
        return self.refused is not None

    async def survey(self) -> tuple[int, int]:
        """Return how many files are recorded, and how many of them are there with their recorded size.

        They are not counted where the tree is known to be the same as before.
        """
        harmless = not self._is_up and self.run.options.delete == "off"
        if harmless or not self.run.files.may_be_swapped(self.state.device):
            return 0, 0
        join = BatchJoin("tree", "manifest")
        found = recorded = 0
        streams: list[AsyncIterator[Any]] = [self._new_walk().stream(), _rows(self.manifest)]
        while not join.finished:
            while (index := join.needs_input()) is not None:
                batch = await anext(streams[index], None)
                if batch is None:
                    join.end(index)
                else:
                    join.feed(index, batch.entries if index == 0 else self._visible_rows(batch))
            for source, row in join.rows():
                recorded += row is not None
                found += source is not None and row is not None and source.size == row.size
        return recorded, found

    def _visible_rows(self, rows: list[RecordedEntry]) -> list[RecordedEntry]:
        return [row for row in rows if self.filters.visible_by_rules(row.key)]

    async def _delete(self) -> None:
        detector = self._detector
        if detector is None or not detector.complete:
            return
        self.run.recorder.compared()
        stage = DeleteStage(self.run, self._deferred, detector, self.filters)
        await stage.forget_and_report()
        planned = await stage.approve()
        if self.part is not None:
            self._held = planned
            await self.part.hold(stage, planned)
        elif planned:
            await self._delete_approved(stage, planned)

    async def _delete_approved(self, stage: DeleteStage, planned: int) -> None:
        sender = DeleteSender(self.run, self._deferred)
        sender.plan(planned)
        self.run.events(events.PhaseBegan("delete"))
        self.refused = await to_thread.run_sync(stage.refusal, planned)
        if self.refused is not None:
            stage.withhold(planned, self.refused.message)
        elif reason := stage.waits_for():
            stage.withhold(planned, reason)
        elif self.run.options.dry_run:
            await sender.preview()
        else:
            await sender.delete()

    # The state for the next run.

    async def _remember(self) -> None:
        run, recorder = self.run, self.run.recorder
        if run.options.dry_run:
            return
        ended = self._detector is not None and self._detector.complete and not run.stop.signal
        # Only 'manifest forget' drops a mount: one that this run did not see may still exist.
        self._mounts.update(self.state.mounts, *(walk.mounts for walk in self._walks))
        if not (ended and (self.listed or recorder.began or not self.state.last_sync)):
            await self._remember_mounts()
            return
        certain = recorder.uncertain == 0 and run.builder.pending == 0 and not run.builder.cancelled
        certain = certain and (self._is_up or not self._leaves_old_rows) and run.options.as_of is None
        known_since = self.state.known_since(self.scope)
        if self.listed:
            known_since = run.listing.created or self._listing_began
        self.known_since = known_since if certain else 0.0
        # The rows of files whose deletes are held are of objects that are gone.
        certain = certain and (self._is_up or not self._held)
        state = self.state if certain else self.state.begun()
        if certain and self.listed:
            state = state.listed(self.scope, known_since)
        await self.manifest.save_state(
            replace(
                state.on_device(run.files.device, self.filter_scope),
                last_sync=time.time(),
                run=run.number,
                mounts=tuple(sorted(self._mounts)),
                order=run.listing.order or state.order,
                opaque_etags=run.opaque_etags,
            )
        )

    @property
    def _leaves_old_rows(self) -> bool:
        """Whether rows may differ from what the bucket holds, so that the next upload must list."""
        counts = self.run.builder.counts()
        return self.run.outdated > 0 or any(counts[state] for state in _NOT_IN_STEP)

    async def _remember_mounts(self) -> None:
        """Save the mounts found by a run that does not save its state; its rows are saved already."""
        if self._mounts == {*self.state.mounts}:
            return
        recorder = self.run.recorder
        state = self.state.begun() if recorder.changing else self.state
        number = self.run.number if recorder.began else state.run
        await self.manifest.save_state(replace(state, run=number, mounts=tuple(sorted(self._mounts))))


def _refused_listing(group: BaseExceptionGroup[BaseException]) -> AccessDeniedError | None:
    """Return a refusal to list by a policy, if nothing else went wrong; its message names the remedy."""
    denied, rest = group.split(AccessDeniedError)
    error: BaseException | None = denied
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if rest is not None or not isinstance(error, AccessDeniedError):
        return None
    if error.operation != "ListObjectsV2" or not error.is_by_policy:
        return None
    error.message += "; credentials that may only write can sync with --no-list, which deletes nothing"
    return error


async def _steps(agreement: ManifestDiff) -> AsyncGenerator[DiffStep, None]:
    steps = agreement.steps()
    while (step := await to_thread.run_sync(next, steps, None)) is not None:
        yield step


async def _rows(manifest: Manifest) -> AsyncGenerator[list[RecordedEntry], None]:
    after: str | None = None
    while page := await manifest.page(after, _PAGE):
        yield page
        after = page[-1].key
