"""What a run tells while it works: frozen events, cheap and lossy, and the sinks that take them. No I/O.

Two kinds of listeners exist. An :class:`EventSink` is called for progress; it must return at once, and what
it raises stops the run. An :class:`OutcomeSink` is awaited with every outcome, batched, complete and in the
order in which the manifest records them: the index and the catalog feed on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios3sync.report import Failure, SyncReport

__all__ = (
    "BytesSent",
    "Decided",
    "Event",
    "EventSink",
    "Failed",
    "Finished",
    "ObjectDeleted",
    "ObjectUpdated",
    "ObjectUploaded",
    "OutcomeSink",
    "PhaseBegan",
    "Planned",
    "Scanned",
    "Warned",
    "discard",
)


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    """The run enters ``compare`` (walk, compare, upload at once), ``delete`` or ``finish``."""

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
class BytesSent:
    """``size`` more bytes of a file arrived; negative when a retry sends them again."""

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
class Failed:
    """One key failed; the run goes on."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know; the run goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over; always the last event."""

    report: SyncReport


Event = (
    PhaseBegan
    | Scanned
    | Decided
    | Planned
    | BytesSent
    | ObjectUploaded
    | ObjectUpdated
    | ObjectDeleted
    | Failed
    | Warned
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


def discard(event: Event, /) -> None:
    """The sink for callers who do not listen."""
