"""BucketSource: a bucket below a prefix as the source of a download, without keys that cannot be paths."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence, Set
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import ObjectSendStream

from aios3sync._dataclass import dataclass
from aios3sync.core.entries import Problem, RecordedEntry, ScanBatch, TargetEntry
from aios3sync.core.filters import Filters
from aios3sync.core.keys import is_directory_bucket
from aios3sync.core.local_names import have_no_problem, path_problem
from aios3sync.errors import ObjectNotFoundError
from aios3sync.listing.as_of import AsOfStore, require_versions, version_at
from aios3sync.listing.restores import RestoresStore
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.bucket import BucketListing
from aios3sync.sync.folded_names import FoldedNames
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

if TYPE_CHECKING:
    from aios3sync.inventory.listing import InventoryListing

__all__ = ("BucketSource", "BucketWalk")

_WINDOWS: Final = sys.platform == "win32"


class BucketSource(BucketListing):
    """A bucket as the source. Each read names the ETag that was listed, so that a replaced object is noticed.

    Attributes:
        device: none.
        case_folds, form_folds: whether the filesystem of the target treats names as equal that differ only by
            case, or only by Unicode form.
    """

    device = None
    case_folds = False
    form_folds = False

    def __init__(
        self,
        request: SyncRequest,
        resources: Resources,
        *,
        order: str = "",
        key_after: Callable[[str, int], Awaitable[str | None]] | None = None,
        inventory: InventoryListing | None = None,
    ) -> None:
        super().__init__(request, resources, order=order, key_after=key_after, inventory=inventory)
        self._as_of = request.options.as_of
        if self._as_of is not None:
            self._workers = 1  # versions are listed one page after the other
            self._key_after = None

    async def listed_store(self) -> ObjectStore:
        """Return the store; its listing also shows which objects are restored, or is that of an earlier time.

        Raises:
            UsageError: it keeps no versions.
            StoreError: the bucket cannot be used.
        """
        store = await self._open_store()
        if self._as_of is None:
            return store if is_directory_bucket(store.bucket) else RestoresStore(store)
        await require_versions(store)
        return AsOfStore(store, self._as_of)

    async def check(self) -> None:
        """Do nothing: the first request shows whether the bucket can be used."""

    def may_be_swapped(self, device: int) -> bool:  # noqa: ARG002
        """Return False: a bucket has no device."""
        return False

    def root_problem(self) -> str:
        """Return an empty text: a bucket has no root that could be replaced."""
        return ""

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> BucketWalk:  # noqa: ARG002
        """Return one pass over what the filters show."""
        names = None
        if self.case_folds or self.form_folds:
            names = FoldedNames(case=self.case_folds, form=self.form_folds)
        return BucketWalk(self, filters, names)

    def roots(self) -> tuple[str, ...]:
        """Return no path."""
        return ()

    def is_unchanged(self, row: RecordedEntry) -> bool:  # noqa: ARG002
        """Return True: a read that names an ETag returns that very object, or fails."""
        return True

    def has_name(self, key: str) -> bool:  # noqa: ARG002
        """Return False: keys of other forms are noted while the bucket is listed."""
        return False

    async def entry(self, key: str) -> TargetEntry | str:
        """Return the object of a key as it is now, or why there is none."""
        store = await self._open_store()
        try:
            if self._as_of is not None:
                return (await version_at(store, self._prefix + key, self._as_of))._replace(key=key)
            head = await store.head(self._prefix + key)
        except ObjectNotFoundError:
            return "no such object"
        return TargetEntry(key, head.size, head.etag, head.last_modified, head.storage_class)

    async def ignore_files(self, key: str) -> Sequence[tuple[str, bytes]]:  # noqa: ARG002
        """Return no file: a bucket has no directories with rules of their own."""
        return ()


class BucketWalk:
    """One pass over the objects of a bucket, to be consumed once.

    Attributes:
        mounts: none.
        markers: keys that end in ``/`` and have no bytes: directories, as consoles make them.
    """

    mounts: Set[str] = frozenset()

    def __init__(self, source: BucketSource, filters: Filters, names: FoldedNames | None = None) -> None:
        self._source = source
        self._names = names
        self._visible = None if filters.trivial else filters.visible
        self._missing = set(filter(source.key_range.holds, filters.files or ()))
        self.markers: list[str] = []

    async def send_batches(self, out: ObjectSendStream[ScanBatch[TargetEntry]]) -> None:
        """Send batches as soon as the order of the listing is certain enough.

        Raises:
            StoreError: the listing did not end cleanly.
            OutOfOrderError: see :meth:`~aios3sync.sync.bucket.BucketListing.send_entries`.
            TemporarySpaceError: the listing is sorted on disk, and the disk is full.
        """
        try:
            await self._source.send_entries(_Batches(self, out))  # type: ignore[arg-type]
        finally:
            await self._close()
        if self._missing:
            await out.send(self._end())

    async def stream(self) -> AsyncGenerator[ScanBatch[TargetEntry], None]:
        """Yield batches, after the listing was read to its end.

        Raises:
            StoreError: the listing did not end cleanly.
            TemporarySpaceError: the listing is sorted on disk, and the disk is full.
        """
        try:
            async with aclosing(self._source.entries()) as pages:
                async for page in pages:
                    yield await self.batch(page)
        finally:
            await self._close()
        if self._missing:
            yield self._end()

    async def _close(self) -> None:
        if self._names is not None:
            with anyio.CancelScope(shield=True):
                await self._names.close()

    async def batch(self, page: list[TargetEntry]) -> ScanBatch[TargetEntry]:
        """Return the visible entries of a page, without the keys that cannot be the path of a file."""
        batch = self._possible(page)
        if self._names is None:
            return batch
        others = await self._names.others([entry.key for entry in batch.entries])
        problems = [
            Problem(key, "same name", f"has the same name as {other!r} on this filesystem")
            for key, other in others.items()
        ]
        entries = [entry for entry in batch.entries if entry.key not in others]
        return ScanBatch(entries, batch.problems + problems)

    def _possible(self, page: list[TargetEntry]) -> ScanBatch[TargetEntry]:
        visible, missing = self._visible, self._missing
        if not (visible or missing or _WINDOWS) and have_no_problem([entry.key for entry in page]):
            return ScanBatch(page, [])
        entries: list[TargetEntry] = []
        problems: list[Problem] = []
        for entry in page:
            key = entry.key
            if visible is not None and not visible(key):
                continue
            if missing:
                missing.discard(key)
            if key[-1] == "/" and not entry.size and not path_problem(key, windows=_WINDOWS):
                self.markers.append(key)
            elif key[-1] == "/":
                text = path_problem(key, windows=_WINDOWS) or "ends in a slash, which no name of a file does"
                problems.append(Problem(key, "skipped", text))
            elif problem := path_problem(key, windows=_WINDOWS):
                problems.append(Problem(key, "skipped", problem))
            else:
                entries.append(entry)
        return ScanBatch(entries, problems)

    def _end(self) -> ScanBatch[TargetEntry]:
        text = "named, but there is no such object"
        return ScanBatch([], [Problem(key, "unreadable", text) for key in sorted(self._missing)])


@dataclass(frozen=True, slots=True)
class _Batches:
    """Passes pages of the listing on as batches."""

    walk: BucketWalk
    out: ObjectSendStream[ScanBatch[TargetEntry]]

    async def send(self, page: list[TargetEntry]) -> None:
        """Send one page."""
        await self.out.send(await self.walk.batch(page))
