"""Run: what the stages of one run share: its request, resources, policy and recorder.

It holds state and answers small questions about it; the stages do the work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import anyio

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.concurrency import Stop
from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
from aios3sync.core.etag import is_opaque_encryption
from aios3sync.core.keys import Location
from aios3sync.core.policy import Policy
from aios3sync.errors import (
    AioS3SyncError,
    ManifestError,
    ObjectNotFoundError,
    PreconditionFailedError,
    SourceError,
    StoreError,
    UnavailableError,
)
from aios3sync.events import EventSink, NotDone
from aios3sync.local.digest import ChangedError
from aios3sync.manifest.unfinished import UnfinishedUploads
from aios3sync.options import SyncOptions
from aios3sync.report import ReportBuilder
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.sync.directions import Direction
from aios3sync.sync.recorder import Recorder, unforeseen
from aios3sync.sync.refusals import Refusals, is_hopeless
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.sides import Files, Listing, Source, Target, Walked
from aios3sync.sync.transfers.memory import BufferPool

if TYPE_CHECKING:
    from aios3sync.local.write import TreeWriter
    from aios3sync.sync.inventory_check import InventoryCheck
    from aios3sync.sync.part_progress import PartProgress
    from aios3sync.sync.receipt_list import ReceiptList
    from aios3sync.sync.renames import Renames

__all__ = ("Run",)

_LOG: Final = logging.getLogger(__name__)
_UNREACHABLE_AFTER: Final = 20
"""Consecutive uploads without any response, after which the endpoint counts as unreachable."""
_HASHED_AT_ONCE: Final = 2
"""Large files that are hashed at once, each by two threads."""


@dataclass(slots=True)
class Run:
    """One run.

    Attributes:
        request: what was asked for.
        resources: what the session provides for it.
        direction: up, down or copy.
        source: where files or objects come from.
        files: the side whose files are read, see :class:`~aios3sync.sync.sides.Files`.
        target: where they go.
        walked: the tree, for its walk.
        listing: the bucket whose order of listing the manifest remembers.
        policy: what decisions depend on.
        number: of this run, greater than that of any row before it.
        recorder, builder: where outcomes and counts go.
        started_ns: when it began, nanoseconds since the epoch.
        buffers: memory for the parts of large files.
        hashing: bounds the large files that are hashed at once: each is done sooner, so that its upload
            begins sooner.
        opaque_etags: responses showed that this bucket encrypts so that its ETags prove nothing.
        settling, etags_settled: an object was read to find out whether its ETag or its metadata is wrong.
        target_changed: a response contradicted what the manifest holds of the target.
        outdated: keys of a download whose rows may differ from what the bucket holds, such as files that stay
            although their objects are gone: the next upload must list.
        refusals: consecutive refused uploads.
        inventory_check: settles what an inventory cannot know; ``None`` where neither side is an inventory,
            and in a dry run, which checks nothing.
        tree_writer: writes the files of a download; ``None`` in other directions and in a dry run.
        unfinished: the multipart uploads that were begun and have not ended, those of earlier runs too.
        renames: new files that may be renamed ones; ``None`` where renames are not detected.
        progress: what earlier attempts at this part of a run have done; ``None`` where it is no part.
        receipt: takes the files that are in sync at the end; ``None`` where none is wanted.
    """

    request: SyncRequest
    resources: Resources
    direction: Direction
    source: Source[Any]
    files: Files
    target: Target[Any]
    walked: Walked
    listing: Listing
    policy: Policy
    number: int
    recorder: Recorder
    builder: ReportBuilder
    started_ns: int
    buffers: BufferPool = field(default_factory=BufferPool)
    hashing: anyio.Semaphore = field(default_factory=partial(anyio.Semaphore, _HASHED_AT_ONCE))
    opaque_etags: bool = False
    settling: anyio.Lock = field(default_factory=anyio.Lock)
    etags_settled: bool = False
    target_changed: bool = False
    outdated: int = 0
    refusals: Refusals = field(default_factory=Refusals)
    inventory_check: InventoryCheck | None = None
    tree_writer: TreeWriter | None = None
    unfinished: UnfinishedUploads = field(default_factory=lambda: UnfinishedUploads("", ""))
    renames: Renames | None = None
    progress: PartProgress | None = None
    receipt: ReceiptList | None = None
    _silent: int = field(default=0)
    _turns: Iterator[int] = field(default_factory=count)

    @property
    def writer(self) -> TreeWriter:
        """The writer of the tree that a download fills; it is open while the transfers work."""
        assert self.tree_writer is not None  # noqa: S101 - only a download asks, after its target was opened
        return self.tree_writer

    @property
    def options(self) -> SyncOptions:
        """The options of the request."""
        return self.request.options

    @property
    def location(self) -> Location:
        """The bucket of the pair."""
        return self.request.location

    @property
    def profile(self) -> EndpointProfile:
        """What is known of the endpoint."""
        return self.resources.profile

    @property
    def events(self) -> EventSink:
        """The sink of progress events."""
        return self.resources.on_event

    @property
    def stop(self) -> Stop:
        """Requests an early end."""
        return self.resources.stop

    def next_turn(self) -> int:
        """Return the next number in the order in which large files are sent."""
        return next(self._turns)

    def full_key(self, key: str) -> str:
        """Return the key in the bucket."""
        return self.request.location.prefix + key

    @property
    def by_mtime(self) -> bool:
        """Whether files are judged without their ctime."""
        return "ctime" not in self.options.stat_fields

    @property
    def writes_md5(self) -> bool:
        """Whether uploads get their MD5 as metadata: ETags prove nothing, or that is not known yet."""
        return self.opaque_etags or self.profile.etags != "md5"

    @property
    def settling_policy(self) -> Policy:
        """The policy, updated with what the run has learned about the endpoint's ETags."""
        if self.profile.etags == "opaque" and not self.policy.opaque_etags:
            self.policy = replace(self.policy, opaque_etags=True)
        return self.policy

    def row(  # noqa: PLR0913 - the columns that are not those of the entry
        self,
        entry: SourceEntry,
        md5: str,
        etag: str,
        *,
        settled: bool,
        part_size: int = 0,
        encoding: str = "",
        headers: str = "",
        sha256: str = "",
    ) -> RecordedEntry:
        """Return a manifest row of this run for a file as it was read, with the digest of its headers.

        ``sha256`` is kept by runs with a receipt alone.
        """
        number = self.number
        if self.receipt is None:
            sha256 = ""
        return RecordedEntry(
            *entry, md5, etag, part_size, encoding, settled, time.time(), number, headers, sha256
        )

    def copied_row(self, source: TargetEntry, etag: str) -> RecordedEntry:
        """Return a manifest row of this run for an object that was copied: it describes that object."""
        entry = SourceEntry(source.key, source.size, round(source.last_modified * 1e9), 0, 0)
        return self.row(entry, source.etag, etag, settled=True)

    @property
    def sends_no_more(self) -> bool:
        """Whether uploads have ended: a stop was asked for, or every one of them would be refused."""
        return bool(self.stop.signal or self.refusals.reason)

    def cancel(self, keys: Iterable[str]) -> None:
        """Count uploads as cancelled; after a stop they are counted at the end of the run."""
        if not self.stop.signal:
            self.recorder.add_all([NotDone(key, "cancelled", "upload") for key in keys])

    def stored(self, encryption: str) -> None:
        """Note that an upload succeeded; see :meth:`note_response`."""
        self.refusals.stored()
        self.note_response(encryption)

    def note_response(self, encryption: str = "") -> None:
        """Note a response: the endpoint is reachable; encryption may make its ETags prove nothing."""
        self._silent = 0
        self.opaque_etags |= is_opaque_encryption(encryption)

    @contextmanager
    def item(self, key: str, stage: str) -> Iterator[None]:
        """Guard the work on one item, which adds its outcome as its last step; this encloses all that work.

        Every exception of the work is a failure of that item alone, unless nothing else can continue either.
        Without this guard an exception would end the whole run.

        Args:
            key: the item.
            stage: see :class:`~aios3sync.report.Failure`.

        Raises:
            AioS3SyncError: see :meth:`outcome_of_error`.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - one item is never the end of the run
            self.recorder.add(self.outcome_of_error(key, stage, error))

    def outcome_of_error(self, key: str, stage: str, error: Exception) -> NotDone:
        """Return the outcome of an item that failed with ``error``, if the run can go on.

        Raises:
            StoreError: the session is broken, so that every other request would fail as well.
            ManifestError: nothing can be recorded any more.
            SourceError: there is no source any more.
        """
        match error:
            case StoreError():
                self._raise_if_hopeless(error)
                if stage in ("upload", "copy") and self._is_refused_like_all(error):
                    return NotDone(key, "cancelled", stage)
                self.target_changed |= isinstance(error, ObjectNotFoundError | PreconditionFailedError)
                return NotDone(key, "failed", stage, str(error), uncertain=True)
            case OSError() if stage == "download":
                return NotDone(key, "failed", stage, error.strerror or str(error))
            case OSError() if self.files.is_missing(key, error):
                return NotDone(key, "vanished", "read")
            case OSError():
                return NotDone(key, "failed", "read", error.strerror or str(error))
            case ChangedError():
                return NotDone(key, "failed", "upload", "changed while it was read")
            case ManifestError() | SourceError():
                raise error
            case AioS3SyncError():  # such as a size or headers that no object can have
                return NotDone(key, "failed", stage, str(error))
            case _:
                return unforeseen(key, stage, error)

    def image(self, key: str, head: bytes) -> tuple[int, int] | None:
        """Return the size of the image that begins with ``head``; ``None`` where it cannot be read."""
        if self.resources.inspect is None:
            return None
        try:
            return self.resources.inspect(key, head)
        except Exception:  # noqa: BLE001 - the size is an extra: the file is synced all the same
            _LOG.debug("%r: the size of the image is not known", key, exc_info=True)
            return None

    def outcomes_of_error(self, keys: Sequence[str], stage: str, error: Exception) -> list[NotDone]:
        """Return the outcomes of all keys of one failed request; a missing response counts once.

        Raises:
            StoreError: as :meth:`outcome_of_error`.
        """
        outcome = self.outcome_of_error(keys[0], stage, error)
        return [replace(outcome, key=key) for key in keys]

    def _is_refused_like_all(self, error: StoreError) -> bool:
        """Whether this upload was in flight when the refusal of others ended all uploads."""
        gone = bool(self.refusals.reason) and not error.retryable
        if self.refusals.add(error):
            self.builder.warn(
                f"no more {self.direction.transfers} are tried, the rest is cancelled: {self.refusals.reason}"
            )
        return gone

    def _raise_if_hopeless(self, error: StoreError) -> None:
        self._silent = self._silent + 1 if isinstance(error, UnavailableError) and not error.status else 0
        if is_hopeless(error) or self._silent >= _UNREACHABLE_AFTER:
            raise error
