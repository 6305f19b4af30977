"""Source and Target: the protocols by which the engine uses a side, whether directory or bucket.

The engine compares, guards, counts and records; a side knows what exists there, in key order, and whether
that has changed since. The classes by direction:

===========  ======================  ========================  =================  ==========================
Direction    Source                  Target                    Files              objects
===========  ======================  ========================  =================  ==========================
local to S3  LocalTree: its walk     BucketTarget: its sorted  LocalTree: bytes,  ObjectStore of the target:
                                     listing, DeleteObjects    digests            HEAD, writes
S3 to local  BucketSource: its       TreeTarget: its walk,     LocalTree:         ObjectStore of the source:
             sorted listing          unlinks                   digests            HEAD, ranged reads
S3 to S3     ObjectSource: its       BucketTarget: its sorted  none               both: HEAD, copies, reads
             sorted listing          listing, DeleteObjects
===========  ======================  ========================  =================  ==========================

Source and Target do not deal with content: where a file is compared with an object, :class:`Files` hashes the
file and the :class:`~aios3sync.store.protocol.ObjectStore` sends the requests for the object, whichever of
the two is the source. A bucket has no device, no mounts and no root that can be swapped: it returns ``None``
and empty values. It is protected because each read and each delete names the ETag that was listed.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence, Set
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

from anyio.abc import ObjectSendStream

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import RecordedEntry, ScanBatch, SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.core.inventory_place import InventoryPlace
from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.events import Trashed
from aios3sync.sync.bucket import BucketTarget
from aios3sync.sync.deferred import DeferredAction
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources, StoreOpener

if TYPE_CHECKING:
    from aios3sync.inventory.listing import InventoryListing
    from aios3sync.local.digest import FileDigest, SmallFile
    from aios3sync.local.forked_digests import HashedFile
    from aios3sync.local.read import Place
    from aios3sync.local.tree import LocalTree
    from aios3sync.sync.trash import BucketTrash

__all__ = (
    "ContentFile",
    "FileWalk",
    "Files",
    "Listing",
    "Sides",
    "Source",
    "SourceWalk",
    "Target",
    "Walked",
    "inventories_of",
    "sides_of",
)


E = TypeVar("E")
"""What a side holds: :class:`~aios3sync.core.entries.SourceEntry` for files, and
:class:`~aios3sync.core.entries.TargetEntry` for objects, also where the bucket is the source."""


class SourceWalk(Protocol[E]):
    """One pass over a source, to be consumed once."""

    @property
    def mounts(self) -> Set[str]:
        """Directories that are on another mount than the directory that they are in; empty for a bucket."""
        ...

    def stream(self) -> AsyncGenerator[ScanBatch[E], None]:
        """Yield the visible entries in key order, and the places that could not be read.

        Raises:
            SourceError: the source as a whole cannot be read: no key is known to be absent.
            StoreError: the same, of a bucket.
        """
        ...

    async def send_batches(self, out: ObjectSendStream[ScanBatch[E]]) -> None:
        """Send the same batches, as soon as the order is certain enough; see :meth:`Target.send_entries`.

        Raises:
            OutOfOrderError: see there.
        """
        ...


class Source(Protocol[E]):
    """Where entries come from. The methods that are not asynchronous block, except :attr:`device`."""

    async def check(self) -> None:
        """Check the source before the run, and remember its identity.

        Raises:
            SourceError: it cannot be used.
        """
        ...

    @property
    def device(self) -> int | None:
        """The identity of what holds the source, remembered across runs; ``None`` if it has none."""
        ...

    def may_be_swapped(self, device: int) -> bool:
        """Whether the source may be another one than that of an earlier run."""
        ...

    def root_problem(self) -> str:
        """Return why the source is no longer the one of :meth:`check`; empty if it is."""
        ...

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> SourceWalk[E]:
        """Return a walk over all visible entries.

        Args:
            filters: what is visible.
            prefix: of the target, for the length of keys.
            mounts: directories that were mount points in earlier walks.
        """
        ...

    def roots(self) -> Sequence[str]:
        """Return the absolute paths that the source is known by; a bucket has none."""
        ...

    def is_unchanged(self, row: RecordedEntry) -> bool:
        """Whether the entry of a row is still what was sent (P8); one that is gone counts as unchanged.

        A file that is gone was sent as it was; the next run finds that it is missing. A source whose reads
        are conditional need not check.
        """
        ...

    def has_name(self, key: str) -> bool:
        """Whether the source has an entry of this name, visible or not."""
        ...

    async def entry(self, key: str) -> E | str:
        """Return the entry of a key as it is now, or why there is none."""
        ...

    async def ignore_files(self, key: str) -> Sequence[tuple[str, bytes]]:
        """Return the directories above a key that have a ``.gitignore``, with its content.

        Raises:
            OSError: one of the files cannot be read.
        """
        ...


class Walked(Protocol):
    """A tree that is walked, on either side."""

    def walk(
        self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()
    ) -> SourceWalk[SourceEntry]:
        """Return a walk over all visible files, see :meth:`Source.walk`."""
        ...


class Listing(Protocol):
    """A bucket that is listed, on either side."""

    @property
    def order(self) -> str:
        """The order that the last listing had, remembered with the manifest; empty where it is not known."""
        ...

    @property
    def created(self) -> float:
        """When the inventory that replaces the listing was begun; 0 where the bucket is listed."""
        ...

    def saw_disorder(self) -> None:
        """Note that the entries did not come in key order: they are sorted from now on."""
        ...


class Target(Protocol[E]):
    """Where entries go: lists what exists, and deletes. Entries are written by the transfers."""

    @property
    def deletes_at_once(self) -> int:
        """How many entries one :meth:`delete` takes."""
        ...

    async def open(self) -> None:
        """Connect, unless connected.

        Raises:
            StoreError: the target cannot be used.
        """
        ...

    async def send_entries(self, out: ObjectSendStream[Any]) -> None:
        """Send all entries in key order, as soon as their order is certain enough.

        Args:
            out: the receiver of lists of entries, or of a :class:`~aios3sync.core.entries.ScanBatch` where
                there are places that cannot be read; it is left open.

        Raises:
            StoreError: the listing did not end cleanly: no key is known to be absent.
            OutOfOrderError: the options say that the entries are in key order, and they are not. Where the
                order was only expected, the reader notices: see :meth:`Listing.saw_disorder`.
            TemporarySpaceError: they are sorted on disk, and the disk is full.
        """
        ...

    def entries(self) -> AsyncGenerator[list[E], None]:
        """Yield all entries in key order, in whatever order they are found.

        Raises:
            StoreError: the listing did not end cleanly.
            TemporarySpaceError: the entries are sorted on disk, and the disk is full.
        """
        ...

    def out_of_reach(self, keys: Sequence[str]) -> Set[str]:
        """Return which of some keys a delete must not touch, because a link leads to them. Blocks."""
        ...

    async def changed(self, entries: Sequence[DeferredAction]) -> Mapping[str, str]:
        """Return why some entries are no longer what was listed, by key, where a delete would not notice.

        Args:
            entries: at most :attr:`deletes_at_once`, in key order. What is absent counts as unchanged.

        Raises:
            StoreError: the target cannot be checked.
        """
        ...

    async def delete(self, entries: Sequence[DeferredAction]) -> Mapping[str, str]:
        """Delete entries, where possible only those that are still what was listed or recorded.

        Args:
            entries: at most :attr:`deletes_at_once`.

        Returns:
            Why some were not deleted, by key. What is absent already counts as deleted.

        Raises:
            StoreError: the request failed as a whole; objects may have been deleted.
        """
        ...

    def moved(self) -> Sequence[Trashed]:
        """Return the objects that deletes have copied into the trash since the last call."""
        ...


class ContentFile(Protocol):
    """An open file whose content is sent. All methods block."""

    def stat(self) -> SourceEntry:
        """Return the file as it is now."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the whole buffer with the bytes from an offset.

        Raises:
            OSError: it cannot be read.
            ChangedError: it ends before the buffer is full.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class FileWalk(SourceWalk[SourceEntry], Protocol):
    """A walk that can be consumed in one thread, next to the manifest."""

    def batches(self) -> Iterator[ScanBatch[SourceEntry]]:
        """Yield the batches of :meth:`stream`. Blocks."""
        ...


