"""PartProgress: what the attempts at one part of a run have done, so that each thing is counted once.

A node that dies takes its report with it. So the counts of what is recorded are in the manifest, written in
the transaction of the rows: the next attempt at the part begins with them. It has the number of the run too,
by which the comparison knows which rows are of this run and counted already.

What was sent and not recorded yet is found by the next attempt in its place, as if it had always been there.
So the keys of transfers are noted in a file before they begin: what is found with its content although an
attempt was about to send it was sent by that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from anyio.streams.memory import MemoryObjectReceiveStream

from aios3sync.core.actions import Reason
from aios3sync.events import (
    Adopted,
    Copied,
    Deleted,
    Downloaded,
    Forgotten,
    Outcome,
    Touched,
    Updated,
    Uploaded,
)
from aios3sync.manifest.attempts import AttemptNotes
from aios3sync.sync.transfers.stages import Stage, feeding

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry
    from aios3sync.manifest.protocol import Manifest
    from aios3sync.sync.directions import DirectionName

__all__ = ("PartProgress", "noted_stage")

_TRANSFERRED: Final[dict[str, Callable[[RecordedEntry, int, str], Outcome]]] = {
    "up": Uploaded,
    "down": Downloaded,
    "copy": Copied,
}
_STATES: Final[dict[type[Any], str]] = {
    Uploaded: "uploaded",
    Downloaded: "downloaded",
    Copied: "copied",
    Updated: "updated",
    Adopted: "adopted",
    Deleted: "deleted",
    Forgotten: "forgotten",
}
_BYTES: Final[dict[type[Any], tuple[str, str]]] = {
    Uploaded: ("uploaded_bytes", "sent"),
    Downloaded: ("downloaded_bytes", "received"),
    Copied: ("copied_bytes", "sent"),
}


class PartProgress:
    """The progress of one part, from its first attempt on.

    Args:
        manifest: of the part: the file of this attempt, with what the one before had recorded.
        run: names the whole run; what another one has counted is none of this.
        before: the number of the last run before, whatever an attempt has saved.
        direction: of the run.

    Attributes:
        number: of the run, the same in every attempt.
    """

    def __init__(self, manifest: Manifest, run: str, before: int, direction: DirectionName) -> None:
        """Blocks."""
        self.number = before + 1
        self._notes = AttemptNotes(manifest, run, self.number)
        self._transferred = _TRANSFERRED[direction]

    @property
    def counts(self) -> Mapping[str, int]:
        """The effects that are recorded, by their states, with their bytes."""
        return self._notes.counts

    @property
    def continued(self) -> bool:
        """Whether an attempt before has recorded something."""
        return self._notes.continued

    async def record(
        self, rows: Sequence[RecordedEntry], gone: Sequence[str], outcomes: Iterable[Outcome]
    ) -> None:
        """Write and drop rows, and count what ended with them, all or nothing.

        Raises:
            ManifestError: it cannot be written.
        """
        await self._notes.record(rows, gone, Counter(self.counts) + _effects(outcomes))

    def as_sent(self, outcome: Outcome) -> Outcome:
        """Return the outcome of the attempt that has sent what this one has found in its place."""
        if type(outcome) is not Adopted or outcome.row.key not in self._notes.in_hand:
            return outcome
        self._notes.in_hand.discard(outcome.row.key)
        size = outcome.row.size if outcome.stored is None else outcome.stored.size
        return self._transferred(outcome.row, size, Reason.NEW.value)

    async def note(self, keys: Sequence[str]) -> None:
        """Note the keys of transfers that are about to begin."""
        await self._notes.take_in_hand(keys)


def _effects(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Return how many items ended in which state with a change of the manifest, and their bytes."""
    counts = Counter[str]()
    for outcome in outcomes:
        kind: type[Any] = type(outcome)
        if kind is Touched:
            counts["touched" if outcome.visible else "kept"] += 1  # type: ignore[union-attr]
        elif kind in _STATES:
            counts[_STATES[kind]] += 1
        if kind in _BYTES:
            counter, field = _BYTES[kind]
            counts[counter] += getattr(outcome, field)
    return counts


async def noted_stage(
    progress: PartProgress, stage: Stage, jobs: MemoryObjectReceiveStream[list[Any]]
) -> None:
    """Note the keys of transfers before a stage carries them out; ``jobs`` is closed at the end."""
    async with jobs, feeding(stage) as noted:
        async for batch in jobs:
            await progress.note([action.source.key for action in batch])
            await noted.send(batch)
