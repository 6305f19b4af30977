"""Manifest: the protocol of the local state, and its values. Types only, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from importlib import import_module

from aios3sync._dataclass import dataclass, defaults_of, replace
from aios3sync._typing import Any, Final, Protocol, Self
from aios3sync.core.entries import RecordedEntry
from aios3sync.manifest.json_text import write_json

__all__ = ("Binding", "BlockingManifest", "Manifest", "ManifestPlace", "ManifestState", "Stat")

_SCOPES: Final = 16
"""How many of the latest scopes are remembered."""

Stat = tuple[str, int, int, int, int]
"""Key, size, mtime_ns, ctime_ns, inode."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The pair of a manifest, which is never used for another one.

    Attributes:
        source: absolute path, symbolic links not resolved.
        endpoint: the endpoint's URL, or ``aws``.
        bucket: the bucket.
        prefix: empty, or ending in ``/``.
    """

    source: str
    endpoint: str
    bucket: str
    prefix: str

    def as_document(self) -> dict[str, str]:
        """Return the attributes by name."""
        return {name: getattr(self, name) for name in defaults_of(Binding)}

    def digest(self) -> str:
        """Return the file name for the pair."""
        text = write_json([self.source, self.endpoint, self.bucket, self.prefix], (", ", ": "))
        return _sha256(text.encode("utf-8", "surrogateescape"))[:32]


def _sha256(data: bytes) -> str:
    """Return the hex digest, of the interpreter itself: ``hashlib`` loads OpenSSL, which takes 3 ms."""
    for name in ("_sha2", "_sha256", "hashlib"):  # from Python 3.12 on, before, and for other interpreters
        with suppress(ImportError):
            return str(import_module(name).sha256(data).hexdigest())
    raise ImportError("hashlib")


@dataclass(frozen=True, slots=True)
class ManifestState:
    """The state of a manifest, in addition to its rows.

    Attributes:
        complete: whether the last run did all uploads, so that the rows describe the whole target.
        listed_at: when the target was last listed as a whole (seconds since the epoch), 0 for never.
        last_sync: when the last run ended, 0 for never.
        run: number of the last run.
        device: ``st_dev`` of the source root, -1 where not known.
        mounts: mount points below the root (relative, ending in ``/``).
        order: ``ascending`` or ``unordered``, as observed in listings; empty where that is not known.
        opaque_etags: whether the bucket's encryption makes ETags that prove nothing.
        listings: the same as ``complete`` and ``listed_at`` for runs over a part of the source: pairs of a
            scope (a digest of filters and lists) and the time when the target was listed.
        receipts: keys of the receipts that runs have written, on either side: they are not data.
    """

    complete: bool = False
    listed_at: float = 0.0
    last_sync: float = 0.0
    run: int = 0
    device: int = -1
    mounts: tuple[str, ...] = ()
    order: str = ""
    opaque_etags: bool = False
    listings: tuple[tuple[str, float], ...] = ()
    receipts: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the state from stored values; missing ones get their default, unknown ones are dropped.

        Raises:
            TypeError: a value is of another type than its default.
        """
        defaults = defaults_of(cls)
        return cls(
            **{name: _like(value, defaults[name]) for name, value in values.items() if name in defaults}
        )

    def begun(self) -> ManifestState:
        """Return the state for a run that writes: incomplete until the run ends well."""
        return replace(self, complete=False, listings=())

    def known_since(self, scope: str) -> float:
        """Return when the listing began that the rows of a scope rely on; 0 where there is none."""
        whole = self.listed_at if self.complete else 0.0
        return max(whole, dict(self.listings).get(scope, 0.0))

    def listed(self, scope: str, when: float) -> Self:
        """Return the state after a run of a scope that has compared its rows with a listing.

        The listings of other scopes stay as they were.
        """
        if not scope:
            return replace(self, complete=True, listed_at=when)
        others = [item for item in self.listings if item[0] != scope]
        return replace(self, listings=(*others[1 - _SCOPES :], (scope, when)))

    def on_device(self, device: int | None, scope: str) -> Self:
        """Return the state after a run of a scope that found the root of the source on a device.

        A run that has seen only a part knows nothing of the rest (P3), so it saves a device only if none is
        known.

        Args:
            device: ``st_dev``; ``None`` for a source without one.
            scope: a digest of filters and lists; empty for the whole source.
        """
        if device is None or (scope and self.device != -1):
            return self
        return replace(self, device=device)