class FilesNow(Protocol):
    """The files of a run without an event loop, see :class:`~aios3sync.local.root.TreeRoot`."""

    @property
    def device(self) -> int | None:
        """The identity of what holds the files, see :attr:`Source.device`."""
        ...

    def may_be_swapped(self, device: int) -> bool:
        """Whether the files may not be those of an earlier run; see :meth:`Source.may_be_swapped`."""
        ...

    def roots(self) -> Sequence[str]:
        """Return the absolute paths of the root."""
        ...

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> FileWalk:
        """Return a walk over all visible files, see :meth:`Source.walk`."""
        ...

    def read_now(self, entry: SourceEntry) -> tuple[bytes, int] | None:
        """Return a small file and when its reading began (ns); ``None`` if it changed since the walk.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def hash_now(self, entries: Sequence[SourceEntry], until: float) -> Iterator[HashedFile | None]:
        """Yield the digests of files, see :func:`~aios3sync.local.forked_digests.hash_files`."""
        ...

    def is_unchanged(self, row: RecordedEntry) -> bool:
        """Whether the file of a row is still what was sent (P8); one that is gone counts as unchanged."""
        ...


class Files(Protocol):
    """The side whose entries are files of this machine. All methods except the first four block."""

    @property
    def identity(self) -> tuple[int, int] | None:
        """The device and inode of the root before the run; ``None`` where there is none."""
        ...

    @property
    def device(self) -> int | None:
        """The identity of what holds the files, see :attr:`Source.device`."""
        ...

    def may_be_swapped(self, device: int) -> bool:
        """Whether the files may not be those of an earlier run; see :meth:`Source.may_be_swapped`."""
        ...

    def root_problem(self) -> str:
        """Return why the tree is no longer the one before the run; empty if it is."""
        ...

    def roots(self) -> Sequence[str]:
        """Return the absolute paths that the tree is known by."""
        ...

    def place(self, key: str) -> Place:
        """Return the place of a key's file, as a plain value for another process."""
        ...

    def is_missing(self, key: str, error: OSError) -> bool:
        """Whether an error says that the file of a key is gone."""
        ...

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> FileWalk:
        """Return a walk over all visible files, see :meth:`Source.walk`."""
        ...

    def open(self, key: str) -> ContentFile:
        """Open a file for reading.

        Raises:
            OSError: it cannot be opened, or is no regular file.
        """
        ...

    def head(self, key: str, size: int) -> bytes:
        """Return at most the first ``size`` bytes of a file.

        Raises:
            OSError: it cannot be read, or is no regular file.
        """
        ...

    def read_small(
        self, keys: Sequence[str], rooms: Sequence[int], *, by_mtime: bool
    ) -> tuple[list[SmallFile | Exception | int], bool]:
        """Read files one after the other, each as it was at one moment.

        Args:
            keys: of the files.
            rooms: bytes that each may have; a file that has become larger is not read.
            by_mtime: see :func:`~aios3sync.local.digest.is_settled`.

        Returns:
            For each key a file, the error that it cannot be read, or the size of a file that has become
            larger; and whether the reads waited for the storage.
        """
        ...

    def digest(
        self,
        key: str,
        stop: threading.Event,
        *,
        part_sizes: Sequence[int] = (),
        by_mtime: bool = False,
        sha256: bool = False,
        whole: bool = True,
    ) -> FileDigest:
        """Hash a file of any size, see :func:`~aios3sync.local.digest.digest_file`.

        Without ``whole``, its parts of the one given size alone.

        Raises:
            OSError: it cannot be read.
            ChangedError: it changed at every attempt, or ``stop`` was set.
        """
        ...

    def compress(
        self, key: str, copy: IO[bytes], stop: threading.Event, *, by_mtime: bool
    ) -> tuple[FileDigest, str, int]:
        """Compress a file into ``copy``, see :func:`~aios3sync.local.compress.compress_file`.

        Returns:
            The digest of the file, and the MD5 and the size of the copy.

        Raises:
            OSError: it cannot be read.
            ChangedError: it changed while it was read, or ``stop`` was set.
            TemporarySpaceError: the copy cannot be written.
        """
        ...


