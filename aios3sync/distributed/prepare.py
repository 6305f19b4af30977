"""Forks the starter of a cluster on this machine, while the program has done nothing yet."""

from __future__ import annotations

from aios3sync.distributed.worker_starter import PreparedCluster, WorkerStarter, can_fork

__all__ = ("prepared_cluster",)


def prepared_cluster(name: str) -> str | PreparedCluster:
    """Return a cluster on this machine with its starter; else, and where none can be forked, the name.

    Call it before any thread or event loop begins. It imports Dask, which the workers then need not.
    """
    if not name.startswith("local:") or not can_fork():
        return name
    try:
        import aios3sync.distributed.dask
        import aios3sync.distributed.node  # noqa: F401
    except ModuleNotFoundError:  # the run says what is missing
        return name
    starter = WorkerStarter.fork()
    return name if starter is None else PreparedCluster(name, starter)
