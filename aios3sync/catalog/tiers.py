"""Answers what is in a catalog by the fastest way that works, and says which one and why. It only reads.

The ways, in this order: the private index (one GET, or a 304), a scan of the folders, the public manifest
without a signature. An empty index is an answer. A scan is complete by itself, so the public manifest is
asked only where the bucket cannot be listed. All together are the private catalog and the public manifest.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from aios3sync.catalog.document import CatalogDocument, ConditionalWrites, CorruptDocument, Snapshot
from aios3sync.catalog.entries import Entry
from aios3sync.catalog.layout import Kind, Layout
from aios3sync.catalog.metrics import CatalogMetrics
from aios3sync.catalog.scan import scan
from aios3sync.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    ObjectNotFoundError,
    StoreError,
    UnavailableError,
)
from aios3sync.store.protocol import ObjectStore

__all__ = ("CatalogListing", "OpenPublic", "PassedOver", "Tier", "Tiers", "reason_of")

Tier = Literal["index", "scan", "public", "all"]
OpenPublic = Callable[[str], AbstractAsyncContextManager[ObjectStore]]
"""Opens a store of a bucket that signs nothing."""

_NAMES: Final = {"index": "the index", "scan": "a scan", "public": "the public manifest"}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A faster tier that did not answer: ``reason`` is one word, ``error`` one line."""

    tier: Tier
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class CatalogListing:
    """What is in a catalog; iterates over its entries.

    Attributes:
        entries: in the order of the document, or of their places. Where all were asked for, those of the
            public manifest have the extra field ``is_public``.
        tier: which way answered; ``all`` for the private catalog and the public manifest together.
        as_of: when that knowledge was written, seconds since the epoch by the endpoint's clock; of a scan,
            when it was made.
        age_s: how long ago that was.
        passed_over: the faster tiers, and why they did not answer.
        not_modified: the endpoint said that nothing had changed since the listing before.
        unreadable: keys of the document whose values are no entries; they are kept.
    """

    entries: tuple[Entry, ...]
    tier: Tier
    as_of: float
    age_s: float
    passed_over: tuple[PassedOver, ...] = ()
    not_modified: bool = False
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


def reason_of(error: Exception) -> str:
    """One word for why a tier did not answer."""
    match error:
        case CorruptDocument():
            return "corrupt"
        case BucketNotFoundError():
            return "no-bucket"
        case ObjectNotFoundError():
            return "missing"
        case AccessDeniedError():
            return "denied"
        case CredentialsError():
            return "credentials"
        case UnavailableError():
            return "unavailable"
        case _:
            return "error"


