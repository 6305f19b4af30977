"""Checks the name of a cluster: the address of a scheduler, or a number of local processes. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from aios3sync.distributed.worker_starter import PreparedCluster
from aios3sync.errors import UsageError

__all__ = ("checked_cluster", "local_processes")

_LOCAL: Final = re.compile(r"local:([0-9]{1,9})")
_SCHEDULER: Final = re.compile(r"(?:tcp|tls|ws|wss|ucx)://[^\s/@]+")
_MOST_PROCESSES: Final = 256


def checked_cluster(cluster: Any) -> Any:
    """Return the name of a cluster, if it is valid.

    Args:
        cluster: a text, a prepared cluster, or a client or a cluster of Dask.

    Raises:
        UsageError: the text names no cluster.
    """
    if isinstance(cluster, PreparedCluster):
        local_processes(cluster.name)
    elif not isinstance(cluster, str):
        if cluster is None or not (hasattr(cluster, "scheduler") or hasattr(cluster, "scheduler_address")):
            raise UsageError(f"cluster: {type(cluster).__name__} is neither a text nor a client of Dask")
    elif cluster.startswith("local:"):
        local_processes(cluster)
    elif not _SCHEDULER.fullmatch(cluster):
        raise UsageError(
            f"cluster: {cluster!r} is no cluster; write the address of a Dask scheduler, tcp://HOST:8786, or "
            "local:N for N processes on this machine"
        )
    return cluster


def local_processes(cluster: str) -> int:
    """Return the number of ``local:N``.

    Raises:
        UsageError: it is no number from 1 to 256.
    """
    found = _LOCAL.fullmatch(cluster)
    number = int(found[1]) if found else 0
    if not 1 <= number <= _MOST_PROCESSES:
        raise UsageError(f"cluster: {cluster!r}: write local:N with a number from 1 to {_MOST_PROCESSES}")
    return number
