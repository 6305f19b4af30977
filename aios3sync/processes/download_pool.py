"""DownloadPool: the download processes of one run."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from aios3sync.core.entries import SourceEntry
from aios3sync.processes.job_pool import JobPool
from aios3sync.processes.messages import DISK_FULL, RETURNED, TREE
from aios3sync.processes.protocol import DownloadJob, DownloadResult, DownloadTree, OnWritten
from aios3sync.store.observer import Observer
from aios3sync.store.wire.store import WireStore
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts

__all__ = ("DownloadPool",)


class DownloadPool(JobPool):
    """Fetches small objects in processes: a :class:`~aios3sync.processes.protocol.Downloader`.

    Args:
        store, limiter, counts, most, observer: see :class:`JobPool`.
        tree: the directory.
    """

    def __init__(
        self,
        store: WireStore,
        limiter: ConcurrencyLimiter,
        counts: RequestCounts,
        most: int,
        tree: DownloadTree,
        observer: Observer | None = None,
    ) -> None:
        program = "aios3sync.processes.download_main"
        super().__init__(
            store, limiter, counts, most, program=program, operation="GetObject", observer=observer
        )
        self._set_up((TREE, *tree))

    async def download(self, jobs: Sequence[DownloadJob], on_written: OnWritten) -> list[int]:
        """See :meth:`~aios3sync.processes.protocol.Downloader.download`."""
        full: list[str] = []

        def settle(position: int, result: tuple[Any, ...]) -> bool:
            is_written = len(result) != RETURNED
            self._note_result(jobs[position].full_key, result, done=is_written)
            if result[2] == DISK_FULL:
                full.append(jobs[position].key)
            if is_written:
                job = jobs[position]
                _, encryption, started_ns, *stat, _ = result
                on_written(
                    position, DownloadResult(SourceEntry(job.key, job.size, *stat), started_ns, encryption)
                )
            return is_written

        returned = await self._submit(jobs, settle)
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), full[0])
        return returned
