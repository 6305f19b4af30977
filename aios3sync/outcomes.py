"""How an action ended, as frozen values: what the manifest records, the report counts and sinks are told."""

from __future__ import annotations

from dataclasses import dataclass

from aios3sync.core.entries import RecordedEntry, TargetEntry

__all__ = (
    "Adopted",
    "Deleted",
    "Fault",
    "Forgotten",
    "Kept",
    "Outcome",
    "Touched",
    "Updated",
    "Uploaded",
)


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
class Fault:
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


Outcome = Uploaded | Updated | Adopted | Touched | Kept | Deleted | Forgotten | Fault
