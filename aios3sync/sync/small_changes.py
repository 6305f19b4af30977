"""Find the small files that a sync has to send or to read; called by ``small_run.py``.

The decisions are those of a run. The first decision that needs more than a small file ends the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aios3sync._typing import TYPE_CHECKING, Final, TypeGuard
from aios3sync.core.actions import UNCOUNTED, CompareDigest, Keep, Upload
from aios3sync.core.decision import UNKNOWN, decide
from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
from aios3sync.core.etag import Proof, proof
from aios3sync.core.merge import merge_join

if TYPE_CHECKING:
    from aios3sync.core.actions import Action
    from aios3sync.core.policy import Policy

__all__ = ("MOST_COMPARED", "MOST_FILES", "SmallChanges", "find_changes")

MOST_FILES: Final = 1_000
"""Files that are sent here, by one process. With more, a run that starts others is faster."""
MOST_BYTES: Final = 64 * 2**20
"""Bytes of all of them; the same."""
MOST_COMPARED: Final = 40_000
"""Files that are read here to compare them; a run loads more and takes as long to read them."""
_LARGEST: Final = 2**20
"""Bytes of a file: no view shows how far it is."""


class SmallChanges:
    """The decisions about keys, collected as long as they are little work together.

    Attributes:
        kept: number of keys that stay as they are.
        actions: for the other keys.
    """

    def __init__(self) -> None:
        self.kept = 0
        self.actions: list[Upload | CompareDigest] = []
        self._files, self._bytes, self._compared = MOST_FILES, MOST_BYTES, MOST_COMPARED

    def takes(self, action: Action) -> bool:
        """Take an action; return False if it is more than small work."""
        if isinstance(action, Keep):
            self.kept += action.reason not in UNCOUNTED
            return True
        if not _is_small(action):
            return False
        self.actions.append(action)
        if isinstance(action, CompareDigest):
            self._compared -= 1
        else:
            self._files -= 1
            self._bytes -= action.source.size
        return min(self._files, self._bytes, self._compared) >= 0


def find_changes(
    entries: Sequence[SourceEntry],
    rows: Sequence[RecordedEntry],
    objects: Sequence[TargetEntry] | None,
    policy: Policy,
    visible: Callable[[str], bool] | None,
    changes: SmallChanges,
) -> bool:
    """Decide about keys as a run does; return False where a run is needed for any of them.

    Args:
        entries: of the source.
        rows: of the manifest.
        objects: of the target; ``None`` where they are not known.
        policy: what decisions depend on.
        visible: the filters, for rows and objects; ``None`` if all are visible.
        changes: takes the decisions.

    Raises:
        OutOfOrderError: a stream is not in key order.
    """
    streams = (_visible(each, visible) for each in (rows, objects or ()))
    for source, recorded, target in merge_join(entries, *streams):
        if source is None and recorded is None and policy.delete != "mirror":
            continue  # an object that this tool did not upload: there is nothing to decide
        if not changes.takes(decide(source, recorded, UNKNOWN if objects is None else target, policy)):
            return False
    return True


def _visible(
    entries: Sequence[RecordedEntry] | Sequence[TargetEntry], visible: Callable[[str], bool] | None
) -> Iterator[RecordedEntry | TargetEntry]:
    return (entry for entry in entries if visible is None or visible(entry.key))


def _is_small(action: Action) -> TypeGuard[Upload | CompareDigest]:
    """Whether an action needs no more than the file itself."""
    if isinstance(action, Upload):
        return action.source.size <= _LARGEST
    if not isinstance(action, CompareDigest) or action.source.size > _LARGEST:
        return False
    row, target = action.recorded, action.target
    if target is not None:
        return target.size == action.source.size and proof(target.etag) is Proof.MD5
    return row is not None and bool(row.md5) and not row.encoding
