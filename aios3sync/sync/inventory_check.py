"""InventoryCheck settles what an inventory cannot know, before anything is deleted or overwritten.

An inventory shows the past. The upload of a changed file does not depend on it. But where only the inventory
says that an object is missing or different, or that a key is gone, the current object is requested. What
changed since the inventory is never deleted: a run with a later one decides about it.

=====================================  ===============================================================
The inventory leads to                 what happens first
=====================================  ===============================================================
a transfer of a file or object, new    nothing: what changed since is met by the write as in every run
or changed here since it was recorded
a transfer because the target lacks    the object of the target is asked for, and the key decided again;
it, or has another one                 a file that is compared by its content is asked for after that
a row to forget, a conflict over a     the objects of both inventories are asked for, and the key decided
key that is gone                       again
a delete                               both are asked for: the key stays if the source has it by now, or
                                       the target has another object, or one that changed since
a copy or download of an object        nothing: it is read with its ETag as the condition
=====================================  ===============================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aios3sync.core.actions import (
    BY_TARGET,
    Action,
    CompareDigest,
    Conflict,
    CopyObject,
    Forget,
    Reason,
    Upload,
)
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import same_etag
from aios3sync.errors import StoreError
from aios3sync.sync.bucket import BucketListing
from aios3sync.sync.current_objects import CurrentObject
from aios3sync.sync.deferred import DeferredAction
from aios3sync.sync.sides import Sides

__all__ = ("InventoryCheck", "changed_warning")

Row = tuple[Any, Any, Any]
"""The entries of one key: source, manifest, target."""
Decide = Callable[[Any, Any, Any], Action]


class InventoryCheck:
    """The checks of one run.

    Args:
        source, target: the sides whose listing is an inventory; ``None`` for others.

    Attributes:
        changed: deletes that were left out because the key changed since the inventory.
    """

    def __init__(self, source: BucketListing | None, target: BucketListing | None) -> None:
        self.changed = 0
        self._source = source
        self._target = target

    @classmethod
    def of(cls, sides: Sides) -> InventoryCheck | None:
        """Return the check of a run; ``None`` where no side is read from an inventory."""
        source, target = (
            side if isinstance(side, BucketListing) and side.inventory is not None else None
            for side in (sides.source, sides.target)
        )
        return cls(source, target) if source or target else None

    async def confirmed(
        self, rows: Iterable[Row], number: int, decide: Decide
    ) -> tuple[list[Row], dict[str, StoreError]]:
        """Return the rows; where an inventory leads to a doubtful action, with the current objects.

        Args:
            rows: of some keys.
            number: of the run; rows that it has recorded are done.
            decide: chooses the action for a row.

        Returns:
            The rows, except those of keys that could not be checked, and the errors of these.
        """
        checked = list(rows)
        doubtful = [row for row in checked if self._is_doubtful(row, number, decide)]
        failed: dict[str, StoreError] = {}
        if not doubtful:
            return checked, failed
        keys = [_key(row) for row in doubtful]
        sources = {} if self._source is None else await self._source.current(keys)
        targets = {} if self._target is None else await self._target.current(keys)
        confirmed: list[Row] = []
        for row in checked:
            key = _key(row)
            source, target = sources.get(key, row[0]), targets.get(key, row[2])
            if error := _error(source, target):
                failed[key] = error
            elif (source, row[1], target) != (None, None, None):
                confirmed.append((source, row[1], target))
        return confirmed, failed

    def _is_doubtful(self, row: Row, number: int, decide: Decide) -> bool:
        source, recorded, _ = row
        if source is not None and recorded is not None and recorded.run == number:
            return False  # done earlier in this run
        try:
            action = decide(*row)
        except Exception:  # noqa: BLE001 - the key fails when it is decided, and is counted there
            return False
        match action:
            case Forget() | Conflict(reason=Reason.FOREIGN):
                return True
            case Upload(reason=Reason.SIZE):
                return self._target is not None and recorded is None  # else the file is what has changed
            case Upload(reason=reason) | CopyObject(reason=reason):
                return self._target is not None and reason in BY_TARGET
            case CompareDigest():
                return self._target is not None and None not in (recorded, action.target)
        return False

    def doubts(self, compare: CompareDigest) -> bool:
        """Whether an upload after a comparison is due to an object that only an inventory shows."""
        return self._target is not None and compare.target is not None

    async def target_objects(self, keys: Sequence[str]) -> dict[str, CurrentObject]:
        """Return the current objects of the target for some keys."""
        assert self._target is not None  # noqa: S101 - see doubts()
        return await self._target.current(keys)

    async def blocked(self, actions: Sequence[DeferredAction]) -> dict[str, StoreError | None]:
        """Return the keys that must not be deleted: changed since the inventory, or failed to be checked."""
        keys = [action.key for action in actions]
        stays: dict[str, StoreError | None] = {}
        if self._source is not None:
            for key, entry in (await self._source.current(keys)).items():
                if entry is not None:
                    stays[key] = entry if isinstance(entry, StoreError) else None
        if self._target is not None:
            now = await self._target.current([key for key in keys if key not in stays])
            for action in actions:
                entry = now.get(action.key)
                if isinstance(entry, StoreError):
                    stays[action.key] = entry
                elif entry is not None and self._has_changed(action, entry):
                    stays[action.key] = None
        self.changed += sum(error is None for error in stays.values())
        return stays

    def _has_changed(self, action: DeferredAction, entry: TargetEntry) -> bool:
        assert self._target is not None  # noqa: S101 - the caller has asked it
        same = same_etag(entry.etag, action.etag) and entry.size == action.size
        # HEAD tells whole seconds.
        return not same or entry.last_modified >= int(self._target.created)

    @property
    def created(self) -> float:
        """When the older inventory was made, seconds since the epoch."""
        return min(side.created for side in (self._source, self._target) if side is not None)


def changed_warning(changed: int, created: float) -> str:
    """Return the warning about deletes that were left out.

    Args:
        changed: how many keys changed since the inventory.
        created: when that was made, seconds since the epoch.
    """
    date = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{changed} keys changed since the inventory of {date} and are not deleted; a run with a later "
        "inventory, or with a listing, decides about them"
    )


def _key(row: Row) -> str:
    key: str = next(entry.key for entry in row if entry is not None)
    return key


def _error(*entries: Any) -> StoreError | None:
    return next((entry for entry in entries if isinstance(entry, StoreError)), None)
