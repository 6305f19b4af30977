"""Compares objects with a list of ``sha256sum``, such as the receipt of a sync, without the source.

The objects in the list are read and hashed: one that a sync has compressed is compared as its original, and
as it is stored. A large object is not read where S3 stores a SHA-256 of all of it, which it has verified when
the object was stored (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from sqlite3 import Connection
from typing import IO, Any, Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.core.filters import Filters
from aios3sync.core.keys import SCHEME, escaped, parse_object
from aios3sync.core.safety import Protection
from aios3sync.core.sha256_list import LONGEST_LINE, NO_LINE, read_line
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import IntegrityError, ObjectNotFoundError, StoreError, UsageError
from aios3sync.local.scratch import ScratchDatabase
from aios3sync.objects.reader import open_object
from aios3sync.objects.verification import is_compressed_by_us
from aios3sync.report import Failure
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.policy import make_filters, useless_rules
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import report_endpoint
from aios3sync.sync.sides import sides_of
from aios3sync.sync.stored_checksum import head_with_checksum, stored_checksum
from aios3sync.sync.verify_pairs import pairs_of
from aios3sync.sync.verify_report import Difference, VerifyReport

__all__ = ("check_receipt",)

_AT_ONCE: Final = 16
_AHEAD: Final = 8 * 1024 * 1024
"""Bytes of one object that are read ahead: 128 MiB for all objects that are read at once."""
_ASKED_FROM: Final = 1024 * 1024
"""Size of an object in bytes from which a request for its checksum costs less than reading it."""
_PAGE: Final = 1000
_CHUNK: Final = 1024 * 1024
_SCHEMA: Final = "CREATE TABLE lines (key TEXT PRIMARY KEY, sha256 BLOB) WITHOUT ROWID;"

OpenStore = Callable[[str], Awaitable[ObjectStore]]


async def check_receipt(request: SyncRequest, resources: Resources, open_store: OpenStore) -> VerifyReport:
    """Compare the objects of a target with a list.

    Args:
        request: with the target and without files; its receipt is the list.
        resources: of the session.
        open_store: opens the store of a bucket, for a list that is an object.

    Raises:
        UsageError: the list cannot be read or parsed, or an option is invalid.
        StoreError: the target cannot be listed.
    """
    began = time.monotonic()
    place = str(request.options.receipt)
    sides = sides_of(request, resources, request.tree())
    filters = await to_thread.run_sync(make_filters, request, sides.files)
    report = VerifyReport(source=escape_undecodable(place), target=request.target)
    lines = ReceiptLines(place, escape=request.options.on_bad_name == "escape")
    try:
        with raise_first_error():
            await lines.load(open_store)
            await _Check(request, resources, report, filters).run(lines, sides.target.entries())
    finally:
        with anyio.CancelScope(shield=True):
            await lines.close()
    report_endpoint(resources)
    elapsed = round(time.monotonic() - began, 3)
    return replace(report, **resources.counts.as_fields(), elapsed_s=elapsed)


class ReceiptLine(NamedTuple):
    """One line of a list: a key relative to the target, and 32 bytes."""

    key: str
    sha256: bytes


class ReceiptLines:
    """The lines of a list, sorted by key on disk.

    Args:
        place: a path, or ``s3://bucket/key``.
        escape: names are paths, which are converted to keys as by ``on_bad_name="escape"``.

    Attributes:
        size: bytes of the list.
    """

    def __init__(self, place: str, *, escape: bool) -> None:
        self._place = place
        self._escape = escape
        self._sorted = ScratchDatabase(_SCHEMA)
        self._number = 0
        self._digest = hashlib.sha256()
        self.size = 0

    async def close(self) -> None:
        """Drop the lines."""
        await self._sorted.close()

    async def load(self, open_store: OpenStore) -> None:
        """Read all lines.

        Raises:
            UsageError: the list cannot be read, or a line cannot be parsed.
        """
        async with aclosing(self._chunks(open_store)) as chunks:
            rest = b""
            async for chunk in chunks:
                self._digest.update(chunk)
                self.size += len(chunk)
                *whole, rest = (rest + chunk).split(b"\n")
                await self._sorted.transact(partial(self._take, whole))
                if len(rest) > LONGEST_LINE:  # its end may never come
                    self._number += 1
                    raise self._wrong(NO_LINE)
            await self._sorted.transact(partial(self._take, [rest] if rest else []))

    @property
    def sha256(self) -> bytes:
        """The digest of the list itself."""
        return self._digest.digest()

    async def pages(self) -> AsyncGenerator[list[ReceiptLine], None]:
        """Yield the lines in key order."""
        after = ""
        while True:
            sql = "SELECT key, sha256 FROM lines WHERE key > ? ORDER BY key LIMIT ?"
            page = [ReceiptLine(*row) for row in await self._sorted.fetch(sql, (after, _PAGE))]
            if not page:
                return
            yield page
            after = page[-1].key

    async def _chunks(self, open_store: OpenStore) -> AsyncGenerator[bytes, None]:
        if not self._place.startswith(SCHEME):
            async for chunk in self._chunks_of_file():
                yield chunk
            return
        bucket, key = parse_object(self._place)
        try:
            async with open_object(await open_store(bucket), key) as reader:
                async for chunk in reader:
                    yield chunk
        except ObjectNotFoundError:
            raise UsageError(f"receipt: there is no {self._place}") from None

    async def _chunks_of_file(self) -> AsyncIterator[bytes]:
        try:
            file = await to_thread.run_sync(_opened, self._place)
            try:
                while chunk := await to_thread.run_sync(file.read, _CHUNK):
                    yield chunk
            finally:
                file.close()
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise UsageError(f"receipt: {escape_undecodable(self._place)} cannot be read: {reason}") from None

    def _take(self, lines: Sequence[bytes], connection: Connection) -> None:
        for line in lines:
            self._number += 1
            try:
                found = read_line(line)
                if found is None:
                    continue
                key, digest = self._key(found[0]), bytes.fromhex(found[1])
            except ValueError as error:
                raise self._wrong(str(error)) from None
            known = connection.execute("SELECT sha256 FROM lines WHERE key = ?", (key,)).fetchone()
            if known is not None and known[0] != digest:
                raise self._wrong(f"{key!r} has another digest in a line before")
            connection.execute("INSERT OR IGNORE INTO lines VALUES (?, ?)", (key, digest))

    def _key(self, name: bytes) -> str:
        path = os.fsdecode(name)
        while path.startswith("./"):
            path = path[2:].lstrip("/")
        if not path or path.startswith("/"):
            raise ValueError(f"{escape_undecodable(os.fsdecode(name))!r} is not relative to the target")
        # Bytes that are no UTF-8 can only be stored escaped.
        return escaped(path) if self._escape or escape_undecodable(path) != path else path

    def _wrong(self, problem: str) -> UsageError:
        return UsageError(f"receipt: line {self._number} of {escape_undecodable(self._place)}: {problem}")


def _opened(path: str) -> IO[bytes]:
    return open(path, "rb")


class _Check:
    """One run: joins the list and the listing, and reads the objects of both, several at once."""

    def __init__(
        self, request: SyncRequest, resources: Resources, report: VerifyReport, filters: Filters
    ) -> None:
        self._prefix = request.location.prefix
        self._resources = resources
        self._report = report
        self._filters = filters
        self._protection = Protection(prefixes=request.options.protected_prefixes)
        self._slots = anyio.CapacityLimiter(_AT_ONCE)

    async def run(self, lines: ReceiptLines, listed: AsyncGenerator[list[TargetEntry], None]) -> None:
        """Compare all objects."""
        store = await self._resources.open_store()
        joined = pairs_of(lines.pages(), listed, self._entries)
        async with aclosing(joined) as pairs, anyio.create_task_group() as tasks:
            async for line, found in pairs:
                if found is None:
                    self._report.add_difference(Difference(line.key, "missing", "not in the target"))
                elif line is not None:
                    await self._slots.acquire_on_behalf_of(found.key)
                    tasks.start_soon(self._compare, store, line, found)
                elif self._is_extra(found):
                    await self._slots.acquire_on_behalf_of(found.key)
                    tasks.start_soon(self._report_extra, store, lines, found)
        if text := useless_rules(self._filters):
            self._resources.on_event(events.Warned(text))

    def _entries(self, index: int, batch: list[Any]) -> list[Any]:
        if index != 0:
            return batch
        visible = [line for line in batch if self._filters.visible(line.key)]
        self._resources.on_event(events.Scanned(len(visible), 0))
        return visible

    def _is_extra(self, found: TargetEntry) -> bool:
        protected = self._protection.covers(found.key, found.size, tracked=False)
        return self._filters.visible(found.key) and not protected

    async def _report_extra(self, store: ObjectStore, lines: ReceiptLines, found: TargetEntry) -> None:
        """Report an object that is not in the list, unless it is the list itself under any name."""
        key = self._prefix + found.key
        try:
            if found.size != lines.size or (await _sha256(store, key, decode=True))[0] != lines.sha256:
                self._report.add_difference(Difference(found.key, "extra", "not in the receipt"))
        except StoreError as error:
            self._report.add_failure(Failure(found.key, "compare", str(error)))
        finally:
            self._slots.release_on_behalf_of(found.key)

    async def _compare(self, store: ObjectStore, line: ReceiptLine, found: TargetEntry) -> None:
        try:
            problem = await self._problem(store, line, found)
        except ObjectNotFoundError:
            self._report.add_difference(Difference(line.key, "missing", "not in the target any more"))
        except StoreError as error:
            self._report.add_failure(Failure(line.key, "compare", str(error)))
        except Exception as error:  # noqa: BLE001 - the failure of one object does not end the run
            self._report.add_failure(Failure.unforeseen(line.key, "compare", error))
        else:
            if problem:
                self._report.add_difference(Difference(line.key, "content", problem))
            else:
                self._report.same += 1
                self._resources.on_event(events.Decided(1))
        finally:
            self._slots.release_on_behalf_of(line.key)

    async def _problem(self, store: ObjectStore, line: ReceiptLine, found: TargetEntry) -> str:
        """Return how an object differs from its line; empty if it does not."""
        key = self._prefix + line.key
        if found.size >= _ASKED_FROM and (kept := await _kept_sha256(store, key)):
            return "" if kept == line.sha256 else "the SHA-256 that S3 keeps of it is another one"
        self._report.read += 1
        try:
            sha256, decoded = await _sha256(store, key, decode=True)
            if sha256 != line.sha256 and decoded:  # the list may name it as it is stored
                sha256, _ = await _sha256(store, key, decode=False)
        except IntegrityError as error:
            return str(error)
        return "" if sha256 == line.sha256 else "the content has another SHA-256"


async def _kept_sha256(store: ObjectStore, key: str) -> bytes:
    """Return the SHA-256 that S3 stores for the whole object; empty where it stores none."""
    head = await head_with_checksum(store, key)
    checksum = head.checksum
    if checksum is None or checksum.algorithm != "sha256" or checksum.parts or is_compressed_by_us(head):
        return b""
    stored = await stored_checksum(store, key, head)
    return checksum.digest if stored is not None and stored.certain else b""


async def _sha256(store: ObjectStore, key: str, *, decode: bool) -> tuple[bytes, bool]:
    """Return the digest of an object, and whether it is that of the original of a compressed object."""
    digest = hashlib.sha256()
    async with open_object(store, key, memory=_AHEAD, decode=decode) as reader:
        async for chunk in reader:
            await to_thread.run_sync(digest.update, chunk)
        return digest.digest(), reader.decodes