class Tiers:
    """The three ways to one catalog.

    Args:
        shelf: opens the index.
        open_public: opens the bucket without a signature.
        place: bucket, layout and kind.
        metrics: where answers are counted.
    """

    def __init__(
        self,
        shelf: Callable[[], Any],
        open_public: OpenPublic,
        place: tuple[str, Layout, Kind],
        metrics: CatalogMetrics,
    ) -> None:
        self._shelf = shelf
        self._open_public = open_public
        self._bucket, self._layout, self._kind = place
        self._metrics = metrics
        self._read: tuple[Snapshot, CatalogListing] | None = None

    async def listing(self, tiers: Sequence[Tier]) -> CatalogListing:
        """Ask the tiers in this order.

        Raises:
            StoreError: none of them answered; of the kind of the first one that says more than that it is
                missing, and with what each of them said.
        """
        errors: dict[Tier, Exception] = {}
        found = await self._first(tiers, errors)
        if found is None:
            raise self._failure(errors)
        return found

    async def merged(self) -> CatalogListing:
        """The private catalog and the public manifest as one, by id, configuration and revision.

        What the private one tells of an entry counts. A public manifest that does not exist has no entries;
        one of the two that cannot be read is passed over.

        Raises:
            StoreError: see :meth:`listing`.
        """
        errors: dict[Tier, Exception] = {}
        private = await self._first(("index", "scan"), errors)
        public = await self._first(("public",), errors, signed=True)
        if (
            private is None
            and public is None
            and any(reason_of(error) != "missing" for error in errors.values())
        ):
            raise self._failure(errors)
        entries = {self._layout.names_of(entry): entry for entry in private or ()}
        for entry in public or ():
            known = entries.get(names := self._layout.names_of(entry))
            extra = {**entry.extra, **(known.extra if known else {}), "is_public": True}
            entries[names] = replace(known or entry, extra=extra)
        parts = [part for part in (private, public) if part is not None]
        missing = {
            tier for tier, error in errors.items() if tier == "public" and reason_of(error) == "missing"
        }
        return CatalogListing(
            tuple(entries.values()),
            "all",
            min(part.as_of for part in parts),
            max(part.age_s for part in parts),
            passed_over=tuple(_passed(tier, error) for tier, error in errors.items() if tier not in missing),
            unreadable=tuple(key for part in parts for key in part.unreadable),
        )

    async def _first(
        self, tiers: Sequence[Tier], errors: dict[Tier, Exception], *, signed: bool = False
    ) -> CatalogListing | None:
        """The first answer, or ``None``; why the others did not answer is put into ``errors``.

        With ``signed`` the public manifest is asked for with our credentials first.
        """
        ways = {"index": self._from_index, "scan": self._from_scan, "public": self._from_public}
        for tier in tiers:
            began = time.perf_counter()
            try:
                found = await (self._from_public_signed() if signed else ways[tier]())
            except (StoreError, CorruptDocument) as error:
                errors[tier] = error
                self._metrics.fallbacks[f"{tier}:{reason_of(error)}"] += 1
                continue
            self._metrics.answered(tier, time.perf_counter() - began)
            passed = tuple(_passed(other, error) for other, error in errors.items())
            return replace(found, passed_over=passed) if passed else found
        return None

    def _failure(self, errors: dict[Tier, Exception]) -> StoreError:
        """One error for all tiers: of the kind of the first that tells most, with the words of each."""
        telling = [
            error
            for error in errors.values()
            if isinstance(error, StoreError) and not isinstance(error, ObjectNotFoundError)
        ]
        if telling and len(errors) == 1:
            return telling[0]
        where = f"the catalog of {self._kind.name} in s3://{self._bucket}/{self._layout.prefix}"
        words = "; ".join(f"{_NAMES[tier]} ({reason_of(error)}): {error}" for tier, error in errors.items())
        text = f"{where} cannot be read: {words}"
        if not telling:
            return StoreError(text, bucket=self._bucket, code="CatalogUnreadable")
        failure = copy.copy(telling[0])
        failure.message, failure.args = text, (text,)
        return failure

    async def _from_index(self) -> CatalogListing:
        shelf: CatalogDocument = await self._shelf()
        snapshot = await shelf.read()
        found = self._told(snapshot)
        self._metrics.not_modified += snapshot.unchanged
        self._metrics.index_bytes[self._kind.name] = snapshot.size
        self._metrics.index_entries[self._kind.name] = len(found)
        folders = {entry.s3_prefix.rpartition("/")[0] for entry in found}
        self._metrics.gets_saved += (
            1 + len(folders) + len(found) - (1 if snapshot.unchanged else snapshot.requests)
        )
        return found

    def _told(self, snapshot: Snapshot) -> CatalogListing:
        """The listing of a snapshot; the entries of one that did not change are those of before."""
        if snapshot.unchanged and self._read is not None and self._read[0].etag == snapshot.etag:
            before = self._read[1]
            return replace(before, not_modified=True, age_s=_age(snapshot.modified))
        listing = _listing(snapshot, self._kind, "index")
        self._read = (snapshot, listing)
        return listing

    async def _from_scan(self) -> CatalogListing:
        shelf: CatalogDocument = await self._shelf()
        now = time.time()
        entries = await scan(shelf.store, self._layout, self._kind)
        return CatalogListing(tuple(entries), "scan", now, 0.0)

    async def _from_public(self) -> CatalogListing:
        async with self._open_public(self._bucket) as store:
            return await self._public_of(store)

    async def _from_public_signed(self) -> CatalogListing:
        """With our credentials, and where these do not help without any."""
        shelf: CatalogDocument = await self._shelf()
        try:
            return await self._public_of(shelf.store)
        except (AccessDeniedError, CredentialsError):
            return await self._from_public()

    async def _public_of(self, store: ObjectStore) -> CatalogListing:
        key = self._layout.public_key(self._kind)
        folder = self._layout.beside(self._kind, key)
        snapshot = await CatalogDocument(store, key, folder, ConditionalWrites(honoured=True)).read()
        return _listing(snapshot, self._kind, "public")

    async def has_public(self) -> bool:
        """Whether there is a public manifest; False where that cannot be asked."""
        shelf: CatalogDocument = await self._shelf()
        try:
            await shelf.store.head(self._layout.public_key(self._kind))
        except StoreError:
            return False
        return True


def _passed(tier: Tier, error: Exception) -> PassedOver:
    return PassedOver(tier, reason_of(error), str(error))


def _age(moment: float) -> float:
    return max(0.0, time.time() - moment) if moment else 0.0


def _listing(snapshot: Snapshot, kind: Kind, tier: Tier) -> CatalogListing:
    entries: list[Entry] = []
    unreadable: list[str] = []
    for key, raw in snapshot.entries.items():
        entry = kind.read(raw)
        if entry is None:
            unreadable.append(key)
        else:
            entries.append(entry)
    return CatalogListing(
        tuple(entries),
        tier,
        snapshot.modified,
        _age(snapshot.modified),
        not_modified=snapshot.unchanged,
        unreadable=tuple(unreadable),
    )
