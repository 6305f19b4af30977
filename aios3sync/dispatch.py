"""Decides which small files go by courier, and records those that arrive; the rest it hands back."""

from __future__ import annotations

from typing import Final

import anyio

from aios3sync import events
from aios3sync.core.actions import Upload
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import META_MTIME
from aios3sync.hashing import is_settled
from aios3sync.headers import HeaderPlan
from aios3sync.outcomes import Uploaded
from aios3sync.parcels import LARGEST, Courier, Parcel, Receipt
from aios3sync.run import Run

__all__ = ("Dispatch",)

_WORTH: Final = 512
"""Files that go the usual way first: they find out where the bucket is, and fewer are not worth a process."""


class Dispatch:
    """The way to the couriers of one run."""

    def __init__(self, run: Run, headers: HeaderPlan) -> None:
        self._run = run
        self._headers = headers
        self._plain = not headers.opaque
        self._seen = 0
        self._open_couriers = run.open_couriers
        self._courier: Courier | None = None
        self._kinds: dict[tuple[str, str], int | None] = {}

    async def deliver(self, chunk: list[Upload]) -> list[Upload]:
        """Send by courier what can go so; answers with what has to go the usual way."""
        courier = await self._couriers(len(chunk))
        if courier is None or self._run.needs_told_md5:
            return chunk
        sent: list[Upload] = []
        rest: list[Upload] = []
        parcels: list[Parcel] = []
        for upload in chunk:
            entry = upload.source
            kind = self._kind(courier, entry.key) if entry.size <= LARGEST else None
            if kind is None:
                rest.append(upload)
            else:
                path, key = self._run.path(entry.key), self._run.full_key(entry.key)
                sent.append(upload)
                parcels.append(Parcel(path, key, kind, *entry[1:]))
        rest += await self._send(courier, sent, parcels) if parcels else ()
        return rest

    async def recall_at_stop(self) -> None:
        """Have everything given back that was not begun when the run is asked to stop; waits for that."""
        await self._run.stop.wait()
        if self._courier is not None:
            self._courier.recall()

    async def aclose(self) -> None:
        """End the couriers."""
        self._open_couriers = None
        courier, self._courier = self._courier, None
        if courier is not None:
            with anyio.CancelScope(shield=True):
                await courier.aclose()

    async def _couriers(self, count: int) -> Courier | None:
        self._seen += count
        if self._open_couriers is None or self._seen <= _WORTH or not self._plain:
            return self._courier
        open_couriers, self._open_couriers = self._open_couriers, None  # meanwhile others go the usual way
        await self._run.open_store()  # who cannot be reached is found out there
        self._courier = await open_couriers()
        return self._courier

    def _kind(self, courier: Courier, key: str) -> int | None:
        headers = self._headers
        if self._run.policy.encoding(key) or key in headers.overrides:
            return None
        if self._run.inspect is not None and self._run.inspected(key):
            return None  # a courier does not look into files
        same = (headers.type_of(key), headers.digest_of(key))
        if same not in self._kinds:
            options = headers.for_upload(SourceEntry(key, 0, 0, 0, 0))
            self._kinds[same] = courier.kind(options, META_MTIME)
        return self._kinds[same]

    async def _send(self, courier: Courier, sent: list[Upload], parcels: list[Parcel]) -> list[Upload]:
        reserved = sum(parcel.size for parcel in parcels)
        await self._run.budget.acquire(reserved)
        try:
            back = await courier.deliver(parcels, lambda place, receipt: self._arrived(sent[place], receipt))
        finally:
            self._run.budget.release(reserved)
        return [sent[place] for place in back]

    def _arrived(self, upload: Upload, receipt: Receipt) -> None:
        run, entry = self._run, upload.source
        result = receipt.result
        run.answered(result.encryption)
        if run.events is not events.discard:
            run.events(events.BytesSent(entry.key, entry.size))
        settled = is_settled(entry, receipt.started_ns, by_mtime=run.by_mtime)
        asked = self._headers.digest_of(entry.key)
        row = run.row(entry, receipt.md5.hex(), result.etag, settled=settled, headers=asked)
        content_type = self._headers.type_of(entry.key)
        run.recorder.add(Uploaded(row, entry.size, upload.reason, content_type, result.encryption, None))
