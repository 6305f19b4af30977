"""BucketTrash: objects that a sync deletes from a bucket are first copied to another prefix, on the server.

Keys below the prefix of the target stay the same, as with ``--backup-dir`` of rclone; but no object in the
trash is replaced: a second object of the same name gets a number, as in the local trash. An object whose copy
is not certain is not deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import for_each
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import Proof, proof, same_etag
from aios3sync.core.keys import Location
from aios3sync.core.parts import MAX_PART_SIZE
from aios3sync.errors import (
    IntegrityError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    UsageError,
)
from aios3sync.events import Trashed
from aios3sync.manifest.unfinished import UnfinishedUploads
from aios3sync.options import payer_of
from aios3sync.store.protocol import CopySource, HeadResult, ObjectStore, PutOptions, PutResult
from aios3sync.sync.deferred import DeferredAction
from aios3sync.sync.refusals import REFUSED_AFTER, is_hopeless
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.kept import TagReader, keeping, verified
from aios3sync.sync.transfers.large_copies import LargeCopy, check_version, copy_in_parts
from aios3sync.sync.transfers.part_layout import part_layout

__all__ = ("BucketTrash", "Taken")

_COPIES_AT_ONCE: Final = 16
_NUMBERED: Final = 1000


class _GoneError(Exception):
    """The object no longer exists: it needs no copy, and no delete either."""


class Taken(NamedTuple):
    """The results for the objects of one batch.

    Attributes:
        errors: why some were not copied, by key; they must not be deleted.
        gone: those that no longer exist; they need no delete.
    """

    errors: dict[str, str]
    gone: set[str]


class BucketTrash:
    """The trash of one run.

    Args:
        request: says where the trash is, and where objects come from.
        resources: open both buckets.
        warn: takes one line about what copies cannot keep.
    """

    def __init__(self, request: SyncRequest, resources: Resources, warn: Callable[[str], object]) -> None:
        options = request.options
        opener = resources.open_trash_store
        if options.trash is None or opener is None:
            raise UsageError("trash: there is no connection to it")
        self._open = opener
        self._prefix = Location.parse(options.trash).prefix
        self._source = request.location
        self._options = options
        self._resources = resources
        self._warn = warn
        self._tags = TagReader(warn)
        self._none = UnfinishedUploads("", "")
        self._stored = PutOptions(
            sse=options.sse,
            sse_kms_key_id=options.sse_kms_key_id,
            sse_customer_key=options.sse_customer_key,
            request_payer=payer_of(options.request_payer),
        )
        self._refusal = ""
        self._in_flight: set[str | None] = set()

    async def take(
        self, store: ObjectStore, entries: Sequence[DeferredAction], copies: list[Trashed]
    ) -> Taken:
        """Copy objects, each only if it is what was listed.

        Args:
            store: of the target.
            entries: to be deleted.
            copies: gets each copy as soon as it is certain, so that those before an error are known.

        Raises:
            StoreError: the trash cannot be used at all.
        """
        taken = Taken({}, set())
        if self._refusal:
            taken.errors.update(dict.fromkeys([entry.key for entry in entries], self._refusal))
            return taken
        writing, there = await self._open(), 0

        async def take(entry: DeferredAction) -> None:
            nonlocal there
            try:
                if copy := await self._copy(store, writing, entry):
                    copies.append(copy)
                there += 1
            except _GoneError:
                taken.gone.add(entry.key)
            except StoreError as error:
                if is_hopeless(error):
                    raise
                taken.errors[entry.key] = f"not moved to the trash: {error}"

        await for_each(entries, take, limit=_COPIES_AT_ONCE)
        if not there and len(taken.errors) >= REFUSED_AFTER:
            self._refusal = next(iter(taken.errors.values()))  # all others would fail as well
        return taken

    async def _copy(self, store: ObjectStore, writing: ObjectStore, entry: DeferredAction) -> Trashed | None:
        """Copy one object, unless its copy exists already; afterwards the copy is certain.

        Raises:
            _GoneError: the object no longer exists.
            StoreError: it was replaced since it was listed, or a request failed.
        """
        source = CopySource(self._source.prefix + entry.key, store.bucket, entry.etag)
        listed = TargetEntry(entry.key, entry.size, entry.etag, 0.0)
        key = await self._free_key(writing, entry)
        try:
            if key is None:
                check_version(store, source, entry.size, await store.head(source.key))
                return None
            if entry.size > self._options.copy_part_threshold:
                result = await self._copy_in_parts(store, writing, source, listed, key)
            else:
                result = await writing.copy(source, key, self._stored, keep_metadata=True)
        except (ObjectNotFoundError, PreconditionFailedError) as error:
            await _raise_if_gone(store, source.key)
            if isinstance(error, PreconditionFailedError):
                error.message = f"{source.key!r} was replaced since it was listed"
            raise
        finally:
            self._in_flight.discard(key)
        opaque = self._resources.profile.etags == "opaque"
        result = await verified(writing, key, listed, result, opaque=opaque)
        return Trashed(writing.bucket, key, entry.size, result.etag)

    async def _free_key(self, writing: ObjectStore, entry: DeferredAction) -> str | None:
        """Return a free key; ``None`` if an interrupted run has copied the object already.

        Invariant: no key is given to two copies. One that is in flight is in ``_in_flight``, one that has
        arrived is found: ``a`` becomes ``a.1`` where there is an ``a``, and ``a.1`` may be deleted as well.

        Raises:
            StoreError: the trash cannot be read, or all names are taken.
        """
        wanted = self._prefix + entry.key
        for number in range(_NUMBERED):
            key = f"{wanted}.{number}" if number else wanted
            if key in self._in_flight:
                continue
            self._in_flight.add(key)
            try:
                head = await writing.head(key)
            except ObjectNotFoundError:
                return key
            except BaseException:
                self._in_flight.discard(key)
                raise
            self._in_flight.discard(key)
            if _is_same(head, entry):
                return None
        raise IntegrityError(
            f"the trash has {_NUMBERED} objects of the name {wanted!r} already",
            operation="HeadObject",
            bucket=writing.bucket,
            key=wanted,
        )

    async def _copy_in_parts(
        self, store: ObjectStore, writing: ObjectStore, source: CopySource, listed: TargetEntry, key: str
    ) -> PutResult:
        """Copy an object that is too large for one request, with its metadata and tags."""
        head = await store.head(source.key)
        check_version(store, source, listed.size, head)
        options = replace(keeping(self._stored, head), tags=await self._tags.tags(store, source.key))
        parts = await part_layout(
            store, source.key, listed, wanted=self._options.part_size, largest=MAX_PART_SIZE
        )
        copy = LargeCopy(source, store, key, writing, options, on_server=True, turn=0)
        return await copy_in_parts(copy, parts, self._resources, self._none, self._warn)


def _is_same(head: HeadResult, entry: DeferredAction) -> bool:
    """Whether an object in the trash has the content of the one that is to be deleted, for certain."""
    known = head.size == entry.size and proof(entry.etag) is not Proof.NOTHING
    return known and same_etag(head.etag, entry.etag)


async def _raise_if_gone(store: ObjectStore, key: str) -> None:
    """Raise _GoneError if the object no longer exists; the error of a copy may be about the trash."""
    try:
        await store.head(key)
    except ObjectNotFoundError:
        raise _GoneError from None
