"""Send small files that changed, without an event loop; called by ``small_run.py``.

The decisions, the requests and the rows are those of a run. What was stored is recorded, whatever happens to
the rest; what is left after anything unusual is done by a run, which then begins with a listing.

Invariants
----------
* The manifest is incomplete from before the first request until all rows are recorded (P10): a process that
  ends in between leaves a manifest with which the next run lists.
* Its former state is restored if certainly no object was stored: then a run needs no listing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain

from aios3sync._dataclass import dataclass, field, replace
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Final, Protocol
from aios3sync.core.actions import Adopt, CompareDigest, Keep, Touch, Upload
from aios3sync.core.decision import Evidence, needs_head, settle
from aios3sync.core.entries import RecordedEntry, SourceEntry
from aios3sync.core.media_types import is_utf8
from aios3sync.local.digest import is_settled
from aios3sync.manifest.protocol import BlockingManifest
from aios3sync.store.protocol import PutResult, SmallPut
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.transfers.headers import HeaderPlan

if TYPE_CHECKING:
    from aios3sync.core.actions import Action
    from aios3sync.core.policy import Policy
    from aios3sync.sync.sides import FilesNow

__all__ = ("AppliedChanges", "Puts", "apply_changes")

_PATIENCE_S: Final = 1.5
"""Seconds after which no further file is read: a run does the rest, and shows its progress."""


class Puts(Protocol):
    """Stores small objects, see :class:`~aios3sync.store.wire.blocking_puts.BlockingPuts`."""

    def put_all(self, puts: Iterator[SmallPut]) -> Iterator[tuple[SmallPut, PutResult | None]]:
        """Store objects and yield each with its result, ``None`` if it was certainly not stored.

        Raises:
            ValueError, OSError: it is unknown whether those without a result were stored.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass(slots=True)
class AppliedChanges:
    """The changes that were applied.

    Attributes:
        uploaded: rows of the sent files, and the reasons.
        others: rows of files that have another stat and the same content, or whose objects were there.
        touched: number of files with another stat and the same content.
        adopted: number of files whose objects were there.
        kept: number of files that turned out to be unchanged.
        whole: whether these are all the changes; a run has to do the rest otherwise.
    """

    uploaded: list[tuple[RecordedEntry, str]] = field(default_factory=list)
    others: list[RecordedEntry] = field(default_factory=list)
    touched: int = 0
    adopted: int = 0
    kept: int = 0
    whole: bool = False

    @property
    def size(self) -> int:
        """Bytes that were sent."""
        return sum(row.size for row, _ in self.uploaded)

    @property
    def recorded(self) -> bool:
        """Whether rows were written."""
        return bool(self.uploaded or self.others)


class _Sent(NamedTuple):
    """A file that is being sent."""

    entry: SourceEntry
    settled: bool
    reason: str


def apply_changes(
    request: SyncRequest,
    source: FilesNow,
    manifest: BlockingManifest,
    actions: Sequence[Upload | CompareDigest],
    policy: Policy,
    open_puts: Callable[[], Puts],
) -> AppliedChanges:
    """Send and record the changes; the caller saves the state of the run if they are whole.

    Args:
        request: the sync.
        source: the tree.
        manifest: of the pair, locked.
        actions: for small files.
        policy: what decisions depend on.
        open_puts: opens the store for objects.

    Raises:
        ManifestError: the manifest cannot be written.
        OSError, ValueError: the store cannot be opened; nothing was changed.
    """
    state = manifest.state_now()
    begun = replace(state, run=state.run + 1)
    work = _Work(request, source, policy, begun.run)
    left = work.settle(actions)
    puts = work.puts(left or ())
    first = None if left is None else next(puts, None)
    if first is None:
        if work.applied.others:
            manifest.save_state_now(begun)
        _record(manifest, work)
        return work.applied
    with closing(open_puts()) as store:
        manifest.save_state_now(begun.begun())
        try:
            work.send(store, chain([first], puts))
        finally:  # whatever happened, what was stored is known
            _record(manifest, work)
    if not work.stored:
        manifest.save_state_now(state)
    return work.applied


def _record(manifest: BlockingManifest, work: _Work) -> None:
    """Record what was stored, except files that have changed meanwhile (P8)."""
    applied = work.applied
    sent = len(applied.uploaded)
    applied.uploaded = [(row, reason) for row, reason in applied.uploaded if work.source.is_unchanged(row)]
    applied.whole = work.is_done and len(applied.uploaded) == sent
    if rows := [row for row, _ in applied.uploaded] + applied.others:
        manifest.record_now(rows, [])


