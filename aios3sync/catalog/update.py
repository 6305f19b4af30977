"""Changes one document until the change is in it: read, apply, compare-and-swap, again with jitter.

A change is a pure function of the document that finds nothing to do the second time. So a lost answer costs a
look: where the change is in what is there now, it has arrived. Where the endpoint has no conditional writes,
what was written is read back after a moment and written again if it is gone. A single writer loses nothing
that way; of writers at the very same time, one may undo what another added after that look.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync.catalog.document import CatalogDocument, CorruptDocument, Snapshot
from aios3sync.catalog.metrics import CatalogMetrics
from aios3sync.concurrency import full_jitter
from aios3sync.errors import ObjectNotFoundError, PreconditionFailedError, StoreError

__all__ = ("Apply", "CatalogChange", "CopyResult", "Start", "Written", "change")

Apply = Callable[[dict[str, Any]], dict[str, Any]]
Start = Callable[[], Awaitable[dict[str, Any]]]
"""What the document would be, where there is none or where it cannot be read."""

_PATIENCE: Final = 60.0
_MOST_ATTEMPTS: Final = 200
_MOST_DOUBTS: Final = 4
_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 1.0
_ATTEMPTS_OF_OTHERS: Final = 2
_SETTLING: Final = 0.1
"""Seconds before a write without a condition is looked at again."""


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What became of a change in one more place; ``error`` is empty where it arrived.

    ``warning`` tells what a person should know of a change that arrived.
    """

    location: str
    error: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """What a change did.

    Attributes:
        location: the document, ``s3://bucket/key``.
        keys: of the entries that it was about.
        changed: the document is another one now; False where it held the change already.
        entries: that the document holds now.
        rebuilt: the document was made anew by a scan first: it was ``missing`` or ``corrupt``, or ``asked``.
        set_aside: where a corrupt one was copied to.
        attempts: how often it was tried.
        swept: shards that an earlier writer had left behind, and that are deleted now.
        conditional: the endpoint honours conditional writes, so no other writer's entry was lost.
        copies: what became of it in the public manifest and in the replicas.
        warnings: what a person should know.
    """

    location: str
    keys: tuple[str, ...] = ()
    changed: bool = True
    entries: int = 0
    rebuilt: str = ""
    set_aside: str = ""
    attempts: int = 1
    swept: int = 0
    conditional: bool = True
    copies: tuple[CopyResult, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Written:
    """What became of one document; ``entries`` are those that it holds now."""

    entries: dict[str, Any]
    changed: bool = False
    rebuilt: str = ""
    set_aside: str = ""
    attempts: int = 0
    swept: int = 0


async def change(
    shelf: CatalogDocument, apply: Apply, start: Start, metrics: CatalogMetrics, *, sweep: bool = False
) -> Written:
    """Apply a change to a document.

    Args:
        shelf: of the document.
        apply: makes the new entries of the old ones, which it leaves as they are; called more than once.
        start: makes a document where none can be read. A corrupt one is set aside first.
        metrics: where changes and conflicts are counted.
        sweep: delete shards that were left behind, even if nothing changes.

    Raises:
        StoreError: it could not be read, or not be written; a write whose answer was lost may have happened.
        PreconditionFailedError: others were faster all the time.
    """
    deadline = time.monotonic() + _PATIENCE
    done = Written({})
    doubts = 0
    while True:
        began = time.monotonic()
        done.attempts += 1
        found = await _found(shelf, start, done)
        entries = await to_thread.run_sync(apply, found.entries)
        done.entries = entries
        is_there = entries == found.entries and bool(found.etag) and not found.is_remade
        if is_there and not sweep:
            return done
        try:
            done.swept = await shelf.replace(found.snapshot, entries, changed=not is_there, sweep=sweep)
        except (PreconditionFailedError, ObjectNotFoundError):
            metrics.conflicts += 1
            if done.attempts >= _MOST_ATTEMPTS or time.monotonic() > deadline:
                raise
        except StoreError as error:
            doubts += 1
            if not error.retryable or doubts > _MOST_DOUBTS:
                raise
            done.changed = done.changed or not is_there  # it may have happened: the next look tells
        else:
            done.changed = done.changed or not is_there
            if shelf.conditions.honoured or await _is_settled(shelf, apply):
                metrics.changes += done.changed
                metrics.swept += done.swept
                return done
        await _pause(done.attempts, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a change is applied to: a document, or what stands for one that cannot be read."""

    entries: dict[str, Any]
    snapshot: Snapshot
    is_remade: bool = False

    @property
    def etag(self) -> str:
        return self.snapshot.etag


async def _found(shelf: CatalogDocument, start: Start, done: Written) -> _Found:
    try:
        snapshot = await shelf.read()
    except ObjectNotFoundError:
        done.rebuilt = done.rebuilt or "missing"
        return _Found(await start(), Snapshot({}), is_remade=True)
    except CorruptDocument as error:
        # Copied once: a second look at the same bytes needs no second copy.
        done.rebuilt = "corrupt"
        done.set_aside = done.set_aside or await shelf.set_aside()
        return _Found(await start(), Snapshot({}, error.etag), is_remade=True)
    return _Found(snapshot.entries, snapshot)


async def _is_settled(shelf: CatalogDocument, apply: Apply) -> bool:
    """Whether the change is still there, a moment after it was written without a condition."""
    await anyio.sleep(_SETTLING)
    try:
        there = (await shelf.read()).entries
    except (CorruptDocument, ObjectNotFoundError):
        return False
    return await to_thread.run_sync(apply, there) == there


async def _pause(attempt: int, spent: float) -> None:
    """Wait before another attempt.

    The longest wait grows with what an attempt takes, or many writers of a large document only slow one
    another down.
    """
    longest = max(_LONGEST_WAIT, _ATTEMPTS_OF_OTHERS * spent)
    await anyio.sleep(full_jitter(min(attempt, 10) + 1, _FIRST_WAIT, longest))
