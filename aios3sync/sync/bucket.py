"""BucketListing lists a bucket below a prefix in key order; BucketTarget also deletes objects."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from anyio.abc import ObjectSendStream

from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import same_etag
from aios3sync.core.key_range import KeyRange
from aios3sync.errors import AccessDeniedError, StoreError
from aios3sync.events import Trashed
from aios3sync.listing.pages import ASCENDING, UNORDERED
from aios3sync.listing.parallel import ADAPTIVE_WORKERS, ListPlan
from aios3sync.listing.sorted import SeenOrder, send_sorted, sorted_pages
from aios3sync.store.protocol import DeleteError, DeleteItem, ObjectStore
from aios3sync.sync.current_objects import CurrentObject, current_objects
from aios3sync.sync.deferred import DeferredAction
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

if TYPE_CHECKING:
    from aios3sync.inventory.listing import InventoryListing
    from aios3sync.sync.trash import BucketTrash

__all__ = ("COPIED_KEYS_OF_A_DELETE", "KEYS_OF_A_DELETE", "BucketListing", "BucketTarget")

KEYS_OF_A_DELETE: Final = 1000
"""Keys of one DeleteObjects: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
COPIED_KEYS_OF_A_DELETE: Final = 100
"""The same where objects are copied to the trash first: a run that is stopped leaves few needless copies."""


class BucketListing:
    """The bucket of one run, or of one verification.

    Args:
        request: says where it is, and how it is listed.
        resources: open its store, and know its endpoint.
        order: of its listing in the previous run, as the manifest remembers it; empty if it does not.
        key_after: returns the manifest's key a number of rows after a given one: the listing is cut there.
        inventory: read instead of the listing; ``None`` where the bucket is listed.
    """

    def __init__(
        self,
        request: SyncRequest,
        resources: Resources,
        *,
        order: str = "",
        key_after: Callable[[str, int], Awaitable[str | None]] | None = None,
        inventory: InventoryListing | None = None,
    ) -> None:
        self.inventory = inventory
        self._open_store = resources.open_store
        self._profile = resources.profile
        self._prefix = request.location.prefix
        self._workers = request.options.list_workers or ADAPTIVE_WORKERS
        self._given_order = request.options.list_order
        self._remembered_order = order
        self._key_after = key_after
        self._key_range = request.key_range
        self._seen = SeenOrder()

    @property
    def key_range(self) -> KeyRange:
        """The keys that are listed."""
        return self._key_range

    async def open(self) -> None:
        """Connect, unless connected.

        Raises:
            StoreError: the bucket cannot be used.
        """
        await self._open_store()

    async def listed_store(self) -> ObjectStore:
        """Return the store that is listed.

        Raises:
            StoreError: the bucket cannot be used.
        """
        return await self._open_store()

    @property
    def order(self) -> str:
        """The order that the last listing had; empty where it is not known."""
        return self._seen.order

    @property
    def created(self) -> float:
        """When the inventory that replaces the listing was begun; 0 where the bucket is listed."""
        return self.inventory.created if self.inventory is not None else 0.0

    async def current(self, keys: Sequence[str]) -> dict[str, CurrentObject]:
        """Ask the bucket about some objects, see :func:`~aios3sync.sync.current_objects.current_objects`."""
        return await current_objects(await self._open_store(), self._prefix, keys, self._profile)

    async def send_entries(self, out: ObjectSendStream[list[TargetEntry]]) -> None:
        """Send the listing in key order: streamed where the endpoint is known to list so, else sorted.

        Args:
            out: the receiver; it is left open.

        Raises:
            StoreError: the listing did not end cleanly.
            OutOfOrderError: the options say that the endpoint lists in byte order, but it does not.
            TemporarySpaceError: the listing is sorted on disk, and the disk is full.
        """
        if self.inventory is not None:
            async with aclosing(self.inventory.pages(self._prefix, *self._key_range)) as pages:
                async for page in pages:
                    await out.send(page)
            return
        store = await self.listed_store()
        certain, known = self._list_order(sorted_listing=store.capabilities.sorted_listing)
        plan = ListPlan(
            self._workers, byte_order=certain, key_after=self._key_after, key_range=self._key_range
        )
        await send_sorted(store, self._prefix, known, self._seen, plan, out)
        if self._seen.order == UNORDERED:
            self.saw_disorder()

    def _list_order(self, *, sorted_listing: bool) -> tuple[bool, str]:
        """Return whether the endpoint is known to list in byte order, and the order of this listing.

        The option of the user is remembered, but what a listing shows takes precedence.
        """
        profile, given = self._profile, self._given_order
        if not self._seen.order and given == "auto":
            profile.forget("list_order")
        elif not self._seen.order and given:
            profile.record("list_order", given, given=True)
        if profile.list_order == "bytes":
            return True, self._seen.order or ASCENDING
        if profile.list_order:
            return False, self._seen.order or self._remembered_order or UNORDERED
        order = self._seen.order or self._remembered_order
        return sorted_listing, order or (ASCENDING if sorted_listing else "")

    def saw_disorder(self) -> None:
        """Remember that the endpoint does not list in byte order, whatever the options say."""
        self._seen.order = UNORDERED
        if self._profile.list_order != "unordered":
            self._profile.forget("list_order")
            self._profile.record("list_order", "unordered")

    async def entries(self) -> AsyncGenerator[list[TargetEntry], None]:
        """Yield the listing in key order, once it has been read to its end.

        Raises:
            StoreError: the listing did not end cleanly.
            TemporarySpaceError: the listing is sorted on disk, and the disk is full.
        """
        if self.inventory is not None:
            listed = self.inventory.pages(self._prefix, *self._key_range)
        else:
            plan = ListPlan(self._workers, key_range=self._key_range)
            listed = sorted_pages(await self.listed_store(), self._prefix, SeenOrder(), plan)
        async with aclosing(listed) as pages:
            async for page in pages:
                yield page


