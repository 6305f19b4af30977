"""Lists the files that are in sync after a run, each with its SHA-256, in the format of ``sha256sum -c``.

The names of the source are noted while they are compared; when everything has succeeded, each name that has a
row in the manifest is in sync. A digest that is known neither from the transfer nor from an earlier receipt
is computed from the file, and kept in its row. Memory does not grow with the tree.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import anyio

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.concurrency import CORES, in_thread, run_in_thread
from aios3sync.core.decision import has_part_digests, same_stat
from aios3sync.core.digests import PartDigests
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.etag import multipart_etag, same_etag
from aios3sync.core.sha256_list import line_of
from aios3sync.core.text import escape_undecodable
from aios3sync.local.digest import ChangedError
from aios3sync.sync.receipt_names import receipt_key, remembered

if TYPE_CHECKING:
    from aios3sync.manifest.protocol import Manifest
    from aios3sync.sync.pipeline import Pipeline
    from aios3sync.sync.receipt_list import ReceiptList
    from aios3sync.sync.run import Run

__all__ = ("fill_receipt",)

_CHUNK: Final = 1024 * 1024
_WRONG: Final = ("failed", "conflicts", "withheld", "cancelled", "vanished", "archived", "restoring")
"""The states of items after which not everything is in sync."""


async def fill_receipt(pipeline: Pipeline) -> None:
    """Fill the list of a run that has ended, or record why there is none. A stop ends it early.

    Raises:
        ManifestError: what was hashed cannot be recorded.
        TemporarySpaceError: the list cannot be written.
    """
    receipt, run = pipeline.run.receipt, pipeline.run
    if receipt is None or run.options.dry_run:
        return
    receipt.problem = _problem(pipeline)
    if receipt.problem:
        return
    receipt.problem = _STOPPED
    run.events(events.PhaseBegan("finish"))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(_cancel_at_stop, run, scope)
            receipt.problem = await _fill(run, pipeline.manifest, receipt)
            waiting.cancel_scope.cancel()


_STOPPED: Final = "the run was stopped"


def _problem(pipeline: Pipeline) -> str:
    run = pipeline.run
    if run.stop.signal:
        return _STOPPED
    counts = run.builder.counts()
    if wrong := [f"{state} {counts[state]:,}" for state in _WRONG if counts[state]]:
        return f"not everything is in step: {', '.join(wrong)}"
    if run.builder.aborted or pipeline.refused is not None or run.builder.errors or run.builder.incomplete:
        return "not everything is in step"
    return "" if pipeline.complete else "the comparison did not end"


async def _cancel_at_stop(run: Run, scope: anyio.CancelScope) -> None:
    await run.stop.wait()
    scope.cancel()


class _NotInStepError(Exception):
    """A file is no longer what was compared."""


async def _fill(run: Run, manifest: Manifest, receipt: ReceiptList) -> str:
    """Write all lines; return why some are missing, empty where none is."""
    await in_thread(receipt.restart)
    groups = receipt.groups(manifest)
    while (group := await in_thread(next, groups, None)) is not None:
        unknown = [row for row in group if not row.sha256]
        if unknown:
            try:
                hashed = await _hashed(run, unknown)
            except _NotInStepError as error:
                return str(error)
            await manifest.record([*hashed.values()], [])
            receipt.recorded = True
            group = [hashed.get(row.key, row) for row in group]
        await in_thread(receipt.add, [_line(run, row) for row in group])
    receipt.recorded |= await _remember_key(run, manifest)
    return ""


async def _remember_key(run: Run, manifest: Manifest) -> bool:
    """Remember the key of the receipt, for runs that write none; return whether it is new."""
    key, state = await in_thread(receipt_key, run.request), await manifest.state()
    receipts = remembered(state.receipts, key) if key else state.receipts
    if receipts == state.receipts:
        return False
    await manifest.save_state(replace(state, receipts=receipts))
    return True


def _line(run: Run, row: RecordedEntry) -> bytes:
    return line_of(os.fsencode(run.options.path_of(row.key)), row.sha256)


async def _hashed(run: Run, rows: Sequence[RecordedEntry]) -> dict[str, RecordedEntry]:
    """Return rows with the digests of their files; they are hashed on all cores.

    Raises:
        _NotInStepError: a file is not what was compared.
    """
    known: dict[str, RecordedEntry] = {}
    problems: list[_NotInStepError] = []
    left = iter(rows)
    turn = threading.Lock()

    def work(stop: threading.Event) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        while not (stop.is_set() or problems):
            with turn:
                row = next(left, None)
            if row is None:
                return
            try:
                known[row.key] = row._replace(sha256=_sha256(run, row, buffer, stop))
            except _NotInStepError as error:
                problems.append(error)

    async with anyio.create_task_group() as threads:
        for _ in range(min(CORES, len(rows))):
            threads.start_soon(run_in_thread, work)
    if problems:
        raise problems[0]
    return known


def _sha256(run: Run, row: RecordedEntry, buffer: memoryview, stop: threading.Event) -> str:
    """Return the SHA-256 of the file of a row, which must have the stat and the digest of the row. Blocks."""
    try:
        file = run.files.open(row.key)
        try:
            sha256 = hashlib.sha256()
            # Without an MD5 the row has the digests of its parts, or no digest at all.
            parts = PartDigests(row.part_size if has_part_digests(row) else max(1, row.size))
            now = file.stat()
            if not same_stat(now, row, run.policy):
                raise ChangedError(row.key)
            for offset in range(0, row.size, _CHUNK):
                if stop.is_set():
                    raise ChangedError(row.key)
                piece = buffer[: min(_CHUNK, row.size - offset)]
                file.read_into(offset, piece)
                parts.update(piece)
                sha256.update(piece)
            if file.stat() != now or not _is_digest_of_row(row, parts.finish()):
                raise ChangedError(row.key)
        finally:
            file.close()
    except ChangedError:
        raise _NotInStepError(f"{escape_undecodable(row.key)} was changed meanwhile") from None
    except OSError as error:
        reason = error.strerror or error
        raise _NotInStepError(f"{escape_undecodable(row.key)} cannot be read: {reason}") from None
    return sha256.hexdigest()


def _is_digest_of_row(row: RecordedEntry, parts: Sequence[bytes]) -> bool:
    """Return whether these digests, of the parts or of the one whole, are those of a row that has any."""
    if has_part_digests(row):
        return same_etag(row.etag, multipart_etag(parts))
    return not row.md5 or parts[0].hex() == row.md5
