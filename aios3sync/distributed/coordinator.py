"""Runs one sync on many nodes: cuts it, compares and transfers everywhere, then deletes by one decision.

The coordinator knows no Dask: an :class:`~aios3sync.distributed.messages.Executor` carries its messages. Its
memory does not grow with the number of files: of each shard it keeps the report and the facts.

Two phases: nothing is deleted before every shard has compared its range to the end and the guards have
checked the sum (P1 to P6). A shard that is lost in between is compared again, and continues from what was
recorded.
"""

from __future__ import annotations

import math
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import dataclass, field
from aios3sync.concurrency import Stop, raise_first_error
from aios3sync.core.key_range import KeyRange
from aios3sync.core.safety import Refusal
from aios3sync.core.text import count
from aios3sync.distributed import guards
from aios3sync.distributed.change_intake import ChangeIntake
from aios3sync.distributed.cluster_shards import ClusterShards, OpenStore
from aios3sync.distributed.estimates import weights_of
from aios3sync.distributed.exchanges import Exchanges
from aios3sync.distributed.manifests import ClusterManifest
from aios3sync.distributed.messages import Executor, NodeSetup
from aios3sync.distributed.reports import all_deleted, joined_report, known_since, unmatched_rules
from aios3sync.distributed.results import ShardFacts
from aios3sync.distributed.shards import cut, spread
from aios3sync.distributed.step_runner import GRACE_S, StepRunner
from aios3sync.distributed.tokens import Token, look, tokens, verify
from aios3sync.errors import ClusterError, ManifestError
from aios3sync.events import PhaseBegan, Planned, Warned, discard
from aios3sync.manifest.files import storable
from aios3sync.manifest.lock import hold_lock, lock_path
from aios3sync.manifest.open_runs import RENEWED_S
from aios3sync.options import ConnectOptions
from aios3sync.report import SyncReport
from aios3sync.sync.request import SyncRequest, is_shared, manifest_path
from aios3sync.sync.resources import Resources

if TYPE_CHECKING:
    from aios3sync.index.feed import IndexSubscriber

__all__ = ("run_on_cluster",)

_SHARDS_A_NODE: Final = 4
"""With several for each node, a slow node or a shard with more work than estimated delays the others less."""
_WAIT_FOR_NODES_S: Final = 60.0


async def run_on_cluster(  # noqa: PLR0913 - what the session lends; the last three have defaults
    request: SyncRequest,
    resources: Resources,
    executor: Executor,
    connect: ConnectOptions,
    source_connect: ConnectOptions | None = None,
    open_store: OpenStore | None = None,
    index: IndexSubscriber | None = None,
) -> SyncReport:
    """Run one sync on the nodes of an executor; its last event is left to the caller.

    Args:
        request: the sync, with all its keys.
        resources: of the session that begins it: its store for a few listings, its listeners, its stop.
        executor: carries the shards.
        connect: how each node reaches S3; nothing in it is secret.
        source_connect: how it reaches the source of a copy, if not in the same way.
        open_store: opens the store of the bucket of a manifest that is an object.
        index: may know the objects, by which the run is then cut; attached unless the run is dry.

    Raises:
        ClusterError: there are no nodes, one of them sees other files than the others, or too many died.
        AioS3SyncError: the run failed as a whole; what was done until then is recorded.
    """
    async with AsyncExitStack() as stack:
        shards = None
        if is_shared(request.options) and open_store is not None:
            shards = await ClusterShards.opened(request, open_store, stack)
            request = shards.request
        coordinator = _Coordinator(request, resources, executor, connect, source_connect, shards, index)
        with raise_first_error():
            return await coordinator.run(stack)