class _Work:
    """Reads the files one by one, as they are sent.

    Attributes:
        applied: what was done so far.
        is_done: whether nothing is left.
        stored: whether any object was stored, or may have been.
    """

    def __init__(self, request: SyncRequest, source: FilesNow, policy: Policy, run: int) -> None:
        self.source = source
        self.applied = AppliedChanges()
        self.is_done = False
        self.stored = False
        self._prefix = request.location.prefix
        self._headers = HeaderPlan.of(request.options, request.overrides)
        self._policy = policy
        self._run = run
        self._sent: dict[str, _Sent] = {}
        self._until = time.monotonic() + _PATIENCE_S

    def settle(self, actions: Sequence[Upload | CompareDigest]) -> list[Upload | CompareDigest] | None:
        """Settle the comparisons with objects, and return what is left; ``None`` where a run is needed.

        Few of the files have to be sent, so none is kept in memory.
        """
        compares = [action for action in actions if isinstance(action, CompareDigest) and action.target]
        entries = [compare.source for compare in compares]
        digests = self.source.hash_now(entries, self._until)
        for compare, found in zip(compares, digests, strict=True):
            if found is None:
                return None
            settled = is_settled(compare.source, found.started_ns)
            if not self._noted(self._settled(compare, found.md5.hex()), settled=settled):
                return None
        return [action for action in actions if not (isinstance(action, CompareDigest) and action.target)]

    def puts(self, actions: Sequence[Upload | CompareDigest]) -> Iterator[SmallPut]:
        """Settle the actions, and yield what is to be stored; end at the first one that needs a run."""
        for action in actions:
            try:
                found = self.source.read_now(action.source)
            except OSError:
                return
            if found is None or time.monotonic() > self._until:
                return
            body, started_ns = found
            md5 = hashlib.md5(body, usedforsecurity=False)
            settled = is_settled(action.source, started_ns)
            done = self._settled(action, md5.hexdigest())
            if isinstance(done, Upload):
                yield self._put(done, body, md5.digest(), settled=settled)
            elif not self._noted(done, settled=settled):
                return
        self.is_done = True

    def send(self, store: Puts, puts: Iterator[SmallPut]) -> None:
        """Store objects, up to the first error."""
        try:
            for put, result in store.put_all(puts):
                if result is not None:
                    self.stored = True
                    self.applied.uploaded.append(self._row(put, result))
        except (OSError, ValueError):
            self.stored = True
        self.is_done = self.is_done and not self._sent

    def _settled(self, action: Upload | CompareDigest, md5: str) -> Action | None:
        """Decide with the digest of a file; return ``None`` where the metadata of the object are needed."""
        if isinstance(action, Upload):
            return action
        evidence = Evidence(md5)
        return None if needs_head(action, evidence, self._policy) else settle(action, evidence, self._policy)

    def _noted(self, done: Action | None, *, settled: bool) -> bool:
        """Note what needs no request; return False for all else."""
        applied = self.applied
        match done:
            case Touch(entry, recorded):
                visible = entry[1:5] != recorded[1:5]
                applied.touched, applied.kept = applied.touched + visible, applied.kept + (not visible)
                applied.others.append(recorded.with_stat(entry, settled=settled, run=self._run))
            case Adopt(entry, target, md5):
                applied.adopted += 1
                row = RecordedEntry(*entry, md5, target.etag, 0, "", settled, time.time(), self._run)
                applied.others.append(row)
            case Keep():
                applied.kept += 1
            case _:
                return False
        return True

    def _put(self, upload: Upload, body: bytes, md5: bytes, *, settled: bool) -> SmallPut:
        entry, headers = upload.source, self._headers
        utf8 = is_utf8(body) if headers.detects_charset(entry.key) else None
        key = self._prefix + entry.key
        self._sent[key] = _Sent(entry, settled, upload.reason)
        sha256 = hashlib.sha256(body).hexdigest()
        return SmallPut(key, body, headers.for_upload(entry, utf8=utf8), md5, sha256)

    def _row(self, put: SmallPut, result: PutResult) -> tuple[RecordedEntry, str]:
        entry, settled, reason = self._sent.pop(put.key)
        asked = self._headers.digest_of(entry.key)
        md5 = put.md5.hex()
        row = RecordedEntry(*entry, md5, result.etag, 0, "", settled, time.time(), self._run, asked)
        return row, reason
