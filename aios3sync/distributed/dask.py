"""DaskExecutor runs shards on a Dask scheduler, or on processes of this machine.

Only this module imports Dask. Dask does all communication between machines: it chooses the worker of a step,
repeats the step when a worker dies, and carries the messages.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import dask
from distributed import Client, KilledWorker, LocalCluster, Security

from aios3sync.errors import AioS3SyncError, ClusterError

__all__ = ("DaskExecutor", "open_executor")

_RETRIES: Final = 2
_LOCAL: Final = "local:"
_CONNECT_S: Final = 10.0
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
    "distributed.worker.daemon": False,  # a worker starts upload processes
}


# Ctrl-C goes to all processes of a terminal: the coordinator asks the workers to stop.
_LEAVE_SIGNALS: Final = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


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
        cluster: the address of a scheduler, ``local:N``, or a client of Dask.

    Raises:
        ClusterError: it cannot be reached or started.
        UsageError: the name is none of these.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(dask.config.set(_QUIET))
        if isinstance(cluster, str) and cluster.startswith(_LOCAL):
            address, security = await _start_local(cluster, stack), None
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


async def _start_local(cluster: str, stack: AsyncExitStack) -> str:
    from aios3sync.distributed.addresses import local_processes

    local = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=local_processes(cluster),
        threads_per_worker=1,
        processes=True,
        asynchronous=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address=None,
        memory_limit=0,
        preload=[_LEAVE_SIGNALS],
        silence_logs=logging.CRITICAL,
    )
    try:
        await stack.enter_async_context(local)
    except Exception as error:
        if isinstance(error, AioS3SyncError):
            raise
        raise ClusterError(f"the processes of {cluster} cannot be started: {error}") from error
    address: str = local.scheduler_address
    return address
