"""PartProgress: what the attempts at one part of a run have done, so that each item is counted once.

The report of a node that dies is lost. So the counts of what is recorded are in the manifest, written in the
transaction of the rows: the next attempt at the part begins with them. The attempts share the number of the
run, by which the comparison knows which rows are of this run and already counted.

What was sent but not recorded yet looks to the next attempt as if it had always been there. So the keys of
transfers are noted in a file before they begin: a noted object that is found with its content was sent by the
earlier attempt.
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
        run: names the whole run; counts of other runs are ignored.
        before: the number of the last run before this one, whatever an attempt has saved.
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
        """Whether an earlier attempt has recorded something."""
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
        """Return the outcome of a transfer that an earlier attempt has done and this one has found."""
        if type(outcome) is not Adopted or outcome.row.key not in self._notes.in_hand:
            return outcome
        self._notes.in_hand.discard(outcome.row.key)
        size = outcome.row.size if outcome.stored is None else outcome.stored.size
        return self._transferred(outcome.row, size, Reason.NEW.value)

    async def note(self, keys: Sequence[str]) -> None:
        """Note the keys of transfers that are about to begin."""
        await self._notes.take_in_hand(keys)


def _effects(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Return, for a change of the manifest, how many items ended in which state, and their bytes."""
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
