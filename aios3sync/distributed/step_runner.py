"""Runs one step of many shards on the available nodes, and waits for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.concurrency import Stop
from aios3sync.distributed.change_intake import ChangeIntake
from aios3sync.distributed.manifests import ClusterManifest
from aios3sync.distributed.messages import Executor, NodeSetup, ShardOutcome, ShardTask
from aios3sync.distributed.node import run_step
from aios3sync.sync.request import SyncRequest

__all__ = ("GRACE_S", "StepRunner")

GRACE_S: Final = 30.0
"""Seconds after a stop in which shards can end in an orderly way; later ones are not waited for."""


@dataclass(slots=True)
class StepRunner:
    """The steps of one run.

    Attributes:
        executor: carries them.
        setup: of the run.
        request: the run, with all its keys.
        manifest: says which file each step writes, and takes its outcome.
        halt: stops all nodes.
        intake: takes the changes for the object index, where one follows the run.
    """

    executor: Executor
    setup: NodeSetup
    request: SyncRequest
    manifest: ClusterManifest
    halt: Stop
    intake: ChangeIntake | None = None
    _failures: list[Exception] = field(default_factory=list)

    async def run(
        self,
        step: str,
        numbers: Sequence[int],
        *,
        held: Mapping[int, str] | None = None,
        lookalikes: frozenset[str] = frozenset(),
    ) -> list[ShardOutcome]:
        """Do one step of some shards; return the outcomes of those that ended, in their order.

        Args:
            step: see :class:`~aios3sync.distributed.messages.ShardTask`.
            numbers: of the shards.
            held: of deletes: the file of each shard that names them.
            lookalikes: of deletes: names that stay.

        Raises:
            AioS3SyncError: one failed for good, and no stop was requested; the others have ended in an
                orderly way.
        """
        outcomes: dict[int, ShardOutcome] = {}

        async def one(number: int) -> None:
            task = await to_thread.run_sync(
                self._task, step, number, (held or {}).get(number, ""), lookalikes
            )
            outcome = await self._outcome(task)
            if outcome is not None:
                outcomes[number] = await to_thread.run_sync(self.manifest.take, step, outcome)

        async with anyio.create_task_group() as patience:
            patience.start_soon(self._give_up, patience.cancel_scope)
            async with anyio.create_task_group() as steps:
                for number in numbers:
                    steps.start_soon(one, number)
            patience.cancel_scope.cancel()
        if self._failures:
            raise self._failures[0]
        return [outcomes[number] for number in sorted(outcomes)]

    def _task(self, step: str, number: int, held: str, lookalikes: frozenset[str]) -> ShardTask:
        """Return the task of a step. Blocks."""
        return ShardTask(
            setup=self.setup,
            step=step,
            number=number,
            request=replace(self.request, key_range=self.manifest.range_of(number)),
            file=self.manifest.file(step, number),
            held=held,
            held_content=self.manifest.held_content(held),
            lookalikes=lookalikes,
        )

    async def _outcome(self, task: ShardTask) -> ShardOutcome | None:
        """Return the outcome of a step; ``None`` where it failed. The first failure stops the others."""
        name = f"aios3sync-{self.setup.run}-{task.step}-{task.number}"
        if self.intake is not None:
            self.intake.began(name)
        try:
            outcome: ShardOutcome = await self.executor.run(run_step, task, name)
            if self.intake is not None:
                await self.intake.ended(name, outcome.changes)
                outcome = replace(outcome, changes=None)  # nothing is kept that grows with the changes
        except Exception as error:  # noqa: BLE001 - raised by run(), once the others have ended orderly
            outcome = ShardOutcome(number=task.number, error=error)
        if outcome.error is None:
            return outcome
        if not self.halt.signal:  # an error after a stop is a consequence of it
            self._failures.append(outcome.error)
            self.halt.request()
        return None

    async def _give_up(self, scope: anyio.CancelScope) -> None:
        await self.halt.wait()
        await anyio.sleep(GRACE_S)
        scope.cancel()
