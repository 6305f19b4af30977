"""Direction: what differs between an upload, a download and a copy; everything else in a run is the same.

The decisions of an upload are loaded with this module, those of the other directions when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.actions import Action, CompareDigest, CopyObject, Download, Upload
from aios3sync.core.decision import Evidence, decide, needs_head, settle
from aios3sync.core.policy import Policy
from aios3sync.events import Planned

__all__ = ("COPY", "DOWN", "UP", "Direction", "DirectionName", "direction_of")

DirectionName = Literal["up", "down", "copy"]
UP: Final = "up"
DOWN: Final = "down"
COPY: Final = "copy"


class Direction(NamedTuple):
    """One direction of a sync.

    Attributes:
        name: ``up`` from a tree to a bucket, ``down`` from a bucket to a tree, ``copy`` between buckets.
        stage: the name of a transfer in failures, see :class:`~aios3sync.report.Failure`.
        transfers: the word for several of them.
        entries: the word for what is deleted.
        transfer: the action that its transfers carry out.
        decide: chooses the action for one key from the entries of source, manifest and target.
        needs_head, settle: decide a comparison of a file with an object.
        planned: returns the event about a number of transfers and their bytes.
        gone_conflict: what to do about a conflict over a key that is gone from the source.
    """

    name: DirectionName
    stage: str
    transfers: str
    entries: str
    transfer: type[Any]
    decide: Callable[[Any, Any, Any, Policy], Action]
    needs_head: Callable[[CompareDigest, Evidence, Policy], bool]
    settle: Callable[[CompareDigest, Evidence, Policy], Action]
    planned: Callable[[int, int], Planned]
    gone_conflict: str

    @property
    def lists_source(self) -> bool:
        """Whether the source is the bucket whose listing the manifest describes."""
        return self.name == DOWN


_UP: Final = Direction(
    UP,
    "upload",
    "uploads",
    "objects",
    Upload,
    decide,
    needs_head,
    settle,
    lambda count, size: Planned(count, size),
    "kept; --delete deletes it, an upload replaces it",
)


def direction_of(name: DirectionName) -> Direction:
    """Return a direction by its name."""
    if name == UP:
        return _UP
    if name == DOWN:
        from aios3sync.core.download_decision import (
            decide_download,
            needs_head_for_download,
            settle_download,
        )

        return Direction(
            DOWN,
            "download",
            "downloads",
            "files",
            Download,
            decide_download,
            lambda compare, evidence, _: needs_head_for_download(compare, evidence),
            settle_download,
            lambda count, size: Planned(downloads=count, size=size),
            "kept; --delete deletes it, a sync to the bucket stores it again",
        )
    from aios3sync.core.copy_decision import decide_copy

    return Direction(
        COPY,
        "copy",
        "copies",
        "objects",
        CopyObject,
        decide_copy,
        needs_head,
        settle,
        lambda count, size: Planned(copies=count, size=size),
        "kept; --delete deletes it, a copy replaces it",
    )
