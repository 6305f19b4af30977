"""Writes the receipt of a run atomically, to a file or an object.

The list itself is made by :mod:`aios3sync.sync.receipt`. Only an existing file or object that is such a list
too is replaced. After a run in which not everything has succeeded it stays as it was.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import IO, Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.keys import SCHEME, parse_object
from aios3sync.core.parts import MIB
from aios3sync.core.sha256_list import LONGEST_LINE, read_line
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import ObjectNotFoundError, StoreError, UsageError
from aios3sync.local.replacing import replacing
from aios3sync.objects.writer import write_object
from aios3sync.options import payer_of
from aios3sync.report import ReceiptResult, SyncReport
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.sync.receipt_list import ReceiptList
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.memory import ByteSemaphore

__all__ = ("run_with_receipt",)

_CHUNK: Final = MIB
_MEMORY: Final = 64 * MIB

Run = Callable[[SyncRequest, Resources], Awaitable[SyncReport]]
OpenStore = Callable[[str], Awaitable[ObjectStore]]


async def run_with_receipt(
    run: Run, request: SyncRequest, resources: Resources, open_store: OpenStore
) -> SyncReport:
    """Run a sync, and write its receipt.

    Args:
        run: runs it.
        request: its receipt is a path or ``s3://bucket/key``.
        resources: of the session.
        open_store: opens the store of a bucket.

    Raises:
        UsageError: the receipt cannot be written there, or would replace something else.
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
    """
    place = str(request.options.receipt)
    writer: _File | _Object
    if place.startswith(SCHEME):
        bucket, key = parse_object(place)
        writer = _Object(await open_store(bucket), key, _headers(request))
    else:
        place = await to_thread.run_sync(os.path.abspath, place)
        writer = _File(await to_thread.run_sync(os.path.realpath, place))
    await writer.check()
    if request.options.dry_run:
        return await run(request, resources)
    receipt = await to_thread.run_sync(ReceiptList)
    try:
        report = await run(request, replace(resources, receipt=receipt))
        problem = receipt.problem or await writer.write(receipt.lines)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(receipt.close)
    if (counts := resources.counts) is not None:
        report = replace(report, **counts.as_fields())
    shown = escape_undecodable(place)
    if not problem:
        return replace(report, receipt=ReceiptResult(shown, receipt.files))
    warning = f"no receipt was written to {shown}: {problem}"
    return replace(report, receipt=ReceiptResult(shown, 0, problem), warnings=(*report.warnings, warning))


def _headers(request: SyncRequest) -> PutOptions:
    """Return the headers of the object: encryption and access rights as for the data, but no others."""
    options = request.options
    return PutOptions(
        content_type="text/plain; charset=utf-8",
        sse=options.sse,
        sse_kms_key_id=options.sse_kms_key_id,
        acl=options.acl,
        request_payer=payer_of(options.request_payer),
    )


def _refuse_other(place: str, head: bytes) -> None:
    """Check that the replaced content is a list as well, or empty."""
    with suppress(ValueError):
        if not head or read_line(head.partition(b"\n")[0]) is not None:
            return
    raise UsageError(
        f"receipt: {escape_undecodable(place)} is there and is no list of sha256sum; name another place"
    )


def _head_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(LONGEST_LINE)


class _Object:
    """A receipt as an object."""

    def __init__(self, store: ObjectStore, key: str, headers: PutOptions) -> None:
        self._store = store
        self._key = key
        self._headers = headers

    async def check(self) -> None:
        """Check the existing content.

        Raises:
            UsageError: it is no receipt.
        """
        try:
            found = await self._store.get(self._key, length=LONGEST_LINE)
        except ObjectNotFoundError:
            return
        except StoreError as error:
            if error.status == 403:  # credentials that may only write
                return
            raise
        _refuse_other(f"s3://{self._store.bucket}/{self._key}", found.body)

    async def write(self, lines: IO[bytes]) -> str:
        """Store the list; return why that failed, empty if it succeeded."""

        async def chunks() -> AsyncIterator[bytes]:
            await to_thread.run_sync(lines.seek, 0)
            while chunk := await to_thread.run_sync(lines.read, _CHUNK):
                yield chunk

        try:
            await write_object(self._store, self._key, chunks(), self._headers, ByteSemaphore(_MEMORY))
        except StoreError as error:
            return str(error)
        return ""


class _File:
    """A receipt as a file, with an absolute path without links."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def check(self) -> None:
        """Check the existing content.

        Raises:
            UsageError: it is no receipt, or there is no directory for it.
        """
        await to_thread.run_sync(self._check)

    def _check(self) -> None:
        shown = escape_undecodable(self._path)
        try:
            is_file = stat.S_ISREG(os.stat(self._path).st_mode)
            head = _head_of(self._path) if is_file else b""
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(self._path)):
                raise UsageError(f"receipt: there is no directory for {shown}; make it first") from None
            return
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise UsageError(f"receipt: {shown} cannot be read: {reason}") from None
        if not is_file:
            raise UsageError(f"receipt: {shown} is no regular file; name a file")
        _refuse_other(self._path, head)

    async def write(self, lines: IO[bytes]) -> str:
        """Replace the file; return why that failed, empty if it succeeded."""
        try:
            await to_thread.run_sync(self._write, lines)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _write(self, lines: IO[bytes]) -> None:
        lines.seek(0)
        with replacing(self._path) as file:
            shutil.copyfileobj(lines, file, _CHUNK)
