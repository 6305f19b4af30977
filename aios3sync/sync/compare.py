"""Settle CompareDigest actions: hash files in threads, send HEAD requests where only metadata can decide.

This module collects evidence; the core decides, and the resulting action is passed on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import run_in_thread
from aios3sync.core.actions import (
    KEPT,
    Adopt,
    CompareDigest,
    Conflict,
    Keep,
    Reason,
    Touch,
    UpdateHeaders,
    Upload,
)
from aios3sync.core.decision import Evidence, Stored, part_sizes
from aios3sync.core.etag import is_opaque_encryption, same_etag
from aios3sync.core.metadata import recorded_md5
from aios3sync.errors import StoreError
from aios3sync.events import Adopted, Kept, NotDone, Outcome, Touched
from aios3sync.local.digest import FileDigest
from aios3sync.store.protocol import HeadResult, ObjectStore
from aios3sync.sync.directions import DOWN
from aios3sync.sync.etag_conflict import settle_metadata_conflict
from aios3sync.sync.refusals import is_hopeless
from aios3sync.sync.run import Run
from aios3sync.sync.stored_checksum import (
    file_has_checksum,
    head_with_checksum,
    is_proved_otherwise,
    stored_checksum,
)

__all__ = ("compare_worker",)

_GROUP_FILES: Final = 256
_GROUP_BYTES: Final = 32 * 1024 * 1024


class _Wanted(NamedTuple):
    """The actions for other stages that result from a group of comparisons.

    Attributes:
        doubtful: comparisons with the object of an inventory that led to an upload.
    """

    transfers: list[Any]
    updates: list[UpdateHeaders]
    doubtful: list[tuple[CompareDigest, FileDigest]]


Digested = FileDigest | Exception


async def compare_worker(
    run: Run,
    compares: MemoryObjectReceiveStream[list[CompareDigest]],
    transfers: MemoryObjectSendStream[list[Any]],
    updates: MemoryObjectSendStream[list[UpdateHeaders]],
) -> None:
    """Settle batches until there are no more; the worker closes its streams, which are clones of its own."""
    async with compares, transfers, updates:
        async for batch in compares:
            for group in _groups(batch):
                if not run.stop.signal:  # after a stop the rest is only drained, and counted as cancelled
                    wanted = await _settle_group(run, group)
                    if transfer := _readable(run, wanted.transfers):
                        size = sum(each.source.size for each in transfer)
                        run.events(run.direction.planned(len(transfer), size))
                        await transfers.send(transfer)
                    if wanted.updates:
                        run.events(events.Planned(updates=len(wanted.updates)))
                        await updates.send(wanted.updates)


def _readable(run: Run, transfers: list[Any]) -> list[Any]:
    """Return the transfers that are possible: not downloads of objects that are in an archive."""
    if not (transfers and run.direction.name == DOWN):
        return transfers
    from aios3sync.sync.archives import readable

    return readable(run, transfers, planned=True)


def _groups(batch: list[CompareDigest]) -> Iterator[list[CompareDigest]]:
    """Cut a batch so that one call in a thread neither takes long nor hashes only one small file."""
    group: list[CompareDigest] = []
    size = 0
    for compare in batch:
        group.append(compare)
        size += compare.source.size
        if len(group) >= _GROUP_FILES or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


async def _settle_group(run: Run, group: list[CompareDigest]) -> _Wanted:
    digests = await run_in_thread(lambda stop: [_digest(run, compare, stop) for compare in group])
    wanted = _Wanted([], [], [])
    async with anyio.create_task_group() as asking:
        for compare, digest in zip(group, digests, strict=True):
            try:
                if isinstance(digest, Exception):
                    raise digest  # noqa: TRY301 - as an error of what follows
                if digest.entry != compare.source:
                    # The file may have changed since the walk: the stat of its hashing counts.
                    compare = replace(compare, source=digest.entry)
                evidence = Evidence(digest.md5, digest.part_etags)
                if run.direction.needs_head(compare, evidence, run.settling_policy):
                    asking.start_soon(_ask, run, compare, digest, wanted)
                else:
                    _finish(run, compare, digest, evidence, wanted)
            except Exception as error:  # noqa: BLE001 - Run.item, spelled out: this is once for every file
                run.recorder.add(run.outcome_of_error(compare.source.key, "compare", error))
    if wanted.doubtful:
        await _settle_doubtful(run, wanted)
    return wanted


def _digest(run: Run, compare: CompareDigest, stop: threading.Event) -> Digested:
    key = compare.source.key
    try:
        sizes = _part_sizes(run, compare)
        return run.files.digest(
            key, stop, part_sizes=sizes, by_mtime=run.by_mtime, sha256=run.receipt is not None
        )
    except Exception as error:  # noqa: BLE001 - it becomes the outcome of this file
        return error


def _part_sizes(run: Run, compare: CompareDigest) -> tuple[int, ...]:
    wanted = run.options.part_size
    return part_sizes(compare, min(wanted, run.profile.max_part_size), wanted)


async def _ask(run: Run, compare: CompareDigest, digest: FileDigest, wanted: _Wanted) -> None:
    with run.item(compare.source.key, "compare"):
        await _settle_with_head(run, compare, digest, wanted)


async def _settle_with_head(run: Run, compare: CompareDigest, digest: FileDigest, wanted: _Wanted) -> None:
    store = await run.resources.open_store()
    try:
        version_id = "" if compare.target is None else compare.target.version_id
        head = await head_with_checksum(store, run.full_key(compare.source.key), version_id)
    except StoreError as error:
        if error.retryable or is_hopeless(error):
            run.recorder.add(run.outcome_of_error(compare.source.key, "compare", error))
            return
        stored = Stored("")  # there is no evidence, and what is indeterminate is uploaded (P13)
    else:
        run.note_response()
        opaque = is_opaque_encryption(head.encryption)
        same_bytes = await _has_stored_checksum(run, store, compare, head)
        stored = Stored(recorded_md5(head.metadata), head.content_encoding, opaque, same_bytes)
        run.opaque_etags |= opaque
        if not run.policy.encoding(compare.source.key):
            await settle_metadata_conflict(run, compare.source.key, head, digest)
    evidence = Evidence(digest.md5, digest.part_etags, stored)
    _finish(run, compare, digest, evidence, wanted)


async def _has_stored_checksum(
    run: Run, store: ObjectStore, compare: CompareDigest, head: HeadResult
) -> bool | None:
    """Return whether the file has the checksum that S3 stores with the object, if nothing else proves it."""
    file, target = compare.source, compare.target
    if target is None or head.checksum is None or not same_etag(head.etag, target.etag):
        return None
    if head.size != file.size or run.policy.encoding(file.key):
        return None
    if is_proved_otherwise(head, opaque=run.settling_policy.opaque_etags):
        return None
    stored = await stored_checksum(store, run.full_key(file.key), head, target.version_id)
    if stored is None:
        return None
    return await run_in_thread(lambda stop: file_has_checksum(run.files, file, stored, stop))


async def _settle_doubtful(run: Run, wanted: _Wanted) -> None:
    """Compare files with the current objects, where the inventory may be outdated."""
    assert run.inventory_check is not None  # noqa: S101 - without it nothing is doubtful
    keys = [compare.source.key for compare, _ in wanted.doubtful]
    objects = await run.inventory_check.target_objects(keys)
    for compare, digest in wanted.doubtful:
        key = compare.source.key
        with run.item(key, "compare"):
            now = objects[key]
            if isinstance(now, StoreError):
                raise now
            if now is None:
                wanted.transfers.append(Upload(compare.source, Reason.MISSING, digest.md5))
                continue
            # No more is asked: an ETag that proves nothing leads to an upload, as in every comparison (P13).
            evidence = Evidence(digest.md5, digest.part_etags, Stored(""))
            _finish(run, replace(compare, target=now), digest, evidence, wanted, certain=True)


def _finish(
    run: Run,
    compare: CompareDigest,
    digest: FileDigest,
    evidence: Evidence,
    wanted: _Wanted,
    *,
    certain: bool = False,
) -> None:
    action = run.direction.settle(compare, evidence, run.settling_policy)
    if type(action) is run.direction.transfer:
        check = run.inventory_check
        if check is not None and not certain and check.doubts(compare):
            wanted.doubtful.append((compare, digest))
        else:
            wanted.transfers.append(action)
        return
    if isinstance(action, UpdateHeaders):
        wanted.updates.append(replace(action, settled=digest.settled))
        return
    outcome: Outcome
    match action:
        case Keep():
            outcome = Kept(compare.source.key)
        case Touch(source, recorded, _):
            row = recorded.with_stat(source, settled=digest.settled, run=run.number)
            if run.receipt is not None:
                row = row._replace(sha256=recorded.sha256 or digest.sha256)
            outcome = Touched(row, visible=source[1:5] != recorded[1:5])
        case Adopt(source, target, md5, part_size, encoding):
            settled = digest.settled
            row = run.row(
                source,
                md5,
                target.etag,
                settled=settled,
                part_size=part_size,
                encoding=encoding,
                sha256=digest.sha256,
            )
            outcome = Adopted(row, target)
        case Conflict(key, reason):
            way_out = KEPT if run.direction.name == DOWN else ""
            outcome = NotDone(key, "conflicts", "conflict", f"{reason.value}{way_out}")
        case _:
            raise TypeError(f"{action!r} settles nothing")
    run.recorder.add(outcome)
