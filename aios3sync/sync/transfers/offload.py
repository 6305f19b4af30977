"""Decides which small files go by courier, and records those that arrive; the rest it hands back."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from aios3sync import events
from aios3sync.core.actions import Upload
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import META_MD5, META_MTIME
from aios3sync.events import Uploaded
from aios3sync.local.digest import is_settled
from aios3sync.processes.protocol import LARGEST, Offloader, UploadJob, UploadResult
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan

__all__ = ("Offload",)

_LOG: Final = logging.getLogger(__name__)
_WORTH: Final = 512
"""Files that go the usual way first: they find out where the bucket is, and fewer are not worth a process."""

_ANY_MD5: Final = "0" * 32
"""Stands for the digest of each file, which its courier takes."""


class Offload:
    """The way to the couriers of one run."""

    def __init__(self, run: Run, headers: HeaderPlan) -> None:
        self._run = run
        self._headers = headers
        self._plain = not headers.opaque
        self._seen = 0
        self._open_couriers = run.open_offloader
        self._courier: Offloader | None = None
        self._kinds: dict[tuple[str, str, str], int | None] = {}

    async def deliver(self, chunk: list[Upload]) -> list[Upload]:
        """Send by courier what can go so; answers with what has to go the usual way."""
        courier = await self._couriers(len(chunk))
        if courier is None:
            return chunk
        sent: list[Upload] = []
        rest: list[Upload] = []
        jobs: list[UploadJob] = []
        for upload in chunk:
            entry = upload.source
            kind = self._kind_of(courier, entry.key) if entry.size <= LARGEST else None
            if kind is None:
                rest.append(upload)
            else:
                place, key = self._run.place(entry.key), self._run.full_key(entry.key)
                sent.append(upload)
                jobs.append(UploadJob(place, key, kind, *entry[1:]))
        rest += await self._send(courier, sent, jobs) if jobs else ()
        return rest

    async def cancel_pending_at_stop(self) -> None:
        """Have everything given back that was not begun when the run is asked to stop; waits for that."""
        await self._run.stop.wait()
        if self._courier is not None:
            self._courier.cancel_pending()

    async def aclose(self) -> None:
        """End the couriers."""
        self._open_couriers = None
        courier, self._courier = self._courier, None
        if courier is not None:
            with anyio.CancelScope(shield=True):
                await courier.aclose()

    async def _couriers(self, count: int) -> Offloader | None:
        self._seen += count
        if self._open_couriers is None or self._seen <= _WORTH or not self._plain:
            return self._courier
        open_offloader, self._open_couriers = self._open_couriers, None  # meanwhile others go the usual way
        await self._run.open_store()  # who cannot be reached is found out there
        try:
            self._courier = await open_offloader()
        except Exception:  # noqa: BLE001 - everything can be sent without them
            _LOG.debug("files are not sent by processes of their own", exc_info=True)
        return self._courier

    def _kind_of(self, courier: Offloader, key: str) -> int | None:
        try:
            return self._kind(courier, key)
        except Exception:  # noqa: BLE001 - sent by the session itself, it says what is wrong with this file
            return None

    def _kind(self, courier: Offloader, key: str) -> int | None:
        headers = self._headers
        if self._run.policy.encoding(key) or key in headers.overrides:
            return None
        if self._run.inspect is not None and self._run.inspected(key):
            return None  # a courier does not look into files
        md5_name = META_MD5 if self._run.writes_md5 else ""
        same = (headers.type_of(key), headers.digest_of(key), md5_name)
        if same not in self._kinds:
            options = headers.for_upload(
                SourceEntry(key, 0, 0, 0, 0), stored_md5=_ANY_MD5 if md5_name else ""
            )
            utf8 = headers.judges_text(key)
            self._kinds[same] = courier.kind(options, META_MTIME, md5_name=md5_name, utf8=utf8)
        return self._kinds[same]

    async def _send(self, courier: Offloader, sent: list[Upload], jobs: list[UploadJob]) -> list[Upload]:
        """Have files sent; what comes back, also where the way itself breaks.

        Each file ends once: what has arrived is never sent again, whatever the courier says or raises.
        """
        reserved = sum(job.size for job in jobs)
        left = dict(enumerate(sent))

        def arrived(place: int, receipt: UploadResult) -> None:
            if (upload := left.pop(place, None)) is not None:
                try:
                    self._arrived(upload, receipt)
                except Exception as error:  # noqa: BLE001 - Run.item, spelled out: this is once for every file
                    self._run.recorder.add(self._run.outcome_of_error(upload.source.key, "upload", error))

        await self._run.budget.acquire(reserved)
        try:
            await courier.deliver(jobs, arrived)
        except Exception:  # noqa: BLE001 - the session sends the rest, and says what is wrong if it is that too
            _LOG.debug("%d files come back from a process of their own", len(left), exc_info=True)
        finally:
            self._run.budget.release(reserved)
        rest = [*left.values()]
        left.clear()  # from now on a late answer is no news: the session sends these
        return rest

    def _arrived(self, upload: Upload, receipt: UploadResult) -> None:
        run, entry = self._run, upload.source
        result = receipt.result
        run.stored(result.encryption)
        if run.events is not events.discard:
            run.events(events.BytesSent(entry.key, entry.size))
        settled = is_settled(entry, receipt.started_ns, by_mtime=run.by_mtime)
        asked = self._headers.digest_of(entry.key)
        row = run.row(entry, receipt.md5.hex(), result.etag, settled=settled, headers=asked)
        content_type = self._headers.type_of(entry.key)
        run.recorder.add(Uploaded(row, entry.size, upload.reason, content_type, result.encryption, None))
