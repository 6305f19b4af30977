"""Change one document: read, apply, compare-and-swap; repeated with jitter until the change is in it.

A change is an idempotent pure function of the document. So after a lost response the document is read again:
if applying the change has no effect, it has arrived. Where the endpoint has no conditional writes, the
document is read back after a moment, and written again if the change is not in it. A single writer loses
nothing that way; of simultaneous writers, one may overwrite what another has added after it was read back.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import dataclass
from aios3sync.catalog.document import CatalogDocument, CorruptDocument, Snapshot
from aios3sync.catalog.metrics import CatalogMetrics
from aios3sync.concurrency import full_jitter
from aios3sync.errors import ObjectNotFoundError, PreconditionFailedError, StoreError

__all__ = ("Apply", "CatalogChange", "CopyResult", "Start", "Written", "change")

Apply = Callable[[dict[str, Any]], dict[str, Any]]
Start = Callable[[], Awaitable[dict[str, Any]]]
"""Returns the entries to begin with where there is no document, or where it cannot be read."""

_TIME_LIMIT: Final = 60.0
_MOST_ATTEMPTS: Final = 200
_MOST_UNKNOWN_OUTCOMES: Final = 4
_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 1.0
_ATTEMPTS_OF_OTHERS: Final = 2
_SETTLING: Final = 0.1
"""Seconds after which a write without a condition is read back."""


@dataclass(frozen=True, slots=True)
class CopyResult:
    """The result of a change in one replica or public manifest; ``error`` is empty where it succeeded.

    ``warning`` is a remark for the user on a change that succeeded.
    """

    location: str
    error: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """The result of a change.

    Attributes:
        location: of the document, ``s3://bucket/key``.
        keys: of the changed entries.
        changed: whether the document was written; False where the change was in it already.
        entries: the number of entries in the document now.
        rebuilt: why the document was rebuilt by a scan first: ``missing``, ``corrupt`` or ``asked``; else
            empty.
        set_aside: the key of the copy of a corrupt document.
        attempts: the number of attempts.
        swept: the number of orphaned shards that were deleted.
        conditional: whether the endpoint honours conditional writes, so that no entry of another writer was
            lost.
        copies: the results in the public manifest and in the replicas.
        warnings: remarks for the user.
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
    """The result of a change of one document; ``entries`` are those in it now."""

    entries: dict[str, Any]
    changed: bool = False
    rebuilt: str = ""
    set_aside: str = ""
    attempts: int = 0
    swept: int = 0


async def change(
    document: CatalogDocument, apply: Apply, start: Start, metrics: CatalogMetrics, *, sweep: bool = False
) -> Written:
    """Apply a change to a document.

    Args:
        document: to change.
        apply: returns the new entries from the old ones, which it does not modify; called more than once.
        start: returns the entries where no document can be read. A corrupt one is set aside first.
        metrics: counts changes and conflicts.
        sweep: delete orphaned shards, even if nothing changes.

    Raises:
        StoreError: the document could not be read or written; a write whose response was lost may have
            happened.
        PreconditionFailedError: other writers won every attempt.
    """
    deadline = time.monotonic() + _TIME_LIMIT
    done = Written({})
    unknown_outcomes = 0
    while True:
        began = time.monotonic()
        done.attempts += 1
        found = await _found(document, start, done)
        entries = await to_thread.run_sync(apply, found.entries)
        done.entries = entries
        is_there = entries == found.entries and bool(found.etag) and not found.is_rebuilt
        if is_there and not sweep:
            return done
        try:
            done.swept = await document.replace(found.snapshot, entries, changed=not is_there, sweep=sweep)
        except (PreconditionFailedError, ObjectNotFoundError):
            metrics.conflicts += 1
            if done.attempts >= _MOST_ATTEMPTS or time.monotonic() > deadline:
                raise
        except StoreError as error:
            unknown_outcomes += 1
            if not error.retryable or unknown_outcomes > _MOST_UNKNOWN_OUTCOMES:
                raise
            done.changed = done.changed or not is_there  # it may have happened: the next read shows it
        else:
            done.changed = done.changed or not is_there
            if document.conditions.honoured or await _is_settled(document, apply):
                metrics.changes += done.changed
                metrics.swept += done.swept
                return done
        await _pause(done.attempts, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Found:
    """The entries that a change is applied to: of a document, or a replacement for an unreadable one."""

    entries: dict[str, Any]
    snapshot: Snapshot
    is_rebuilt: bool = False

    @property
    def etag(self) -> str:
        return self.snapshot.etag


async def _found(document: CatalogDocument, start: Start, done: Written) -> _Found:
    try:
        snapshot = await document.read()
    except ObjectNotFoundError:
        done.rebuilt = done.rebuilt or "missing"
        return _Found(await start(), Snapshot({}), is_rebuilt=True)
    except CorruptDocument as error:
        # Copied once: another attempt finds the same bytes.
        done.rebuilt = "corrupt"
        done.set_aside = done.set_aside or await document.set_aside()
        return _Found(await start(), Snapshot({}, error.etag), is_rebuilt=True)
    return _Found(snapshot.entries, snapshot)


async def _is_settled(document: CatalogDocument, apply: Apply) -> bool:
    """Whether a change is still in the document, a moment after it was written without a condition."""
    await anyio.sleep(_SETTLING)
    try:
        entries = (await document.read()).entries
    except (CorruptDocument, ObjectNotFoundError):
        return False
    return await to_thread.run_sync(apply, entries) == entries


async def _pause(attempt: int, spent: float) -> None:
    """Wait before another attempt.

    The longest wait grows with what an attempt takes, or many writers of a large document only slow one
    another down.
    """
    longest = max(_LONGEST_WAIT, _ATTEMPTS_OF_OTHERS * spent)
    await anyio.sleep(full_jitter(min(attempt, 10) + 1, _FIRST_WAIT, longest))
