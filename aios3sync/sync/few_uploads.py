"""Send a few small files that changed, without an event loop; called by ``small_run.py``.

The decisions, the requests and the rows are those of a run. Either everything is done or nothing counts:
stored objects are recorded when all are stored; after anything unusual a run begins anew, and sends them
again.

Invariants
----------
* The manifest is incomplete from before the first request until all rows are recorded (P10): a process that
  ends in between leaves a manifest with which the next run lists.
* Its former state is restored if certainly no object was stored: then a run needs no listing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.core.actions import CompareDigest, Keep, Touch, Upload
from aios3sync.core.decision import Evidence, settle
from aios3sync.core.entries import RecordedEntry, SourceEntry
from aios3sync.core.media_types import is_utf8
from aios3sync.local.digest import is_settled
from aios3sync.manifest.protocol import BlockingManifest
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.transfers.headers import HeaderPlan

if TYPE_CHECKING:
    from aios3sync.core.actions import Action
    from aios3sync.core.policy import Policy

__all__ = ("AppliedChanges", "Puts", "SourceFiles", "apply_changes")


class Puts(Protocol):
    """Stores small objects, see :class:`~aios3sync.store.wire.blocking_puts.BlockingPuts`."""

    def put(self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str) -> PutResult | None:
        """Store one object; return ``None`` if it was certainly not stored.

        Raises:
            ValueError, OSError: it is unknown whether it was stored.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...


class SourceFiles(Protocol):
    """The files of a source, see :class:`~aios3sync.local.root.TreeRoot`."""

    def read_now(self, entry: SourceEntry) -> tuple[bytes, int] | None:
        """Return a small file and when its reading began (ns); ``None`` if it changed since the walk.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def is_unchanged(self, row: RecordedEntry) -> bool:
        """Whether the file of a row is still what was sent (P8); one that is gone counts as unchanged."""
        ...


class AppliedChanges(NamedTuple):
    """The changes that were applied.

    Attributes:
        uploaded: rows of the sent files, and the reasons.
        touched: number of files with another stat and the same content.
        kept: number of files that turned out to be unchanged.
        recorded: whether rows were written.
    """

    uploaded: list[tuple[RecordedEntry, str]]
    touched: int
    kept: int
    recorded: bool

    @property
    def size(self) -> int:
        """Bytes that were sent."""
        return sum(row.size for row, _ in self.uploaded)


class _File(NamedTuple):
    """A file that was read."""

    entry: SourceEntry
    body: bytes
    md5: bytes
    settled: bool


class _Plan(NamedTuple):
    """The work after the files are read: uploads with their reasons, and rows to record."""

    uploads: list[tuple[_File, str]]
    touched: list[RecordedEntry]
    seen: int
    kept: int


def apply_changes(
    request: SyncRequest,
    source: SourceFiles,
    manifest: BlockingManifest,
    actions: Sequence[Upload | CompareDigest],
    policy: Policy,
    open_puts: Callable[[], Puts],
) -> AppliedChanges | None:
    """Send and record the changes; the caller saves the state of the run.

    Args:
        request: the sync.
        source: the tree.
        manifest: of the pair, locked.
        actions: few.
        policy: what decisions depend on.
        open_puts: opens the store for objects.

    Returns:
        The applied changes; ``None`` if a run has to do them, and nothing of it counts.

    Raises:
        ManifestError: the manifest cannot be written.
        OSError, ValueError: errors of files and requests, with the same meaning as ``None``.
    """
    state = manifest.state_now()
    begun = replace(state, run=state.run + 1)
    plan = _read(source, actions, policy, begun.run)
    if plan is None:
        return None
    rows: list[RecordedEntry] = []
    if plan.uploads:
        with closing(open_puts()) as puts:
            manifest.save_state_now(begun.begun())
            headers = HeaderPlan.of(request.options, request.overrides)
            rows = _send(plan.uploads, request.location.prefix, headers, puts, begun.run)
            if not rows:
                manifest.save_state_now(state)
            if len(rows) < len(plan.uploads):
                return None
    elif plan.touched:
        manifest.save_state_now(begun)
    if not all(map(source.is_unchanged, rows)):
        return None
    reasons = [reason for _, reason in plan.uploads]
    uploaded = list(zip(rows, reasons, strict=True))
    rows += plan.touched
    if rows:
        manifest.record_now(rows, [])
    return AppliedChanges(uploaded, plan.seen, plan.kept, recorded=bool(rows))


def _read(
    source: SourceFiles, actions: Sequence[Upload | CompareDigest], policy: Policy, run: int
) -> _Plan | None:
    """Read the files and settle the comparisons that need their content."""
    uploads: list[tuple[_File, str]] = []
    touched: list[RecordedEntry] = []
    seen = kept = 0
    for action in actions:
        file = _read_file(source, action.source)
        if file is None:
            return None
        done: Action = action
        if isinstance(action, CompareDigest):
            done = settle(action, Evidence(file.md5.hex()), policy)
        match done:
            case Upload():
                uploads.append((file, done.reason))
            case Touch(entry, recorded):
                visible = entry[1:5] != recorded[1:5]
                seen, kept = seen + visible, kept + (not visible)
                touched.append(recorded.with_stat(entry, settled=file.settled, run=run))
            case Keep():
                kept += 1
            case _:
                return None
    return _Plan(uploads, touched, seen, kept)


def _read_file(source: SourceFiles, entry: SourceEntry) -> _File | None:
    found = source.read_now(entry)
    if found is None:
        return None
    body, started_ns = found
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    return _File(entry, body, md5, is_settled(entry, started_ns))


def _send(
    uploads: Sequence[tuple[_File, str]], prefix: str, headers: HeaderPlan, puts: Puts, run: int
) -> list[RecordedEntry]:
    """Store files one after another, up to the first refusal; return the rows of stored ones."""
    rows = []
    for (entry, body, md5, settled), _ in uploads:
        utf8 = is_utf8(body) if headers.detects_charset(entry.key) else None
        options = headers.for_upload(entry, utf8=utf8)
        sha256 = hashlib.sha256(body).hexdigest()
        result = puts.put(prefix + entry.key, body, options, md5=md5, sha256=sha256)
        if result is None:
            break
        asked = headers.digest_of(entry.key)
        row = RecordedEntry(*entry, md5.hex(), result.etag, 0, "", settled, time.time(), run, asked)
        rows.append(row)
    return rows
