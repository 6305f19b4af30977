"""List a catalog from the fastest tier that answers; read-only.

The tiers, in this order: the private index (one GET, or a 304), a scan of the folders, and the public
manifest without a signature. An empty index is an answer. A scan is complete, so the public manifest is read
only where the bucket cannot be listed. The tier ``all`` merges the private catalog and the public manifest.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal

from aios3sync._dataclass import dataclass, replace
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
"""Opens a store of a bucket that sends unsigned requests."""

_NAMES: Final = {"index": "the index", "scan": "a scan", "public": "the public manifest"}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A faster tier that did not answer: ``reason`` is one word, ``error`` one line."""

    tier: Tier
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class CatalogListing:
    """The entries of a catalog; iterates over them.

    Attributes:
        entries: in the order of the document, or of their prefixes. With the tier ``all`` those of the public
            manifest have the extra field ``is_public``.
        tier: that answered; ``all`` for the private catalog and the public manifest together.
        as_of: when the document was written, seconds since the epoch by the clock of the endpoint; for a scan
            the time of the scan.
        age_s: seconds since then.
        passed_over: the faster tiers, and why they did not answer.
        not_modified: whether the endpoint responded with 304: nothing has changed since the listing before.
        unreadable: keys of the document whose values are not entries; they are kept.
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
    """Return one word for why a tier did not answer."""
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
    """The three tiers of one catalog.

    Args:
        open_index: opens the document of the index.
        open_public: opens the bucket for unsigned requests.
        place: bucket, layout and kind.
        metrics: counts the listings.
    """

    def __init__(
        self,
        open_index: Callable[[], Awaitable[CatalogDocument]],
        open_public: OpenPublic,
        place: tuple[str, Layout, Kind],
        metrics: CatalogMetrics,
    ) -> None:
        self._open_index = open_index
        self._open_public = open_public
        self._bucket, self._layout, self._kind = place
        self._metrics = metrics
        self._read: tuple[Snapshot, CatalogListing] | None = None

    async def listing(self, tiers: Sequence[Tier]) -> CatalogListing:
        """Return the listing of the first tier that answers.

        Raises:
            StoreError: none of them answered. It has the type of the first error other than "missing", and
                the messages of all tiers.
        """
        errors: dict[Tier, Exception] = {}
        found = await self._first(tiers, errors)
        if found is None:
            raise self._failure(errors)
        return found

    async def merged(self) -> CatalogListing:
        """Merge the private catalog and the public manifest, by id, configuration and revision.

        The private catalog takes precedence. A public manifest that does not exist has no entries; one of the
        two that cannot be read is passed over.

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
        """Return the listing of the first tier that answers, or ``None``; add the errors to ``errors``.

        With ``signed`` the public manifest is requested with our credentials first.
        """
        readers = {"index": self._from_index, "scan": self._from_scan, "public": self._from_public}
        for tier in tiers:
            began = time.perf_counter()
            try:
                found = await (self._from_public_signed() if signed else readers[tier]())
            except (StoreError, CorruptDocument) as error:
                errors[tier] = error
                self._metrics.fallbacks[f"{tier}:{reason_of(error)}"] += 1
                continue
            self._metrics.answered(tier, time.perf_counter() - began)
            passed = tuple(_passed(other, error) for other, error in errors.items())
            return replace(found, passed_over=passed) if passed else found
        return None

    def _failure(self, errors: dict[Tier, Exception]) -> StoreError:
        """Return one error for all tiers: of the most informative type, with the messages of all."""
        informative = [
            error
            for error in errors.values()
            if isinstance(error, StoreError) and not isinstance(error, ObjectNotFoundError)
        ]
        if informative and len(errors) == 1:
            return informative[0]
        where = f"the catalog of {self._kind.name} in s3://{self._bucket}/{self._layout.prefix}"
        messages = "; ".join(
            f"{_NAMES[tier]} ({reason_of(error)}): {error}" for tier, error in errors.items()
        )
        text = f"{where} cannot be read: {messages}"
        if not informative:
            return StoreError(text, bucket=self._bucket, code="CatalogUnreadable")
        failure = copy.copy(informative[0])
        failure.message, failure.args = text, (text,)
        return failure

    async def _from_index(self) -> CatalogListing:
        snapshot = await (await self._open_index()).read()
        found = self._listing_of(snapshot)
        self._metrics.not_modified += snapshot.unchanged
        self._metrics.index_bytes[self._kind.name] = snapshot.size
        self._metrics.index_entries[self._kind.name] = len(found)
        folders = {entry.s3_prefix.rpartition("/")[0] for entry in found}
        self._metrics.gets_saved += (
            1 + len(folders) + len(found) - (1 if snapshot.unchanged else snapshot.requests)
        )
        return found

    def _listing_of(self, snapshot: Snapshot) -> CatalogListing:
        """Return the listing of a snapshot; an unchanged snapshot has the entries of the listing before."""
        if snapshot.unchanged and self._read is not None and self._read[0].etag == snapshot.etag:
            before = self._read[1]
            return replace(before, not_modified=True, age_s=_age(snapshot.modified))
        listing = _listing(snapshot, self._kind, "index")
        self._read = (snapshot, listing)
        return listing

    async def _from_scan(self) -> CatalogListing:
        index = await self._open_index()
        now = time.time()
        entries = await scan(index.store, self._layout, self._kind)
        return CatalogListing(tuple(entries), "scan", now, 0.0)

    async def _from_public(self) -> CatalogListing:
        async with self._open_public(self._bucket) as store:
            return await self._public_of(store)

    async def _from_public_signed(self) -> CatalogListing:
        """Read the public manifest with our credentials, or unsigned where they are refused."""
        index = await self._open_index()
        try:
            return await self._public_of(index.store)
        except (AccessDeniedError, CredentialsError):
            return await self._from_public()

    async def _public_of(self, store: ObjectStore) -> CatalogListing:
        key = self._layout.public_key(self._kind)
        folder = self._layout.document_folder(self._kind, key)
        snapshot = await CatalogDocument(store, key, folder, ConditionalWrites(honoured=True)).read()
        return _listing(snapshot, self._kind, "public")

    async def has_public(self) -> bool:
        """Return whether there is a public manifest; False where the request fails."""
        index = await self._open_index()
        try:
            await index.store.head(self._layout.public_key(self._kind))
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
