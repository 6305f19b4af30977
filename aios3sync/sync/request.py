"""One sync as it was asked for, a value that can be pickled; and the resources that carry it out."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from aios3sync._dataclass import dataclass, field
from aios3sync.concurrency import Stop
from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.core.keys import SCHEME, Location
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import UsageError
from aios3sync.events import EventSink, OutcomeSink, discard
from aios3sync.local.tree import LocalTree
from aios3sync.manifest.files import default_path
from aios3sync.manifest.protocol import Binding
from aios3sync.options import SyncOptions
from aios3sync.store.body_progress import SendWindow, Unlimited
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.sync.directions import DirectionName

if TYPE_CHECKING:
    from aios3sync.processes.protocol import DownloaderOpener, OffloaderOpener
    from aios3sync.store.protocol import ObjectStore, PutOptions
    from aios3sync.sync.deferred import DeferredAction
    from aios3sync.sync.transfers.memory import ByteSemaphore

__all__ = (
    "NAMED_FILES",
    "ActionGate",
    "Inspect",
    "Resources",
    "RunPart",
    "StoreOpener",
    "SyncRequest",
    "locate_sides",
    "manifest_path",
    "pending_path",
)

Inspect = Callable[[str, bytes], tuple[int, int] | None]
StoreOpener = Callable[[], Awaitable["ObjectStore"]]

NAMED_FILES: Final = "files:"
"""The name of a source that is a list of files: one for each target, whatever the list holds today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """One sync as it was asked for; it holds no callables and can be pickled.

    Attributes:
        root: the directory of the pair, absolute; its own symbolic links stay, they are its identity.
            NAMED_FILES where ``files`` are given.
        location: the bucket and prefix of the pair.
        endpoint: its name, see :mod:`aios3sync.store.s3.endpoint`.
        options: what to do.
        overrides: headers of single keys.
        files: keys and the absolute paths of their files, which then are the whole source: what is not named
            is absent, not hidden.
        direction: ``up`` from the directory to the bucket, ``down`` from the bucket to the directory. Both
            have one manifest. ``copy`` from another bucket to the bucket: the root is then the name of that
            one, with its endpoint.
        source_location: where a copy comes from.
        key_range: the keys that the sync is about; what is outside is neither looked at nor changed.
    """

    root: str
    location: Location
    endpoint: str
    options: SyncOptions
    overrides: Mapping[str, PutOptions] = field(default_factory=dict)
    files: Mapping[str, str] | None = None
    direction: DirectionName = "up"
    source_location: Location | None = None
    key_range: KeyRange = EVERYTHING

    @property
    def source(self) -> str:
        """The source, for people."""
        if self.source_location is not None:
            return str(self.source_location)
        return str(self.location) if self.direction == "down" else escape_undecodable(self.root)

    @property
    def target(self) -> str:
        """The target, for people."""
        return escape_undecodable(self.root) if self.direction == "down" else str(self.location)

    @property
    def binding(self) -> Binding:
        """The pair that the manifest belongs to."""
        return Binding(self.root, self.endpoint, self.location.bucket, self.location.prefix)

    def tree(self) -> LocalTree:
        """Return the side that is a tree; that of a copy is a list of no files."""
        if self.direction == "copy":
            return LocalTree(NAMED_FILES, files={})
        return LocalTree(
            self.root,
            symlinks=self.options.symlinks,
            on_bad_name=self.options.on_bad_name,
            files=self.files,
            key_range=self.key_range,
        )


class ActionGate(Protocol):
    """What a run asks before it carries out what it decided; it gives the gate itself as ``run``."""

    refused: int
    """Actions of a plan that were refused so far."""

    async def admit(self, run: Any, actions: list[Any]) -> list[Any]:
        """Return the transfers or updates of headers that go on; record an outcome for each other one."""
        ...

    def stays(self, page: Sequence[DeferredAction]) -> set[str]:
        """Return the keys of a page of deletes that are not deleted. Blocks."""
        ...

    async def preview(self, page: Sequence[DeferredAction]) -> None:
        """Take a page of deletes that a dry run would carry out."""
        ...

    async def restart(self) -> None:
        """Forget what a comparison decided, which begins again."""
        ...

    async def end(self, run: Any, *, deletes: bool) -> None:
        """Conclude the transfers and updates, or at last the deletes."""
        ...


class RunPart(Protocol):
    """Takes what the run of one key range leaves to the run of the whole.

    Such a run deletes nothing, puts no directory in order, and does not ask whether its tree was swapped or
    which rules matched nothing.
    """

    async def hold(self, stage: Any, planned: int) -> None:
        """Take the deletes that a :class:`~aios3sync.sync.deletes.DeleteStage` has approved of."""
        ...

    def ended(self, pipeline: Any) -> None:
        """Take what is known when the :class:`~aios3sync.sync.pipeline.Pipeline` has saved its state."""
        ...


