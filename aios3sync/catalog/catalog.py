"""Catalog: the datasets or models of a bucket, by name, kept in the bucket itself; the class that users see.

::

    catalog = session.catalog("s3://bucket", kind="datasets")
    for entry in await catalog.list():      # one GET; a repeat is answered with 304
        print(entry.dataset_id, entry.s3_prefix)
    await catalog.add(DatasetEntry("org/name"))
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, MutableSequence, Sequence
from typing import Final

import anyio

from aios3sync._dataclass import replace
from aios3sync.catalog.document import CatalogDocument, ConditionalWrites, CorruptDocument
from aios3sync.catalog.edits import (
    adding,
    matching,
    placed,
    public_document,
    rebuilt,
    removing,
    sharing_a_place,
)
from aios3sync.catalog.entries import DatasetEntry, Entry, with_facts
from aios3sync.catalog.layout import KINDS, Kind, Layout, setting
from aios3sync.catalog.lookup import entry_named
from aios3sync.catalog.metrics import CatalogMetrics
from aios3sync.catalog.scan import list_folder, scan, still_present
from aios3sync.catalog.tiers import CatalogListing, OpenPublic, Tier, Tiers
from aios3sync.catalog.update import Apply, CatalogChange, CopyResult, Written, change
from aios3sync.core.keys import SCHEME, Location
from aios3sync.errors import ObjectNotFoundError, StoreError, UsageError
from aios3sync.options import payer_of
from aios3sync.store.protocol import ObjectStore

__all__ = (
    "Catalog",
    "CatalogLocation",
    "OpenStore",
    "open_catalog",
)

OpenStore = Callable[[], Awaitable[ObjectStore]]
OpenStoreOf = Callable[..., OpenStore]
"""Returns what opens the store of a bucket; with the keyword arguments of :meth:`aios3sync.Session.store`."""

_TIERS: Final[dict[str, tuple[Tier, ...]]] = {
    "auto": ("index", "scan", "public"),
    "index": ("index",),
    "scan": ("scan",),
    "public": ("public",),
}


class CatalogLocation:
    """One bucket and prefix with a catalog of one kind; documents are opened when they are first used."""

    def __init__(
        self,
        bucket: str,
        layout: Layout,
        kind: Kind,
        open_store: OpenStore,
        acl: str = "",
        request_payer: str = "",
    ) -> None:
        self.bucket = bucket
        self.layout = layout
        self.kind = kind
        self.conditions = ConditionalWrites()
        self.lock = anyio.Lock()
        self.store = open_store
        self._acl = acl
        self._payer = request_payer
        self._documents: dict[str, CatalogDocument] = {}

    def url(self, *, public: bool = False) -> str:
        """Return the address of the index or of the public manifest."""
        key = self.layout.public_key(self.kind) if public else self.layout.index_key(self.kind)
        return f"s3://{self.bucket}/{key}"

    async def index(self) -> CatalogDocument:
        """Return the document of the private index."""
        return await self._document(self.layout.index_key(self.kind), "")

    async def public(self) -> CatalogDocument:
        """Return the document of the public manifest."""
        return await self._document(self.layout.public_key(self.kind), self._acl)

    async def _document(self, key: str, acl: str) -> CatalogDocument:
        if key not in self._documents:
            folder = self.layout.document_folder(self.kind, key)
            self._documents[key] = CatalogDocument(
                await self.store(), key, folder, self.conditions, acl, self._payer
            )
        return self._documents[key]


class Catalog:
    """The catalog of one kind at one location; created by :meth:`aios3sync.Session.catalog`.

    Attributes:
        metrics: of all catalogs of the session.
    """

    def __init__(
        self,
        place: CatalogLocation,
        open_public: OpenPublic,
        metrics: CatalogMetrics,
        *,
        replicas: Sequence[CatalogLocation] = (),
        public: bool = False,
        endpoint: str = "",
    ) -> None:
        self.metrics = metrics
        self._place = place
        self._replicas = replicas
        self._public = public
        self._endpoint = endpoint
        self._open_public = open_public
        self._tiers = Tiers(place.index, open_public, (place.bucket, place.layout, place.kind), metrics)

    @property
    def location(self) -> str:
        """The address of the index."""
        return self._place.url()

    async def list(self, *, tier: str = "auto") -> CatalogListing:
        """List all entries from the fastest tier that answers; the result says which one, and why.

        Args:
            tier: ``index``, ``scan`` or ``public`` to use only this one; ``all`` for the private catalog
                (index or scan) and the public manifest together, as HG-Localization lists them.

        Raises:
            StoreError: no tier answered.
            UsageError: there is no such tier.
        """
        if tier == "all":
            return await self._tiers.merged()
        if tier not in _TIERS:
            raise UsageError(f"tier: {tier!r} is none of {', '.join(_TIERS)}, all")
        return await self._tiers.listing(_TIERS[tier])

    async def unread(self, listing: CatalogListing) -> str:
        """Return the address of a public manifest that exists and that a listing did not read, or empty.

        It takes a HEAD request, so it is not a part of :meth:`list`.
        """
        if listing.tier not in ("index", "scan") or not await self._tiers.has_public():
            return ""
        return self._place.url(public=True)

    async def show(self, name: str) -> tuple[Entry, ...]:
        """Return the entries with this id, or with this key of the index."""
        return tuple(matching(await self.list(), self._place.layout, name))

    async def find(self, name: str, *, config: str | None = None, revision: str | None = None) -> Entry:
        """Return the one entry that a name means, with the bucket and the prefix of its files.

        Args:
            name: its id, or its key in the index. Of several versions with one id it is the default one.
            config: of a dataset.
            revision: of a dataset or a model.

        Raises:
            SourceError: there is none, or it is not clear which one is meant; the message names some.
            StoreError: the catalog cannot be read.
        """
        place = self._place
        entry = entry_named(
            (await self.list()).entries,
            place.layout,
            name,
            location=self.location,
            config=config,
            revision=revision,
        )
        return placed(entry, place.layout, place.bucket)

    async def source(self, name: str, *, config: str | None = None, revision: str | None = None) -> str:
        """Return where the files of an entry are, ``s3://bucket/prefix``: a source of a sync.

        The arguments and errors are those of :meth:`find`.
        """
        entry = await self.find(name, config=config, revision=revision)
        return f"{SCHEME}{entry.s3_bucket}/{entry.s3_prefix}"

    async def urls(self, entry: Entry, *, expires: float = 3600) -> dict[str, str]:
        """Return presigned URLs of the files directly in the folder of an entry, by name; one LIST request.

        Args:
            entry: in the bucket of the catalog.
            expires: seconds, up to seven days.

        Raises:
            StoreError: the folder could not be listed.
            UsageError: the entry is of another kind or bucket, or ``expires`` is invalid.
        """
        self._check(entry)
        place = self._place
        entry = placed(entry, place.layout, place.bucket)
        if entry.s3_bucket != place.bucket:
            raise UsageError(f"{entry.id!r} is in s3://{entry.s3_bucket}; ask the catalog of that bucket")
        store = await place.store()
        names = sorted((await list_folder(store, f"{entry.s3_prefix}/")).files)
        keys = [f"{entry.s3_prefix}/{name}" for name in names]
        return dict(zip(names, await store.presign_many(keys, expires=expires), strict=True))

    async def add(self, *entries: Entry, derive: bool = True) -> CatalogChange:
        """Add entries, or replace them; fields that only the old ones have are kept.

        A missing index is created by a scan; a corrupt one as well, after it was set aside.

        Args:
            entries: with the prefix of their files, or with an empty one, which is derived from their names.
            derive: list the files of each entry (one LIST request) to fill in fields such as ``has_card``.

        Raises:
            StoreError: the index was not written. Failures of the public manifest and of replicas are in the
                result instead.
            UsageError: an entry is not of this kind.
        """
        place = self._place
        warnings: list[str] = []
        ready = [await self._prepared(entry, warnings, derive=derive) for entry in entries]
        apply = adding(place.layout, [(entry, entry.as_document()) for entry in ready])
        written = await self._write(apply)
        shared = sharing_a_place(written.entries, ready, place.kind, place.layout)
        warnings += [
            f"{entry.id} has its files in the same folder as {other.id}: {entry.s3_prefix}"
            for entry, other in shared
        ]
        return await self._conclude(written, apply, ready, warnings)

    async def remove(self, *entries: Entry) -> CatalogChange:
        """Remove entries from the index, the public manifest and the replicas; their files stay.

        Raises:
            StoreError: the index was not written.
        """
        for entry in entries:
            self._check(entry)
        apply = removing(self._place.layout, entries)
        written = await self._write(apply)
        return await self._conclude(written, apply, entries, [], is_removal=True)

    async def rebuild(self) -> CatalogChange:
        """Rebuild the index from the files in the bucket.

        Entries with files keep their ids and their other fields; entries without files are removed; further
        ones that are found are added. Ids that only the name of a folder shows are guesses. Orphaned shards
        are deleted, see :mod:`aios3sync.catalog.orphans`.

        Raises:
            StoreError: the bucket could not be listed, or the index could not be written.
        """
        place = self._place
        store, kind, layout = await place.store(), place.kind, place.layout
        found = await scan(store, layout, kind)
        try:
            old = (await (await place.index()).read()).entries
        except (ObjectNotFoundError, CorruptDocument):
            old = {}
        known = [entry for entry in map(kind.read, old.values()) if entry is not None]
        still = await still_present(store, [placed(entry, layout, place.bucket) for entry in known])
        gone = set(old) - set(rebuilt(layout, kind, (), old, still))

        def apply(before: dict[str, object]) -> dict[str, object]:
            # Entries that were added since then are kept: their writers have just stored their files.
            later = [entry for key, raw in before.items() if key not in old and (entry := kind.read(raw))]
            base = {key: raw for key, raw in before.items() if key not in gone}
            kept = [entry for entry in still if layout.place(entry, base)[1]]
            return rebuilt(layout, kind, found, base, [*kept, *later])

        written = await self._write(apply, sweep=True)
        result = await self._conclude(written, apply, (), [])
        return replace(result, rebuilt=result.rebuilt or "asked")

    def _check(self, entry: Entry) -> None:
        if not isinstance(entry, self._place.kind.entry):
            name = self._place.kind.name
            raise UsageError(f"{type(entry).__name__} {entry.id!r} does not belong into a catalog of {name}")

    async def _prepared(self, entry: Entry, warnings: MutableSequence[str], *, derive: bool) -> Entry:
        self._check(entry)
        place = self._place
        entry = placed(entry, place.layout, place.bucket)
        if derive and entry.s3_bucket == place.bucket:
            folder = await list_folder(await place.store(), f"{entry.s3_prefix}/")
            entry = with_facts(entry, folder.files)
            if folder.is_empty:
                warnings.append(
                    f"{entry.id} has no files: nothing is at s3://{place.bucket}/{entry.s3_prefix}/"
                )
        return replace(entry, last_updated=str(time.time()))

    async def _write(self, apply: Apply, *, sweep: bool = False) -> Written:
        place = self._place

        async def start() -> dict[str, object]:
            found = await scan(await place.store(), place.layout, place.kind)
            return rebuilt(place.layout, place.kind, found, {}, ())

        # Writers of one process take turns instead of losing swaps to each other.
        async with place.lock:
            return await change(await place.index(), apply, start, self.metrics, sweep=sweep)

    async def _conclude(
        self,
        written: Written,
        apply: Apply,
        entries: Sequence[Entry],
        warnings: Sequence[str],
        *,
        is_removal: bool = False,
    ) -> CatalogChange:
        """Apply the change to the public manifest and the replicas, and return the result."""
        place = self._place
        copies = []
        if self._public and entries:
            copies.append(await self._publish(entries, is_removal=is_removal))
        copies += [await self._replicate(replica, apply, written) for replica in self._replicas]
        conditional = place.conditions.honoured is not False
        if not conditional:
            warnings = [
                *warnings,
                f"{self.location}: the endpoint has no conditional writes; write one at a time",
            ]
        if written.set_aside:
            aside = f"s3://{place.bucket}/{written.set_aside}"
            warnings = [
                *warnings,
                f"{self.location} was corrupt: it is kept as {aside} and was made anew by a scan",
            ]
        return CatalogChange(
            location=self.location,
            keys=tuple(place.layout.place(entry, written.entries)[0] for entry in entries),
            changed=written.changed,
            entries=len(written.entries),
            rebuilt=written.rebuilt,
            set_aside=written.set_aside,
            attempts=written.attempts,
            swept=written.swept,
            conditional=conditional,
            copies=tuple(copies),
            warnings=(
                *warnings,
                *(f"{copy.location}: {text}" for copy in copies if (text := copy.error or copy.warning)),
            ),
        )

    async def _publish(self, entries: Sequence[Entry], *, is_removal: bool) -> CopyResult:
        place = self._place
        try:
            if is_removal:
                apply = removing(place.layout, entries)
            else:
                documents = [(entry, await self._public_document(entry)) for entry in entries]
                apply = adding(place.layout, documents)
            manifest = await place.public()
            is_known = await manifest.keep_acl()
            written = await change(manifest, apply, _no_entries, self.metrics)
            unread = "" if is_known or not written.changed else await self._unread()
        except StoreError as error:
            return CopyResult(place.url(public=True), str(error))
        return CopyResult(place.url(public=True), warning=unread)

    async def _unread(self) -> str:
        """Return why the public manifest, whose ACL may be lost, cannot be read by everyone, or empty."""
        place = self._place
        try:
            async with self._open_public(place.bucket) as store:
                await store.get(place.layout.public_key(place.kind), length=1)
        except StoreError as error:
            return (
                f"it cannot be read without credentials ({error}); --acl public-read makes it readable, "
                "unless a policy of the bucket forbids that"
            )
        return ""

    async def _public_document(self, entry: Entry) -> dict[str, object]:
        place = self._place
        has_zip = False
        if isinstance(entry, DatasetEntry):
            try:
                await (await place.store()).head(place.layout.prefix + place.layout.zip_key(entry))
                has_zip = True
            except ObjectNotFoundError:
                pass
        return public_document(entry, place.layout, self._endpoint, has_zip=has_zip)

    async def _replicate(self, replica: CatalogLocation, apply: Apply, written: Written) -> CopyResult:
        """Apply the change to a replica; where it has no readable index, write all of our entries."""

        async def start() -> dict[str, object]:
            return written.entries

        try:
            await change(await replica.index(), apply, start, self.metrics)
        except StoreError as error:
            return CopyResult(replica.url(), str(error))
        return CopyResult(replica.url())


async def _no_entries() -> dict[str, object]:
    """Return no entries: a new public manifest is not filled by a scan, as not all entries are public."""
    return {}


def open_catalog(  # noqa: PLR0913 - arguments of the session, and those of its caller
    url: str,
    kind: str,
    open_store_of: OpenStoreOf,
    open_public: OpenPublic,
    metrics: CatalogMetrics,
    *,
    endpoint: str = "",
    public: bool = False,
    acl: str = "",
    replicas: Sequence[str] = (),
    request_payer: bool = False,
) -> Catalog:
    """See :meth:`aios3sync.Session.catalog`."""
    if kind not in KINDS:
        raise UsageError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    if isinstance(replicas, str):
        raise UsageError("replicas: give a list of locations, not one text")

    payer = payer_of(request_payer)

    def location_of(address: str) -> CatalogLocation:
        location = Location.parse(address)
        layout = Layout.of(location.prefix, os.environ)
        open_store = open_store_of(location.bucket, request_payer=payer)
        return CatalogLocation(location.bucket, layout, KINDS[kind], open_store, acl, payer)

    if not url:
        bucket = setting(os.environ, "S3_BUCKET_NAME")
        if not bucket:
            raise UsageError("no catalog is named; give s3://bucket, or set AIOS3SYNC_S3_BUCKET_NAME")
        url = f"s3://{bucket}"
    main, copies = location_of(url), [location_of(replica) for replica in replicas]
    for copy in copies:
        if copy.url() == main.url():
            raise UsageError(f"replicas: {copy.url()} is the catalog itself")
    return Catalog(main, open_public, metrics, replicas=copies, public=public, endpoint=endpoint)