class Sides(NamedTuple):
    """The sides of a request: see the table above.

    Attributes:
        source, target: where entries come from, and where they go.
        files: the side that is a tree, for its files.
        walked: the same side, for its walk.
        listing: the bucket whose listing the manifest describes.
    """

    source: Source[Any]
    files: Files
    target: Target[Any]
    walked: Walked
    listing: Listing


class _BothListings:
    """The listings of both buckets, as a run remembers their order.

    Args:
        target: whose order the manifest remembers.
        source: listed as well.
    """

    def __init__(self, target: Listing, source: Listing) -> None:
        self._target = target
        self._source = source

    @property
    def order(self) -> str:
        """The order that the listing of the target had."""
        return self._target.order

    @property
    def created(self) -> float:
        """The time of the older of the two inventories; 0 where both buckets were listed."""
        return min(filter(None, (self._target.created, self._source.created)), default=0.0)

    def saw_disorder(self) -> None:
        """Sort both from now on: which of them was out of order is not always known."""
        self._target.saw_disorder()
        self._source.saw_disorder()


def sides_of(
    request: SyncRequest,
    resources: Resources,
    tree: LocalTree,
    *,
    order: str = "",
    key_after: Callable[[str, int], Awaitable[str | None]] | None = None,
    warn: Callable[[str], object] = lambda _: None,
) -> Sides:
    """Return the sides of a request; only this function chooses their classes.

    Args:
        request: says the direction, and where both sides are.
        resources: open the store of the bucket, and know its endpoint.
        tree: of the request, which was checked already.
        order: of the last listing, see :class:`~aios3sync.sync.bucket.BucketTarget`.
        key_after: see there.
        warn: see there.
    """
    source_inventory, target_inventory = inventories_of(request, resources)
    if request.direction != "down":
        target = BucketTarget(
            request,
            resources,
            order=order,
            key_after=key_after,
            inventory=target_inventory,
            warn=warn,
            trash=_trash(request, resources, warn),
        )
        if request.direction == "up":
            return Sides(tree, tree, target, tree, target)
        from aios3sync.sync.object_source import ObjectSource

        objects = ObjectSource.of(request, resources, source_inventory)
        return Sides(objects, tree, target, tree, _BothListings(target, objects))
    from aios3sync.sync.bucket_source import BucketSource
    from aios3sync.sync.tree import TreeTarget

    source = BucketSource(request, resources, order=order, key_after=key_after, inventory=source_inventory)
    target_tree = TreeTarget(tree, request.options)
    return Sides(source, tree, target_tree, target_tree, source)


def inventories_of(
    request: SyncRequest, resources: Resources
) -> tuple[InventoryListing | None, InventoryListing | None]:
    """Return the inventories that replace the listings of source and target."""
    options, location = request.options, request.location
    source = location if request.direction == "down" else request.source_location
    return (
        _inventory("source_listing", options.source_listing, resources.open_source_inventory, source),
        _inventory("target_listing", options.target_listing, resources.open_target_inventory, location),
    )


def _inventory(
    name: str, text: str, open_store: StoreOpener | None, location: Location | None
) -> InventoryListing | None:
    if not text or location is None:
        return None
    if open_store is None:
        raise UsageError(f"{name}: no connection to the bucket of the inventory")
    from aios3sync.inventory.listing import InventoryListing

    return InventoryListing(InventoryPlace.parse(name, text), open_store, location.bucket)


def _trash(request: SyncRequest, resources: Resources, warn: Callable[[str], object]) -> BucketTrash | None:
    if request.options.trash is None:
        return None
    from aios3sync.sync.trash import BucketTrash

    return BucketTrash(request, resources, warn)