class BucketTarget(BucketListing):
    """A bucket as the target.

    Args:
        request, resources, order, key_after, inventory: see :class:`BucketListing`.
        warn: takes one line about how deletes are sent.
        trash: keeps objects before they are deleted; ``None`` for no trash.
    """

    def __init__(  # noqa: PLR0913 - what a target may have; all but two have defaults
        self,
        request: SyncRequest,
        resources: Resources,
        *,
        order: str = "",
        key_after: Callable[[str, int], Awaitable[str | None]] | None = None,
        inventory: InventoryListing | None = None,
        warn: Callable[[str], object] = lambda _: None,
        trash: BucketTrash | None = None,
    ) -> None:
        super().__init__(request, resources, order=order, key_after=key_after, inventory=inventory)
        self._warn = warn
        self._trash = trash
        self._moved: list[Trashed] = []
        self._conditional = True
        self._try_without = True

    @property
    def deletes_at_once(self) -> int:
        """How many keys one :meth:`delete` takes: fewer where each is copied before."""
        return KEYS_OF_A_DELETE if self._trash is None else COPIED_KEYS_OF_A_DELETE

    def out_of_reach(self, keys: Sequence[str]) -> frozenset[str]:  # noqa: ARG002 - a bucket has no links
        """Return no key: a bucket has no links."""
        return frozenset()

    async def changed(self, entries: Sequence[DeferredAction]) -> dict[str, str]:
        """Return why some objects are no longer what was listed, by key.

        No request is sent where deletes name the ETag and the endpoint honours it.

        Raises:
            StoreError: the bucket cannot be asked.
        """
        store = await self._open_store()
        if store.capabilities.conditional_delete and self._conditional:
            return {}
        now = await self.current([entry.key for entry in entries])
        reasons = ((entry.key, _change(entry, now.get(entry.key))) for entry in entries)
        return {key: reason for key, reason in reasons if reason}

    async def delete(self, entries: Sequence[DeferredAction]) -> dict[str, str]:
        """Delete objects, where possible only those that still have the listed ETag.

        A condition needs the right to read objects, which a role that may only write does not have
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html): an object whose
        conditional delete is refused is deleted without a condition, and if that works, so are all that
        follow.

        Args:
            entries: at most :attr:`deletes_at_once`.

        Returns:
            Why some were not deleted, by key.

        Raises:
            StoreError: the request failed as a whole; objects may have been deleted.
        """
        store, errors = await self._open_store(), dict[str, str]()
        if self._trash is not None:
            copies: list[Trashed] = []
            try:
                taken = await self._trash.take(store, entries, copies)
            finally:
                self._moved += copies  # of this batch; others may be at work
            errors = taken.errors
            entries = [entry for entry in entries if not (entry.key in errors or entry.key in taken.gone)]
        return errors | (await self._delete(store, entries) if entries else {})

    def moved(self) -> Sequence[Trashed]:
        """Return what was copied into the trash since the last call."""
        moved, self._moved = self._moved, []
        return moved

    async def _delete(self, store: ObjectStore, entries: Sequence[DeferredAction]) -> dict[str, str]:
        prefix = self._prefix
        conditional = store.capabilities.conditional_delete and self._conditional
        items = [DeleteItem(prefix + entry.key, entry.etag if conditional else "") for entry in entries]
        errors = {error.key: error for error in await store.delete_many(items)}
        refused = [DeleteItem(key) for key, error in errors.items() if error.code == "AccessDenied"]
        if conditional and refused and self._try_without:
            errors = {key: error for key, error in errors.items() if error.code != "AccessDenied"}
            errors |= await self._delete_without_condition(store, refused)
        return {key[len(prefix) :]: f"{error.code}: {error.message}" for key, error in errors.items()}

    async def _delete_without_condition(
        self, store: ObjectStore, refused: Sequence[DeleteItem]
    ) -> dict[str, DeleteError]:
        again = {error.key: error for error in await store.delete_many(refused)}
        self._try_without = len(again) < len(refused)
        if self._try_without and self._conditional:
            self._conditional = False
            self._warn(
                "deletes are sent without a condition, because the credentials may not read objects "
                "(s3:GetObject): an object that is replaced during the run may be deleted"
            )
        return again


def _change(entry: DeferredAction, now: CurrentObject) -> str:
    """Return why an object is no longer what was listed; empty if it still is, or is gone.

    Raises:
        StoreError: the bucket cannot be asked.
    """
    if isinstance(now, AccessDeniedError):
        return f"it is not known whether the object was replaced after it was listed: {now}"
    if isinstance(now, StoreError):
        raise now
    if now is None or (now.size == entry.size and (not entry.etag or same_etag(now.etag, entry.etag))):
        return ""
    return "the object was replaced after it was listed"
