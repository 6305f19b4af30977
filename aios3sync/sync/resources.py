"""Resources: what a session provides for a run: connections, limits, listeners."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aios3sync._dataclass import dataclass, field
from aios3sync.concurrency import Stop
from aios3sync.events import EventSink, OutcomeSink, discard
from aios3sync.store.body_progress import SendWindow, Unlimited
from aios3sync.store.endpoint_profile import EndpointProfile

if TYPE_CHECKING:
    from aios3sync.processes.protocol import DownloaderOpener, OffloaderOpener
    from aios3sync.store.protocol import ObjectStore
    from aios3sync.sync.deferred import DeferredAction
    from aios3sync.sync.receipt_list import ReceiptList
    from aios3sync.sync.transfers.memory import ByteSemaphore

__all__ = ("ActionGate", "Inspect", "Resources", "RunPart", "StoreOpener")

Inspect = Callable[[str, bytes], tuple[int, int] | None]
StoreOpener = Callable[[], Awaitable["ObjectStore"]]


class ActionGate(Protocol):
    """Decides which actions of a run are carried out; the run passes itself as ``run``."""

    refused: int
    """Actions of a plan that were refused so far."""

    async def admit(self, run: Any, actions: list[Any]) -> list[Any]:
        """Return the transfers or header updates to carry out; record an outcome for each of the others."""
        ...

    def stays(self, page: Sequence[DeferredAction]) -> set[str]:
        """Return the keys of a page of deletes that are not deleted. Blocks."""
        ...

    async def preview(self, page: Sequence[DeferredAction]) -> None:
        """Take a page of deletes that the dry run has planned."""
        ...

    async def restart(self) -> None:
        """Drop the decisions of a comparison that begins again."""
        ...

    async def end(self, run: Any, *, deletes: bool) -> None:
        """Conclude the transfers and updates, or finally the deletes."""
        ...


class RunPart(Protocol):
    """Takes the results of the run of one key range, for the run of the whole.

    The run of a key range deletes nothing, cleans up no directory, and does not check whether its tree was
    swapped or which rules matched nothing.

    Attributes:
        run: names the run of the whole: another attempt at the same part of it takes over the counts of this
            one; empty where there is none.
        before: the number of the last run before: all attempts have the next number.
    """

    run: str
    before: int

    async def hold(self, stage: Any, planned: int) -> None:
        """Take the deletes that a :class:`~aios3sync.sync.deletes.DeleteStage` has approved."""
        ...

    def ended(self, pipeline: Any, *, headers_unknown: bool) -> None:
        """Take the results of a :class:`~aios3sync.sync.pipeline.Pipeline` that has saved its state.

        Where headers are unknown, a warning says so, and rules for headers may have matched.
        """
        ...


def _unlimited() -> int:
    """Return a number that limits nothing: the number of workers limits the requests in flight."""
    return sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a session provides for one run: connections, limits, listeners.

    Attributes:
        open_store: opens the store at the first call, and returns the same one from then on.
        open_source_store: the same for the bucket that a copy reads from.
        source_profile: what is known of the endpoint of that bucket; ``None`` if it is the same endpoint.
        open_source_inventory, open_target_inventory: open the store that holds the inventories of a side;
            ``None`` where its listing is not an inventory.
        open_trash_store: the same for the bucket that keeps the objects that are to be deleted.
        copies_on_server: whether the endpoint of the target may be asked to read that bucket itself.
        memory: bytes of bodies in memory.
        workers: ceiling of uploads in flight.
        free_slots: returns how many more requests the session could start at once now.
        window: bytes of large bodies in flight, of all runs of the session together.
        open_offloader: opens the upload processes for small files, ``None`` for none.
        open_downloader: opens the download processes for small objects, ``None`` for none.
        on_event: progress.
        outcome_sinks: complete outcomes.
        stop: requests an early end.
        inspect: returns the size of an image from the key and the first bytes of a file, in a thread.
        inspected: whether ``inspect`` is called for a key.
        profile: what is known of the endpoint, completed when its first store is opened.
        gate: decides which actions are carried out; ``None`` for all of them.
        part: the run is one of several, each of a key range; ``None`` for a run of its own.
        before_changes: called once, when the manifest says that the run changes the target, before it does;
            ``None`` for a manifest that others read where it is.
        receipt: takes the list of what is in sync at the end; ``None`` where none is wanted.
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
    before_changes: Callable[[], Awaitable[None]] | None = None
    receipt: ReceiptList | None = None
    counts: Any = None