def _like(value: Any, default: Any) -> Any:
    """Return a value in the type of its field: JSON has lists instead of tuples, and integers as times."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise TypeError(f"{value!r} is no {type(default).__name__}")
    return value


class Manifest(Protocol):
    """Rows in key order, and one state. One writer; readers may page while it writes.

    All methods raise :class:`~aios3sync.errors.ManifestError` where the storage fails.
    """

    @property
    def place(self) -> str:
        """The path, for messages; empty for a temporary manifest."""
        ...

    @property
    def binding(self) -> Binding | None:
        """The pair it belongs to, ``None`` where the file names none."""
        ...

    async def state(self) -> ManifestState:
        """Return the state as last saved."""
        ...

    async def save_state(self, state: ManifestState) -> None:
        """Replace the state; durable when it returns."""
        ...

    async def page(self, after: str | None, limit: int) -> list[RecordedEntry]:
        """Return up to ``limit`` rows with keys greater than ``after``, ascending; empty at the end."""
        ...

    def rows_after(self, after: str, limit: int) -> list[RecordedEntry]:
        """Return the same as :meth:`page`. Blocks; for callers that are in a thread already."""
        ...

    def rows_through(self, after: str, last: str) -> list[RecordedEntry]:
        """Return all rows with keys after ``after``, up to and including ``last``, ascending. Blocks."""
        ...

    def stats_after(self, after: str, limit: int, headers: tuple[str, str] | None = None) -> list[Stat]:
        """Return the first five fields of up to ``limit`` rows greater than ``after``, ascending. Blocks.

        A tuple equals a :class:`~aios3sync.core.entries.SourceEntry` only if the row can be kept by its stat
        alone: the inode is -1 for rows that are not settled, or compressed, or whose recorded headers are
        none of ``headers``. Without ``headers`` these are not compared.
        """
        ...

    async def key_after(self, after: str, rows: int) -> str | None:
        """Return the key ``rows`` rows after ``after`` (a key or empty); ``None`` where there are fewer."""
        ...

    async def get(self, key: str) -> RecordedEntry | None:
        """Return one row."""
        ...

    async def count(self) -> int:
        """Return how many rows there are."""
        ...

    async def lacks_headers(self) -> bool:
        """Return whether there is a row without a record of its headers."""
        ...

    async def record(self, rows: Sequence[RecordedEntry], gone: Sequence[str]) -> None:
        """Write and drop rows, all or nothing."""
        ...

    async def clear(self) -> None:
        """Drop all rows and the state."""
        ...

    async def close(self) -> None:
        """Save pending changes and close the file; idempotent."""
        ...


class BlockingManifest(Manifest, Protocol):
    """The methods for callers without an event loop. All of them block."""

    def state_now(self) -> ManifestState:
        """Return the state as last saved."""
        ...

    def save_state_now(self, state: ManifestState) -> None:
        """Replace the state."""
        ...

    def has_more_rows(self, rows: int) -> bool:
        """Whether there are more than ``rows`` rows."""
        ...

    def record_now(self, rows: Sequence[RecordedEntry], gone: Sequence[str]) -> None:
        """Write rows and remove keys, in one transaction."""
        ...

    def close_now(self) -> None:
        """Close the file; idempotent."""
        ...


class ManifestPlace(Protocol):
    """Where a manifest is kept that is no file of this machine.

    All methods raise :class:`~aios3sync.errors.ManifestError` or :class:`~aios3sync.errors.StoreError` where
    it cannot be read or removed, or is of another pair.
    """

    def copied(self) -> AbstractAsyncContextManager[str]:
        """Copy it to this machine, if there is one; give the path of the copy, which lasts for the block."""
        ...

    async def size(self) -> int:
        """Return its bytes in that place."""
        ...

    async def forget(self) -> bool:
        """Remove it, and return whether there was one; refused while a run is at work with it."""
        ...
