"""UploadPool: the upload processes of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aios3sync.processes.job_pool import JobPool
from aios3sync.processes.messages import HEADER_TEMPLATE, RETURNED, HeaderTemplateMessage
from aios3sync.processes.protocol import OnStored, UploadJob, UploadResult
from aios3sync.store.observer import Observer
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.store.s3.errors import other_bytes
from aios3sync.store.wire.requests import InvalidRequestError, metadata_values, put_template
from aios3sync.store.wire.store import WireStore
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts

__all__ = ("UploadPool",)


class UploadPool(JobPool):
    """Sends small files in upload processes: an :class:`~aios3sync.processes.protocol.Offloader`.

    The arguments are those of :class:`JobPool`.
    """

    def __init__(
        self,
        store: WireStore,
        limiter: ConcurrencyLimiter,
        counts: RequestCounts,
        most: int,
        observer: Observer | None = None,
    ) -> None:
        kind: dict[str, Any] = {"program": "aios3sync.processes.upload_main", "operation": "PutObject"}
        super().__init__(store, limiter, counts, most, **kind, observer=observer)
        self._templates = 0

    def header_template(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        """See :meth:`~aios3sync.processes.protocol.Offloader.header_template`."""
        if options.checksum or options.if_match or options.if_none_match:
            return None
        try:
            shared = put_template(options)
        except InvalidRequestError:
            return None  # this process sends the file, and reports which one and why
        names = sorted({name.lower() for name in options.metadata})
        mtime, md5 = names.index(mtime_name), names.index(md5_name) if md5_name else -1
        number = self._templates
        constant = dict(shared.constant)
        values = metadata_values(options.metadata)
        template = HeaderTemplateMessage(number, constant, shared.varying, values, mtime, md5, utf8)
        self._templates += 1
        self._set_up((HEADER_TEMPLATE, *template))
        return number

    async def upload(self, jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        """See :meth:`~aios3sync.processes.protocol.Offloader.upload`."""

        def settle(position: int, result: tuple[Any, ...]) -> bool:
            return self._settle(jobs[position], result, position, on_stored)

        return await self._submit(jobs, settle)

    def _settle(self, job: UploadJob, result: tuple[Any, ...], position: int, on_stored: OnStored) -> bool:
        """Count a job, and report it if its object was stored as it was sent; return whether it was."""
        stored = None if len(result) == RETURNED else self._stored(job, result)
        self._note_result(job.key, result, done=stored is not None)
        if stored is not None:
            on_stored(position, stored)
        return stored is not None

    def _stored(self, job: UploadJob, result: tuple[Any, ...]) -> UploadResult | None:
        """Return the result of a job; ``None`` where the object is not what was sent."""
        _, md5, started_ns, sha256, etag, encryption, version, _ = result
        self._counts.bytes_sent += job.size
        put = PutResult(etag, encryption, version)
        if other_bytes(put, md5, opaque=self._store.capabilities.opaque_etags):
            return None
        return UploadResult(md5, started_ns, put, sha256)