@dataclass(slots=True)
class _Coordinator:
    """One run; see :func:`run_on_cluster`."""

    request: SyncRequest
    resources: Resources
    executor: Executor
    connect: ConnectOptions
    source_connect: ConnectOptions | None = None
    shards: ClusterShards | None = None
    index: IndexSubscriber | None = None
    _intake: ChangeIntake | None = None
    _exchanges: Exchanges | None = None
    _name: str = field(default_factory=lambda: secrets.token_hex(8))
    _reports: list[SyncReport] = field(default_factory=list)
    _facts: Sequence[ShardFacts] = ()
    _warnings: list[str] = field(default_factory=list)
    _refused: Refusal | None = None
    _known: tuple[str, float] | None = None
    _halt: Stop = field(default_factory=Stop)
    _manifest: ClusterManifest = field(init=False)
    _steps: StepRunner = field(init=False)

    def _stopped(self) -> bool:
        return self._halt.signal != 0

    async def run(self, stack: AsyncExitStack) -> SyncReport:
        """Do the whole run; the stack closes what is opened."""
        began = time.monotonic()
        self.resources.on_event(PhaseBegan("compare"))
        nodes = await self._wait_for_nodes()
        device = await self._look_at_tree()
        self._manifest = await self._begin_manifest(device, stack)
        wanted = await self._show_tokens(stack)
        verify(wanted, await self.executor.ask(look, dict.fromkeys(nodes, wanted)), nodes)
        machines = list(nodes.values())
        setup = NodeSetup(
            run=self._name,
            connect=self.connect,
            endpoint=self.request.endpoint,
            source_connect=self.source_connect,
            neighbours=max(map(machines.count, machines)),
            wants_events=self.resources.on_event is not discard
            and getattr(self.resources.on_event, "single_events", 0) >= 0,
            tokens=wanted,
            follows=self.index is not None and not self.request.options.dry_run,
            inspect=self.resources.inspect,
            inspected=None if self.resources.inspect is None else self.resources.inspected,
        )
        if self.index is not None and setup.follows:
            self._intake = ChangeIntake(self.index)
        ranges = await self._cut(len(nodes))
        await to_thread.run_sync(self._manifest.lay_out, ranges)
        if self.shards is not None and not self.request.options.dry_run:
            await self.shards.publish()
        self._steps = StepRunner(self.executor, setup, self.request, self._manifest, self._halt, self._intake)
        try:
            async with self._in_touch(setup):
                await self._phases(len(ranges), len(nodes))
        finally:
            if self._intake is not None:
                lost = self._exchanges is not None and self._exchanges.lost
                self._intake.conclude(lost_node=lost and self.shards is not None)
            with anyio.CancelScope(shield=True):
                errors_file = await self._conclude()
        return joined_report(
            self.request,
            self._reports,
            refused=self._refused,
            facts=self._facts,
            warnings=self._warnings,
            interrupted=self.resources.stop.signal,
            errors_file=errors_file,
            elapsed_s=round(time.monotonic() - began, 3),
            requests=self._manifest.requests,
        )

    async def _conclude(self) -> str | None:
        """Conclude the manifest; return the file with all failures, where there is one."""
        if self.shards is not None:
            self._reports = await self.shards.with_errors(self._reports)
        errors_file = await to_thread.run_sync(self._manifest.join_errors, self._reports)
        await to_thread.run_sync(self._manifest.conclude, self._known)
        if self.shards is not None:
            if not self.request.options.dry_run and (warning := await self.shards.conclude(self._name)):
                self._warn(warning)
            self._manifest.requests.update(self.shards.counts.requests)
        return errors_file

    async def _wait_for_nodes(self) -> dict[str, str]:
        """Return the nodes; a cluster that scales by itself has none at first.

        Raises:
            ClusterError: there are none after a while.
        """
        with anyio.move_on_after(_WAIT_FOR_NODES_S):
            while True:
                if nodes := await self.executor.nodes():
                    return dict(nodes)
                await anyio.sleep(0.5)
        raise ClusterError("the cluster has no workers; start some ('dask worker tcp://HOST:8786')")

    async def _look_at_tree(self) -> int | None:
        """Return the device of the tree; the directory of a download is made.

        Raises:
            SourceError: it cannot be used.
        """
        if self.request.direction == "copy":
            return None
        down = self.request.direction == "down"
        if down and not self.request.options.dry_run:
            await to_thread.run_sync(partial(os.makedirs, self.request.root, exist_ok=True))
        tree = self.request.tree()
        await tree.check(may_be_absent=down)
        return tree.device

    async def _begin_manifest(self, device: int | None, stack: AsyncExitStack) -> ClusterManifest:
        options = self.request.options
        kept = options.manifest is not False
        if self.shards is not None:
            path = self.shards.path
        else:
            path = await to_thread.run_sync(manifest_path if kept else self._temporary_path, self.request)
        manifest = ClusterManifest(
            path,
            storable(self.request.binding),
            self._name,
            device=device,
            read_only=options.dry_run,
            kept=kept,
            place="" if self.shards is None else self.shards.place,
        )
        if kept and path and not options.dry_run:
            lock = hold_lock(lock_path(path))
            await to_thread.run_sync(lock.__enter__)
            _leave_in_thread(stack, partial(lock.__exit__, None, None, None))
        await to_thread.run_sync(manifest.begin, self._warn if self.shards is None else self.shards.refuse)
        _leave_in_thread(stack, manifest.leave)
        return manifest

    def _temporary_path(self, _: SyncRequest) -> str:
        return os.path.join(tempfile.gettempdir(), f"aios3sync-{self._name}")

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self.resources.on_event(Warned(text))

    async def _show_tokens(self, stack: AsyncExitStack) -> tuple[Token, ...]:
        """Put a token into each directory that all nodes must see, until the run has ended."""
        directories = [] if self.shards is not None else [self._manifest.directory.path]
        if self.request.direction != "copy":
            directories.append(self.request.root)
        shown = tokens(directories)
        wanted = await to_thread.run_sync(shown.__enter__)
        _leave_in_thread(stack, partial(shown.__exit__, None, None, None))
        return wanted

    async def _cut(self, nodes: int) -> list[KeyRange]:
        count = 1 if nodes == 1 else nodes * _SHARDS_A_NODE
        known = await to_thread.run_sync(self._manifest.known)
        index = None if self.index is None else self.index.backend
        try:
            weights = await weights_of(self.request, self.resources, known, count, index)
        finally:
            await known.close()
        # Which endpoints list in byte order is known only of some; a listing of the others is asked for whole
        # prefixes alone.
        return cut(weights, count, whole_prefixes=not self._lists_in_byte_order())

    def _lists_in_byte_order(self) -> bool:
        profile = self.resources.profile
        if self.request.source_location is not None and self.resources.source_profile is not None:
            ordered = self.resources.source_profile.list_order == "bytes"
            return ordered and profile.list_order == "bytes"
        return profile.list_order == "bytes" or self.request.endpoint == "aws"

    @asynccontextmanager
    async def _in_touch(self, setup: NodeSetup) -> AsyncIterator[None]:
        """Exchange messages with the nodes while the block lasts, then end and close them."""
        self._exchanges = exchanges = Exchanges(
            self.executor,
            setup,
            self.resources.on_event,
            self._halt,
            workers=self.connect.workers,
            bandwidth=float(self.connect.bandwidth or math.inf),
            intake=self._intake,
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._forward_stop, exchanges)
                tasks.start_soon(self._stay_open)
                await exchanges.once()
                tasks.start_soon(exchanges.run)
                yield
                await exchanges.close()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_S):
                await exchanges.end()

    async def _forward_stop(self, exchanges: Exchanges) -> None:
        await self.resources.stop.wait()
        self._halt.request(self.resources.stop.signal)
        exchanges.wake()

    async def _stay_open(self) -> None:
        """Say in the manifest once an hour that the run goes on, until cancelled."""
        while True:
            await anyio.sleep(RENEWED_S)
            # The next one may succeed, and the end says what is wrong.
            with anyio.CancelScope(shield=True), suppress(ManifestError):
                await to_thread.run_sync(self._manifest.renew)
                if self.shards is not None and not self.request.options.dry_run:
                    await self.shards.publish()

    async def _phases(self, shards: int, nodes: int) -> None:
        """Do the steps of all shards, as far as the guards allow and no stop is requested."""
        if self._manifest.may_be_swapped and not await self._survey(shards):
            return
        outcomes = await self._steps.run("compare", spread(range(shards), nodes))
        self._reports = [outcome.value.report for outcome in outcomes]
        self._facts = facts = [outcome.value.facts for outcome in outcomes]
        if self._stopped() or len(outcomes) < shards:
            return
        for text in unmatched_rules(facts):
            self._warn(text)
        held = {outcome.number: outcome.held for outcome in outcomes}
        whole = await self._delete(facts, held)
        to_finish = [number for number, each in enumerate(facts) if each.to_finish]
        if to_finish and not (self._stopped() or self.request.options.dry_run):
            finished = await self._steps.run("finish", to_finish, held=held)
            self._reports += [outcome.value for outcome in finished]
        if whole and not self._stopped():
            self._known = known_since(facts, [outcome.state for outcome in outcomes])

    async def _survey(self, shards: int) -> bool:
        """Return whether the tree is the recorded one; called before anything is sent (P3)."""
        surveys = [outcome.value for outcome in await self._steps.run("survey", range(shards))]
        if len(surveys) < shards:
            return False
        self._refused = guards.swapped_tree(surveys, uploads=self.request.direction == "up")
        return self._refused is None

    async def _delete(self, facts: Sequence[ShardFacts], held: Mapping[int, str]) -> bool:
        """Let all shards carry out their held deletes, if no guard objects; return whether all succeeded."""
        planned = sum(each.plan.deletes for each in facts)
        if not planned:
            return True
        options = self.request.options
        self.resources.on_event(Planned(deletes=planned))
        self.resources.on_event(PhaseBegan("delete"))
        self._refused = guards.refusal(facts, options)
        reason = self._refused.message if self._refused else guards.waits(facts, options)
        if reason:
            self._withhold(planned, reason)
            return False
        wanted = [number for number, each in enumerate(facts) if each.plan.deletes]
        lookalikes = guards.lookalikes_of(facts)
        done = await self._steps.run("delete", wanted, held=held, lookalikes=lookalikes)
        reports = [outcome.value for outcome in done]
        self._reports += reports
        return all_deleted(reports, len(wanted))

    def _withhold(self, planned: int, reason: str) -> None:
        self._reports.append(
            SyncReport(source="", target="", checked="manifest", planned=planned, withheld=planned)
        )
        self._warn(f"{count(planned, 'delete')} withheld: {reason}")


def _leave_in_thread(stack: AsyncExitStack, leave: Callable[[], object]) -> None:
    """Call a blocking function in a thread when the stack is closed, also in a run that is cancelled."""

    async def left() -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(leave)

    stack.push_async_callback(left)
