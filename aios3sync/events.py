"""What a run reports while it works: progress events, outcomes, and the sinks that take them. No I/O.

*Progress events* are cheap and need not be complete: small files send fewer of them. An :class:`EventSink`
is called with each; it must return at once, and what it raises stops the run. The last event is
:class:`Finished`, or a :class:`Failed` that holds the exception; :func:`concluded` sends it, and nothing else
may. :class:`~aios3sync.progress.Progress` folds events into totals.

*Outcomes* are complete: one for each planned item. An :class:`OutcomeSink` is awaited with those that changed
the bucket or the manifest, batched and in the order in which the manifest records them. The object index and
the catalog follow a run in this way.
"""

from __future__ import annotations

from contextlib import suppress

from aios3sync._dataclass import dataclass, field
from aios3sync._typing import TYPE_CHECKING, Any, Protocol, TypeVar
from aios3sync.core.entries import RecordedEntry, TargetEntry
from aios3sync.errors import AioS3SyncError
from aios3sync.report import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

__all__ = (
    "Adopted",
    "Archived",
    "BytesReceived",
    "BytesSent",
    "Copied",
    "Decided",
    "Deleted",
    "DownloadBegan",
    "Downloaded",
    "EndpointKnown",
    "Event",
    "EventSink",
    "Failed",
    "Finished",
    "Forgotten",
    "Kept",
    "NodesReported",
    "NotDone",
    "ObjectAdopted",
    "ObjectCopied",
    "ObjectDeleted",
    "ObjectDownloaded",
    "ObjectTouched",
    "ObjectUpdated",
    "ObjectUploaded",
    "Outcome",
    "OutcomeSink",
    "PhaseBegan",
    "Planned",
    "RequestRetried",
    "RequestsRepeated",
    "Scanned",
    "Skipped",
    "Touched",
    "Trashed",
    "Updated",
    "UploadBegan",
    "Uploaded",
    "Warned",
    "Watching",
    "discard",
)

ReportT = TypeVar("ReportT")


# Progress events.


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    """The run enters ``compare`` (walk, compare, upload at once), ``delete`` or ``finish``.

    ``compare`` may begin twice, when a listing turns out to be needed: what was scanned, kept and skipped
    until then is counted again, what was done stays done.
    """

    phase: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """``files`` more files, ``size`` bytes together, were found in the source."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Decided:
    """``kept`` more keys need nothing."""

    kept: int


@dataclass(frozen=True, slots=True)
class Planned:
    """More actions are planned.

    Attributes:
        uploads, downloads, copies: files or objects that the run will send, fetch or copy; one run does one
            of these.
        size: their bytes together.
        deletes: objects, or files of a download, that it will delete.
        updates: objects that it will give other headers.
    """

    uploads: int = 0
    size: int = 0
    deletes: int = 0
    updates: int = 0
    downloads: int = 0
    copies: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path of the source cannot be synced; the run goes on."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class UploadBegan:
    """The upload of a file of 1 MiB or more has begun; smaller files send no such event."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class BytesSent:
    """``size`` more bytes of a file were sent; negative when an attempt failed and will send them again.

    A small file has one such event, when it arrived. The events of one file add up to its size once it
    has arrived, compressed or not, and to 0 if it failed.
    """

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectUploaded:
    """A file arrived. ``size`` is the size of the file, ``etag`` comes from the endpoint."""

    key: str
    size: int
    etag: str
    reason: str


@dataclass(frozen=True, slots=True)
class DownloadBegan:
    """The download of an object of 1 MiB or more has begun; smaller ones send no such event."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """``size`` more bytes of an object were received; negative when they will be received again.

    A small object has one such event, when its file is there. The events of one object add up to its size as
    stored once it is there, and to 0 if it failed.
    """

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectDownloaded:
    """An object is a file now. ``size`` is the size of the file, ``etag`` that of the object."""

    key: str
    size: int
    etag: str
    reason: str


@dataclass(frozen=True, slots=True)
class ObjectCopied:
    """An object was copied to another bucket or prefix; ``etag`` is that of the copy."""

    key: str
    size: int
    etag: str
    reason: str


@dataclass(frozen=True, slots=True)
class ObjectUpdated:
    """An object has other headers now; its content is the same, its ``etag`` may differ."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectDeleted:
    """An object was deleted, or the file of a download."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectAdopted:
    """An object already has the content of the file; it is recorded and not sent."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectTouched:
    """A file has other times or another inode, but the recorded content."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class RequestsRepeated:
    """``retries`` more requests were sent again, ``throttled`` of them because of throttling.

    ``codes`` are the error codes of the failed attempts, each with its number.
    """

    retries: int
    throttled: int
    codes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestRetried:
    """One request failed and will be sent again; ``RequestsRepeated`` has the counts of these.

    Attributes:
        operation: the S3 operation, e.g. ``PutObject``.
        key: of the object in the bucket, with the prefix; empty where the request is about no single one.
        code: the S3 error code, e.g. ``SlowDown``; the status where the answer had no code; ``NoConnection``,
            ``ConnectionLost`` or ``Timeout`` where there was no answer.
        status: of the answer, 0 where there was none.
        attempt: the number of the attempt that failed in such a way, from 1.
        delay: seconds until the request is sent again.
    """

    operation: str
    key: str
    code: str
    status: int
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class NodesReported:
    """What the other machines of a run did since the last such event, besides what they sent events of.

    Attributes:
        nodes: machines, or processes, that are at work.
        counts: what is to be added to the counters of :class:`~aios3sync.progress.Progress`, by their names;
            a comparison that begins again takes some back.
    """

    nodes: int
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """One key failed, and the run goes on; or the run itself failed, and this is the last event.

    Attributes:
        failure: what went wrong; where the run itself failed, its key is empty and its stage is ``run``.
        error: ``None`` where one key failed; else the exception that the caller of the run gets, which may
            be a cancellation.
    """

    failure: Failure
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning for a person; the run goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class EndpointKnown:
    """How an endpoint differs from the documentation of S3: one line for each known fact."""

    endpoint: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watching:
    """A watch waits between two runs, each of which has its own ``Finished``.

    Attributes:
        waiting: changed files that are not stable yet.
        rescan: a run over all of the source is due soon.
    """

    waiting: int
    rescan: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The run has ended; the last event. The report is a ``SyncReport`` or a ``VerifyReport``."""

    report: Any


