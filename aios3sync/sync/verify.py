"""Compares the content of source and target and reports the differences; it writes to neither side.

An object is read and hashed only where neither its ETag nor its metadata proves its content, or where one
contradicts the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.concurrency import raise_first_error, run_in_thread
from aios3sync.core.content import BodyDigest, has_content, is_gzip
from aios3sync.core.entries import Problem, ScanBatch, SourceEntry, TargetEntry
from aios3sync.core.etag import is_opaque_encryption, part_count, part_size_candidates
from aios3sync.core.filters import Filters
from aios3sync.core.safety import Protection
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import StoreError, UsageError
from aios3sync.local.digest import ChangedError, FileDigest
from aios3sync.report import Failure
from aios3sync.store.protocol import HeadResult, ObjectStore
from aios3sync.sync.policy import make_filters, useless_rules
from aios3sync.sync.receipt_names import known_receipts
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import report_endpoint
from aios3sync.sync.sides import Sides, sides_of
from aios3sync.sync.stored_checksum import file_has_checksum, head_with_checksum, stored_checksum
from aios3sync.sync.verify_pairs import pairs_of
from aios3sync.sync.verify_report import Difference, VerifyReport

__all__ = ("run_verify",)

_AT_ONCE: Final = 16
_RANGE: Final = 16 * 1024 * 1024
"""Bytes of one ranged read: large enough to be fast, small enough for sixteen at once."""


async def run_verify(request: SyncRequest, resources: Resources) -> VerifyReport:
    """Compare the source and the target of a request.

    Raises:
        UsageError: an option is impossible here.
        SourceError: the source cannot be read.
        StoreError: the target cannot be listed.
    """
    began = time.monotonic()
    if request.options.as_of is not None and request.direction != "down":
        raise UsageError("as_of: only a directory is compared with what a bucket held; leave it out")
    tree = request.tree()
    await tree.check(may_be_absent=request.direction == "down")
    sides = sides_of(request, resources, tree)
    receipts = await to_thread.run_sync(known_receipts, request)
    filters = await to_thread.run_sync(make_filters, request, sides.files, receipts)
    report = VerifyReport(source=request.source, target=request.target)
    with raise_first_error():
        if request.direction == "copy":
            from aios3sync.sync.verify_copies import verify_copies

            await verify_copies(request, resources, sides, report, filters)
        else:
            await _Verification(request, resources, sides, report, filters).run()
    report_endpoint(resources)
    elapsed = round(time.monotonic() - began, 3)
    return replace(report, **resources.counts.as_fields(), elapsed_s=elapsed)


class _Verification:
    """One run: joins source and target, and compares the pairs, several at once."""

    def __init__(
        self,
        request: SyncRequest,
        resources: Resources,
        sides: Sides,
        report: VerifyReport,
        filters: Filters,
    ) -> None:
        self._request = request
        self._resources = resources
        self._sides = sides
        self._is_download = request.direction == "down"
        self._report = report
        self._filters = filters
        self._protection = Protection(prefixes=request.options.protected_prefixes)
        self._slots = anyio.CapacityLimiter(_AT_ONCE)

    async def run(self) -> None:
        store = await self._resources.open_store()
        extras: list[Any] = []
        async with aclosing(self._pairs()) as pairs, anyio.create_task_group() as comparing:
            async for source, target in pairs:
                if source is None:
                    extras.append(target)
                elif target is None:
                    self._report.add_difference(Difference(source.key, "missing", "not in the target"))
                else:
                    file, found = (target, source) if self._is_download else (source, target)
                    await self._slots.acquire_on_behalf_of(file.key)
                    comparing.start_soon(self._compare, store, file, found)
        for target in extras:
            self._extra(target)
        if text := useless_rules(self._filters):
            self._resources.on_event(events.Warned(text))

    def _pairs(self) -> AsyncGenerator[tuple[Any, Any], None]:
        walk = self._sides.walked.walk(self._filters, self._request.location.prefix)
        if self._is_download:
            listed = self._sides.source.walk(self._filters, self._request.location.prefix)
            source: AsyncGenerator[Any, None] = listed.stream()
            target: AsyncGenerator[Any, None] = walk.stream()
        else:
            source, target = walk.stream(), self._sides.target.entries()
        return pairs_of(source, target, self._entries)

    def _entries(self, index: int, batch: list[Any] | ScanBatch[Any]) -> list[Any]:
        if not isinstance(batch, ScanBatch):
            return batch
        for problem in batch.problems:
            self._problem(problem)
        if index == 0:
            size = sum(entry.size for entry in batch.entries)
            self._resources.on_event(events.Scanned(len(batch.entries), size))
        return batch.entries

    def _problem(self, problem: Problem) -> None:
        if problem.kind == "unreadable":
            self._report.add_failure(Failure(escape_undecodable(problem.path), "scan", problem.error))
        elif problem.kind == "skipped":
            self._resources.on_event(
                events.Warned(f"skipped {escape_undecodable(problem.path)}: {problem.error}")
            )

    def _extra(self, target: SourceEntry | TargetEntry) -> None:
        # Called at the end, when all .gitignore files are known.
        protected = not self._is_download and self._protection.covers(target.key, target.size, tracked=False)
        if self._filters.visible(target.key) and not protected:
            self._report.add_difference(Difference(target.key, "extra", "not in the source"))

    async def _compare(self, store: ObjectStore, file: SourceEntry, found: TargetEntry) -> None:
        try:
            difference = await self._difference(store, file, found)
        except (StoreError, OSError, ChangedError) as error:
            self._report.add_failure(Failure(file.key, "compare", str(error)))
        except Exception as error:  # noqa: BLE001 - the failure of one file does not end the run
            self._report.add_failure(Failure.unforeseen(file.key, "compare", error))
        else:
            if difference is None:
                self._report.same += 1
                self._resources.on_event(events.Decided(1))
            else:
                self._report.add_difference(difference)
        finally:
            self._slots.release_on_behalf_of(file.key)

    async def _difference(
        self, store: ObjectStore, file: SourceEntry, found: TargetEntry
    ) -> Difference | None:
        digest = await run_in_thread(lambda stop: self._digest(file, found, stop))
        proofs = (digest.md5, *digest.part_etags.values())
        if digest.entry.size == found.size and found.etag.lower() in proofs:
            return None
        key = self._request.location.prefix + file.key
        head = await head_with_checksum(store, key, found.version_id)
        compressed = is_gzip(head.content_encoding)
        if not compressed and digest.entry.size != head.size:
            text = f"{digest.entry.size} bytes here, {head.size} there"
            return Difference(file.key, "size", text)
        opaque = store.capabilities.opaque_etags or is_opaque_encryption(head.encryption)
        same = has_content(digest.md5, head.etag, head.metadata, gzip=compressed, opaque=opaque)
        if same is None and digest.entry.size == head.size:
            same = await self._has_checksum(store, key, found, head, digest)
        if same is None:
            return await self._read(store, key, found, head, digest)
        return None if same else Difference(file.key, "content", "the content differs")

    async def _has_checksum(
        self, store: ObjectStore, key: str, found: TargetEntry, head: HeadResult, digest: FileDigest
    ) -> bool | None:
        """Return whether the file has the checksum that the endpoint stores with the object.

        With another checksum the content may still be the same, where the stored bytes are gzip.
        """
        stored = await stored_checksum(store, key, head, found.version_id)
        if stored is None:
            return None
        files, file = self._sides.files, digest.entry
        same = await run_in_thread(lambda stop: file_has_checksum(files, file, stored, stop))
        return same or (None if is_gzip(head.content_encoding) else same)

    def _digest(self, file: SourceEntry, found: TargetEntry, stop: threading.Event) -> FileDigest:
        parts = part_count(found.etag)
        wanted = self._request.options.part_size
        sizes = part_size_candidates(file.size, parts, wanted) if parts else ()
        return self._sides.files.digest(file.key, stop, part_sizes=sizes)

    async def _read(
        self, store: ObjectStore, key: str, found: TargetEntry, head: HeadResult, digest: FileDigest
    ) -> Difference | None:
        """Compare with the bytes of the object and, where they are gzip, with their decompressed content."""
        self._report.read += 1
        body = BodyDigest(gzip=is_gzip(head.content_encoding), most=digest.entry.size)
        for start in range(0, head.size, _RANGE):
            result = await store.get(
                key, start=start, length=_RANGE, if_match=head.etag, version_id=found.version_id
            )
            await to_thread.run_sync(body.update, result.body)
        body.end()
        if body.holds(digest.md5):
            return None
        detail = f"Content-Encoding is {head.content_encoding}, and the body {body.problem}"
        text = detail if body.problem else "the content differs"
        return Difference(digest.entry.key, "content", text)
