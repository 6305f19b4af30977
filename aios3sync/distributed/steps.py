"""Runs a step of a shard on a node: opens its file of the manifest, does the work, returns the outcome."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.distributed.messages import ShardFile, ShardOutcome, ShardTask
from aios3sync.distributed.shard_run import compare_shard, delete_shard, finish_shard, survey_shard
from aios3sync.manifest.layers import LayeredManifest
from aios3sync.manifest.root import attempt_of
from aios3sync.manifest.root_directory import RootDirectory
from aios3sync.manifest.sharded import begin_attempt
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

__all__ = ("run_shard_step",)

ResourcesOf = Callable[[SyncRequest, int], Resources]
"""Returns what a run is lent, from its request and the number of the attempt at it, from 1."""
WhileOpen = Callable[[str], AbstractAsyncContextManager[object]]


async def run_shard_step(
    task: ShardTask, resources_of: ResourcesOf, while_open: WhileOpen = nullcontext
) -> ShardOutcome:
    """Do one step of a shard.

    A step can be repeated elsewhere while this one still works, because its node seemed dead: the other
    attempt reads what was recorded until then and writes files of its own.

    Args:
        task: the step.
        resources_of: returns the resources for the run of a request.
        while_open: a context that is entered with the path of the manifest's file, while that is written.

    Raises:
        AioS3SyncError: it failed.
    """
    options = task.request.options
    if options.manifest is False:
        path = await to_thread.run_sync(_held_alone, task.file)
        value = await _work(task, task.request, resources_of, path)
        return ShardOutcome(number=task.number, value=value, held=f"{path}.held")
    path = await to_thread.run_sync(_begin, task.file)
    request = replace(task.request, options=replace(options, manifest=path))
    async with while_open(path):
        value = await _work(task, request, resources_of, path)
    return await to_thread.run_sync(_concluded, task, path, value)


async def _work(task: ShardTask, request: SyncRequest, resources_of: ResourcesOf, path: str) -> Any:
    found = attempt_of(os.path.basename(path))
    assert found is not None  # noqa: S101 - as the directory has named it
    resources = resources_of(request, found[1])
    match task.step:
        case "survey":
            return await survey_shard(request, resources)
        case "compare":
            return await compare_shard(
                request, resources, f"{path}.held", task.setup.run, task.file.state.run
            )
        case "delete":
            return await delete_shard(request, resources, task.held, task.lookalikes)
        case _:
            return await finish_shard(request, resources, task.held)


def _begin(file: ShardFile) -> str:
    """Make the file that the step writes. Blocks."""
    return begin_attempt(
        RootDirectory(file.directory),
        file.name,
        file.binding,
        file.state,
        file.layers,
        only=(file.first, file.end),
    )


def _held_alone(file: ShardFile) -> str:
    """Return where a run without a manifest holds its deletes: next to a file that is never written."""
    return RootDirectory(file.directory).next_attempt(file.name)


def _concluded(task: ShardTask, path: str, value: Any) -> ShardOutcome:
    """Return the outcome, after the file of the manifest is closed for good. Blocks."""
    manifest = LayeredManifest.open(path)
    assert isinstance(manifest, LayeredManifest)  # noqa: S101 - as the class method makes one
    try:
        manifest.finish()
        state, written, whole = manifest.state_now(), manifest.written, not manifest.layers
    finally:
        manifest.close_now()
    held = f"{path}.held"
    return ShardOutcome(
        number=task.number,
        value=value,
        path=path,
        written=written,
        whole=whole,
        state=state,
        held=held if os.path.exists(held) else "",
    )