def _unlimited() -> int:
    """Return a number that limits nothing: the number of workers limits the requests in flight."""
    return sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a session provides for one run: connections, limits, listeners.

    Attributes:
        open_store: opens the store at the first call, returns the same one ever after.
        open_source_store: the same for the bucket that a copy reads from.
        source_profile: what is known of the endpoint of that one; ``None`` if it is the same endpoint.
        open_source_inventory, open_target_inventory: open the store that holds the inventories of a side;
            ``None`` where its listing is not an inventory.
        open_trash_store: the same for the bucket that takes the objects that are to be deleted.
        copies_on_server: whether the endpoint of the target may be asked to read that bucket itself.
        memory: bytes of bodies in memory.
        workers: ceiling of uploads in flight.
        free_slots: how many more requests the session would let out at once now.
        window: bytes of large bodies on their way, all runs of the session together.
        open_offloader: opens the upload processes for small files, ``None`` for none.
        open_downloader: opens the download processes for small objects, ``None`` for none.
        on_event: progress.
        outcome_sinks: complete outcomes.
        stop: may ask to end early.
        inspect: returns the size of an image from the key and the first bytes of a file, in a thread.
        inspected: whether ``inspect`` is called for a key.
        profile: what is known of the endpoint, completed when its first store is opened.
        gate: stands between what is decided and what carries it out; ``None`` lets everything through.
        part: the run is one of several, each of a key range; ``None`` for a run of its own.
        counts: requests by operation and retries, read when the run has ended; see
            :class:`~aios3sync.store.wrappers.metrics.RequestCounts`.
    """

    open_store: StoreOpener
    memory: ByteSemaphore
    workers: int
    free_slots: Callable[[], int] = _unlimited
    window: SendWindow = field(default_factory=Unlimited)
    open_offloader: OffloaderOpener | None = None
    open_downloader: DownloaderOpener | None = None
    on_event: EventSink = discard
    outcome_sinks: Sequence[OutcomeSink] = ()
    stop: Stop = field(default_factory=Stop)
    inspect: Inspect | None = None
    inspected: Callable[[str], bool] = lambda _: True
    open_source_store: StoreOpener | None = None
    open_trash_store: StoreOpener | None = None
    source_profile: EndpointProfile | None = None
    copies_on_server: bool = False
    open_source_inventory: StoreOpener | None = None
    open_target_inventory: StoreOpener | None = None
    profile: EndpointProfile = field(default_factory=lambda: EndpointProfile(etags="md5"))
    gate: ActionGate | None = None
    part: RunPart | None = None
    counts: Any = None


Side = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]
"""What a caller names a side by: ``s3://bucket/prefix``, a path, or for a source keys and files."""


def locate_sides(
    source: Side, target: str | os.PathLike[str], options: SyncOptions
) -> tuple[DirectionName, str, dict[str, str] | None, Location]:
    """Return the direction of a sync, the root of its directory, its list of files, and its bucket.

    A text that begins with ``s3://`` is a bucket, any other text and every path object is a directory. Where
    both are buckets, the bucket is the target and the root the name of the source.

    Raises:
        UsageError: no side is a bucket, or one of them cannot be.
    """
    if not _is_bucket(source):
        if not _is_bucket(target):
            raise UsageError(_no_bucket(target))
        return "up", *_locate_tree(source, options), Location.parse(os.fspath(target))
    assert isinstance(source, str)  # noqa: S101 - as _is_bucket() says
    location = Location.parse(source)
    if _is_bucket(target):
        return "copy", str(location), None, Location.parse(os.fspath(target))
    if not os.fspath(target):
        raise UsageError("the target is empty; name the directory to sync into")
    return "down", *_locate_tree(target, options), location


def _is_bucket(side: Side) -> bool:
    return isinstance(side, str) and side.startswith(SCHEME)


def _no_bucket(target: str | os.PathLike[str]) -> str:
    text = escape_undecodable(os.fspath(target))
    return (
        f"{text!r} is not an S3 location; write s3://bucket/prefix, or use rsync to copy between two "
        "directories"
    )


def _locate_tree(source: Side, options: SyncOptions) -> tuple[str, dict[str, str] | None]:
    """Return the root of a directory, or the keys and absolute paths of a source that is a list of files."""
    if not isinstance(source, Mapping):
        return os.path.abspath(os.fspath(source)), None
    if options.files is not None:
        raise UsageError("files: a source that is a list of files needs no second list")
    if "" in source:
        raise UsageError("a source that is a list of files: a key cannot be empty")
    return NAMED_FILES, {key: os.path.abspath(path) for key, path in source.items()}


def manifest_path(request: SyncRequest) -> str:
    """Return where the manifest of a request is, or would be; empty where there is no place for one.

    Blocks: a relative path asks for the working directory.

    Raises:
        UsageError: no file can have the path that was asked for.
    """
    path = request.options.manifest or default_path(request.binding)
    try:
        impossible = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise UsageError(f"manifest: no file can have the path {path!r}")
    return os.path.abspath(path) if path else ""


def pending_path(request: SyncRequest) -> str:
    """Return where the thumbnails that are still missing are kept: next to the manifests, one file a pair."""
    return default_path(request.binding).removesuffix(".sqlite") + ".thumbnails"
