"""What a run tells while it works: frozen events, cheap and lossy, and the sinks that take them. No I/O.

The last event is :class:`Finished`, or a :class:`Failed` that holds the exception; :func:`concluded` sends
it, and nothing else may. :class:`~aios3sync.progress.Progress` folds events into totals.

Two kinds of listeners exist. An :class:`EventSink` is called for progress; it must return at once, and what
it raises stops the run. An :class:`OutcomeSink` is awaited with every outcome, batched, complete and in the
order in which the manifest records them: the index and the catalog feed on it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aios3sync.core.entries import RecordedEntry, TargetEntry
from aios3sync.errors import AioS3SyncError
from aios3sync.report import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

__all__ = (
    "Adopted",
    "BytesSent",
    "Decided",
    "Deleted",
    "EndpointKnown",
    "Event",
    "EventSink",
    "Failed",
    "Finished",
    "Forgotten",
    "Kept",
    "NotDone",
    "ObjectAdopted",
    "ObjectDeleted",
    "ObjectTouched",
    "ObjectUpdated",
    "ObjectUploaded",
    "Outcome",
    "OutcomeSink",
    "PhaseBegan",
    "Planned",
    "RequestsRepeated",
    "Scanned",
    "Skipped",
    "Touched",
    "Updated",
    "UploadBegan",
    "Uploaded",
    "Warned",
    "discard",
)

ReportT = TypeVar("ReportT")


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    """The run enters ``compare`` (walk, compare, upload at once), ``delete`` or ``finish``.

    ``compare`` may begin twice, when a listing turns out to be needed: what was scanned, kept and skipped
    until then is found anew, what was done stays done.
    """

    phase: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """``files`` more files with ``size`` bytes were seen in the source."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Decided:
    """``kept`` more keys need nothing."""

    kept: int


@dataclass(frozen=True, slots=True)
class Planned:
    """``uploads`` more files with ``size`` bytes are to be sent, ``deletes`` more keys to be deleted.

    ``updates`` more objects are to get other headers.
    """

    uploads: int = 0
    size: int = 0
    deletes: int = 0
    updates: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A place of the source that cannot be synced; the run goes on."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class UploadBegan:
    """A file of 1 MiB and more is on its way; smaller ones arrive without one."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class BytesSent:
    """``size`` more bytes of a file have left; negative when an attempt failed and sends them again.

    A small file has one, when it arrived. Of one file they add up to its size once it has arrived, compressed
    or not, and to 0 if it failed.
    """

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectUploaded:
    """A file arrived. ``size`` counts the bytes of the file, ``etag`` is the endpoint's answer."""

    key: str
    size: int
    etag: str
    reason: str


@dataclass(frozen=True, slots=True)
class ObjectUpdated:
    """An object has other headers now; its content is the same, its ``etag`` may be another one."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectDeleted:
    """An object is gone."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectAdopted:
    """The object was there already, with the content of the file; it is recorded and not sent."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectTouched:
    """The file has other times or another inode, and its content is the one that was recorded."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class RequestsRepeated:
    """``retries`` more requests were sent again, ``throttled`` of them as the endpoint asked to slow down.

    ``codes`` are the error codes that they were sent again for, each with its number.
    """

    retries: int
    throttled: int
    codes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """One key failed, and the run goes on; or the run itself did, and this is the last event.

    Attributes:
        failure: what went wrong; of a run its key is empty and its stage ``run``.
        error: the exception that the caller of the run gets, also a cancellation; ``None`` of a key.
    """

    failure: Failure
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know; the run goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class EndpointKnown:
    """How an endpoint differs from what S3 documents: one line for each fact that was learnt or given."""

    endpoint: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over; the last event. The report is a ``SyncReport``, of ``verify`` a ``VerifyReport``."""

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
    | ObjectUpdated
    | ObjectDeleted
    | ObjectAdopted
    | ObjectTouched
    | RequestsRepeated
    | Failed
    | Warned
    | EndpointKnown
    | Finished
)


class EventSink(Protocol):
    """Takes progress events; called on the event loop, must not block."""

    def __call__(self, event: Event, /) -> object:
        """Take one event."""
        ...


class OutcomeSink(Protocol):
    """Takes every outcome that changed the bucket or the manifest, in batches, in recording order."""

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Take the next batch of ``Uploaded``, ``Updated``, ``Adopted`` and ``Deleted`` outcomes."""
        ...


def discard(event: object, /) -> None:
    """The sink for callers who do not listen."""


async def concluded(sink: EventSink, run: Awaitable[ReportT]) -> ReportT:
    """Await a run and send its last event: ``Finished`` with the report, or ``Failed`` with the error.

    Raises:
        BaseException: what the run raised; a sink that fails as well does not hide it.
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
    """Of an exception that is not ours only the type is named: its text may hold anything."""
    text = " ".join(str(error).split()) if isinstance(error, AioS3SyncError) else ""
    return Failure("", "run", text or type(error).__name__)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The object is there; ``row`` is what to record, ``sent`` the bytes of the body.

    ``image`` is the width and height of an image in pixels, where somebody wanted to know them.
    """

    row: RecordedEntry
    sent: int
    reason: str
    content_type: str = ""
    encryption: str = ""
    image: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """The object was there already with this content; ``stored`` is what the target told of it."""

    row: RecordedEntry
    stored: TargetEntry | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    """The object has other headers now, and the same content; ``size`` are its bytes as stored."""

    row: RecordedEntry
    size: int
    content_type: str = ""
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class Touched:
    """Same content, other stat. ``visible`` is False where only the row's trust in its stat grew."""

    row: RecordedEntry
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Kept:
    """Nothing had to be done, found out after a look at the content."""

    key: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object is gone, and its row with it."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The row is dropped; there was nothing to delete."""

    key: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """An action that did not end well.

    Attributes:
        key: which.
        state: the counter of the report: ``failed``, ``vanished``, ``conflicts``, ``withheld``, ``skipped``
            or ``cancelled``.
        stage: see :class:`~aios3sync.report.Failure`.
        error: one line; empty where there is nothing to say.
        uncertain: the target may have changed, so deletes wait (P5) and the next run must list.
        forget: the row is dropped.
    """

    key: str
    state: str
    stage: str
    error: str = ""
    uncertain: bool = False
    forget: bool = False


Outcome = Uploaded | Updated | Adopted | Touched | Kept | Deleted | Forgotten | NotDone
