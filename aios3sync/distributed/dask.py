"""DaskExecutor runs shards on a Dask scheduler, or on processes of this machine.

Only this module imports Dask. Dask does all communication between machines: it chooses the worker of a step,
repeats the step when a worker dies, and carries the messages.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import anyio
import dask
from anyio import to_thread
from distributed import Client, KilledWorker, Scheduler, Security, Worker
from distributed.utils import silence_logging_cmgr

from aios3sync.concurrency import raise_first_error
from aios3sync.distributed.addresses import local_processes
from aios3sync.distributed.worker_starter import PreparedCluster, WorkerOrder, WorkerStarter
from aios3sync.errors import ClusterError

__all__ = ("DaskExecutor", "open_executor", "work")

_RETRIES: Final = 2
_LOCAL: Final = "local:"
_CONNECT_S: Final = 10.0
_BEGIN_S: Final = 120.0
"""Seconds in which the workers of this machine have to begin: a second where it has nothing else to do."""
_BEGIN_POLL_S: Final = 0.02
_LEAVE_S: Final = 5.0
_HERE: Final = "127.0.0.1"
# Of a cluster that lives as long as one run: no page, no file, no port but those between its processes.
_QUIET: Final = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    # Looks at the process and at its event loop that nobody sees, up to a hundred times a second.
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.tick.interval": "5s",
    "distributed.admin.tick.limit": "1h",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.work-stealing-interval": "1s",
    "distributed.client.scheduler-info-interval": "60s",
}


class DaskExecutor:
    """See :class:`~aios3sync.distributed.messages.Executor`; a node is a worker of Dask.

    Args:
        client: open on the loop of the caller.
        name: of the cluster, for messages.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    async def nodes(self) -> Mapping[str, str]:
        """Return the addresses of the workers, each with its machine."""
        found = await self._client.scheduler.identity()  # type: ignore[union-attr]
        return {address: str(worker["host"]) for address, worker in found["workers"].items()}

    async def ask(self, function: Callable[[Any], Any], messages: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a function on workers, independently of the tasks that they work on."""
        if not messages:
            return {}
        return dict(
            await self._client.run(
                _answer, function, dict(messages), workers=list(messages), on_error="ignore"
            )
        )

    async def run(self, function: Callable[[Any], Any], argument: Any, name: str) -> Any:
        """Run a task. Dask runs it again if its worker dies, or if it fails."""
        future = self._client.submit(function, argument, key=name, retries=_RETRIES, pure=False)
        try:
            return await future
        except KilledWorker as error:
            raise ClusterError(
                f"{self._name}: each worker that took {name} was lost; look at their logs and their memory"
            ) from error
        finally:
            future.release()  # type: ignore[no-untyped-call]


async def _answer(function: Callable[[Any], Any], messages: Mapping[str, Any], dask_worker: Any) -> Any:
    """Call a function with the message for this worker; Dask passes the worker."""
    answer = function(messages[dask_worker.address])
    return await answer if inspect.isawaitable(answer) else answer


@asynccontextmanager
async def open_executor(cluster: Any) -> AsyncIterator[DaskExecutor]:
    """Connect to a cluster, or start one of processes on this machine, which ends with the block.

    Args:
        cluster: the address of a scheduler, ``local:N``, a prepared cluster, or a client of Dask.

    Raises:
        ClusterError: it cannot be reached or started.
        UsageError: the name is none of these.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(dask.config.set(_QUIET))
        if isinstance(cluster, PreparedCluster):
            address, security = await _start_local(*cluster, stack), None
        elif isinstance(cluster, str) and cluster.startswith(_LOCAL):
            address, security = await _start_local(cluster, None, stack), None
        else:
            address, security = _address_of(cluster)
        try:
            client = await stack.enter_async_context(
                Client(  # type: ignore[no-untyped-call]
                    address,
                    asynchronous=True,
                    set_as_default=False,
                    security=security,
                    timeout=_CONNECT_S,
                    name="aios3sync",
                )
            )
        except (OSError, TimeoutError) as error:
            raise ClusterError(
                f"the scheduler {address} cannot be reached: {error}; is it running, and is its port open?"
            ) from error
        yield DaskExecutor(client, str(address))


def _address_of(cluster: Any) -> tuple[str, Security | None]:
    """Return the address and the security of the scheduler of a text, a client or a cluster object."""
    if isinstance(cluster, str):
        return cluster, None
    owner = cluster.scheduler if isinstance(cluster, Client) else cluster
    address = getattr(owner, "address", None) or getattr(owner, "scheduler_address", None)
    if not address:
        raise ClusterError("the client is not connected to a scheduler")
    return str(address), getattr(cluster, "security", None)


async def _start_local(cluster: str, starter: WorkerStarter | None, stack: AsyncExitStack) -> str:
    """Start a scheduler here and workers in processes; return its address."""
    number = local_processes(cluster)
    stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
    try:
        if starter is None:
            starter = await to_thread.run_sync(WorkerStarter.spawn)
        stack.push_async_callback(starter.close, _LEAVE_S)
        # Closing it, before the starter, asks the workers to leave.
        scheduler = await stack.enter_async_context(
            Scheduler(host=_HERE, port=0, dashboard=False, dashboard_address=f"{_HERE}:0")
        )
        address: str = scheduler.address
        order = WorkerOrder(number, work, (address, dask.config.config))
        await to_thread.run_sync(starter.start, order)
        with raise_first_error():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_fail_with_worker, starter)
                with anyio.fail_after(_BEGIN_S):
                    while len(scheduler.workers) < number:  # noqa: ASYNC110 - Dask has no event for it
                        await anyio.sleep(_BEGIN_POLL_S)
                tasks.cancel_scope.cancel()
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"the processes of {cluster} cannot be started: {error}") from error
    return address


async def _fail_with_worker(starter: WorkerStarter) -> None:
    raise RuntimeError(await starter.reason() or "they ended")


def work(begun: Callable[[], None], scheduler: str, config: Mapping[str, Any]) -> None:
    """Be a worker in a process of its own, until the scheduler has closed or is gone.

    Args:
        begun: called once the scheduler knows the worker.
        scheduler: its address.
        config: the settings of Dask in the process of the scheduler.
    """
    dask.config.set(config)
    with silence_logging_cmgr(logging.CRITICAL):
        asyncio.run(_work(begun, scheduler))


async def _work(begun: Callable[[], None], scheduler: str) -> None:
    worker = Worker(
        scheduler,
        nthreads=1,
        host=_HERE,
        memory_limit=0,
        death_timeout=_CONNECT_S,
    )
    async with worker:
        begun()
        await worker.finished()  # type: ignore[no-untyped-call]