Event = (
    PhaseBegan
    | Scanned
    | Decided
    | Planned
    | Skipped
    | UploadBegan
    | BytesSent
    | ObjectUploaded
    | DownloadBegan
    | BytesReceived
    | ObjectDownloaded
    | ObjectCopied
    | ObjectUpdated
    | ObjectDeleted
    | ObjectAdopted
    | ObjectTouched
    | RequestRetried
    | RequestsRepeated
    | NodesReported
    | Failed
    | Warned
    | EndpointKnown
    | Watching
    | Finished
)


class EventSink(Protocol):
    """Takes progress events; it is called on the event loop and must not block.

    A sink may have an attribute ``single_events``: how many events of single keys it wants at a time from
    the machines of a cluster; the others come as numbers. With -1 it wants neither.
    """

    def __call__(self, event: Event, /) -> object:
        """Take one event."""
        ...


def discard(event: object, /) -> None:
    """Drop the event: the sink of callers who do not listen."""


async def concluded(sink: EventSink, run: Awaitable[ReportT]) -> ReportT:
    """Await a run and send its last event: ``Finished`` with the report, or ``Failed`` with the error.

    Raises:
        BaseException: whatever the run raised, even if the sink fails as well.
    """
    try:
        report = await run
    except BaseException as error:
        with suppress(Exception):
            sink(Failed(_failure_of(error), error))
        raise
    sink(Finished(report))
    return report


def _failure_of(error: BaseException) -> Failure:
    """Return the failure of a run; of a foreign exception it names only the type.

    The text of such an exception may hold anything.
    """
    text = " ".join(str(error).split()) if isinstance(error, AioS3SyncError) else ""
    return Failure("", "run", text or type(error).__name__)


# Outcomes: how each planned item ended, complete and in recording order.


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An upload succeeded.

    Attributes:
        row: what to record in the manifest.
        sent: bytes of the body, compressed where gzip applied.
        reason: why the file was sent.
        content_type, encryption: of the object.
        image: width and height in pixels, where the file is an image and its size was asked for.
    """

    row: RecordedEntry
    sent: int
    reason: str
    content_type: str = ""
    encryption: str = ""
    image: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Downloaded:
    """An object was fetched, verified, and is a file now.

    Attributes:
        row: what to record in the manifest: the stat of the file as it was written, the MD5 of its bytes, the
            ETag of the object that they came from.
        received: bytes of the body, as stored.
        reason: why the object was fetched.
    """

    row: RecordedEntry
    received: int
    reason: str


@dataclass(frozen=True, slots=True)
class Copied:
    """An object was copied; ``sent`` bytes, of which a copy on the server moves none through this machine."""

    row: RecordedEntry
    sent: int
    reason: str


@dataclass(frozen=True, slots=True)
class Archived:
    """An object is in an archive and cannot be read now; ``restoring``, if its restore was asked for."""

    key: str
    size: int
    restoring: bool = False


@dataclass(frozen=True, slots=True)
class Adopted:
    """An object already has this content; ``stored`` is its entry in the target."""

    row: RecordedEntry
    stored: TargetEntry | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    """An object has other headers now and the same content; ``size`` is its size as stored."""

    row: RecordedEntry
    size: int
    content_type: str = ""
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class Touched:
    """A file has the same content and another stat.

    ``visible`` is False where the stat is the same too, and only the row may be trusted from now on.
    """

    row: RecordedEntry
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Kept:
    """Nothing has to be done, as a comparison of the content has shown."""

    key: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object, or the file of a download, and its row were deleted."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Trashed:
    """An object that is to be deleted was copied into the trash; its own outcome follows.

    Attributes:
        bucket, key: of the copy, in full.
        size: bytes.
        etag: of the copy.
    """

    bucket: str
    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The row was deleted; there was no object to delete."""

    key: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """An action was not carried out, or failed.

    Attributes:
        key: of the action.
        state: its counter in the report: ``failed``, ``vanished``, ``conflicts``, ``withheld``, ``skipped``
            or ``cancelled``.
        stage: see :class:`~aios3sync.report.Failure`.
        error: one line; empty where there is nothing to report.
        uncertain: the target may have changed: deletes are withheld (P5), and the next run must list.
        forget: the row must be deleted.
    """

    key: str
    state: str
    stage: str
    error: str = ""
    uncertain: bool = False
    forget: bool = False


Outcome = (
    Uploaded
    | Downloaded
    | Copied
    | Archived
    | Updated
    | Adopted
    | Touched
    | Kept
    | Deleted
    | Trashed
    | Forgotten
    | NotDone
)


class OutcomeSink(Protocol):
    """Takes every outcome that changed the target or the manifest, in batches, in recording order."""

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Take the next batch of outcomes."""
        ...
