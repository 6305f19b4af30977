"""The numbers of a bucket and how each of them is known: frozen values, no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from aios3sync._dataclass import asdict, dataclass, field

__all__ = (
    "MODES",
    "Bin",
    "Breakdown",
    "BucketStats",
    "CacheFacts",
    "DeltaGliderStats",
    "FolderTotals",
    "GroupTotals",
    "HeadCounts",
    "Histogram",
    "Known",
    "ListedObject",
    "Mode",
    "Number",
    "ObjectKind",
    "Origin",
    "UploadTotals",
    "VersionTotals",
    "exact",
    "unknown",
)

Mode = Literal["quick", "sampled", "detailed"]
"""``quick`` only lists; ``sampled`` also sends a HEAD request for one object of each group; ``detailed``
sends one for each object that may be compressed."""

MODES: Final = ("quick", "sampled", "detailed")

Known = Literal["exact", "sampled", "estimated", "unknown"]
"""How a number is known: everything was seen; it was extrapolated from a part that was asked; something was
assumed (see the note); or not at all, and then the value is ``None``."""

Origin = Literal["listing", "cache", "index"]
"""Where the numbers come from: computed now, read from the bucket's cache, read from an object index."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number and how it is known.

    Attributes:
        value: ``None`` exactly where ``known`` is ``unknown``.
        known: see :data:`Known`.
        low, high: bounds of the true value: with a confidence of 95 % for ``sampled``, as plain bounds for
            ``estimated``; ``None`` where there is no bound.
        fraction: the share (0 to 1) of the objects concerned that were asked; ``None`` where no object
            had to be asked.
        note: why it is not exact, one sentence; empty if it is.
    """

    value: float | None
    known: Known = "exact"
    low: float | None = None
    high: float | None = None
    fraction: float | None = None
    note: str = ""


def exact(value: float) -> Number:
    """Return a number of which everything was seen."""
    return Number(value)


def unknown(note: str) -> Number:
    """Return an unknown number; the note says why."""
    return Number(None, "unknown", note=note)


@dataclass(frozen=True, slots=True)
class GroupTotals:
    """Objects that have something in common; ``stored_bytes`` as they are stored.

    Attributes:
        name: a storage class, a lower-case extension without dot (empty for keys without one), or a
            folder with its ``/`` (empty for the objects directly below the prefix).
    """

    name: str
    objects: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """All objects by one criterion.

    Attributes:
        groups: by stored bytes, largest first; a bounded number of them.
        other: all that is in none of these groups, ``None`` if nothing is.
        exact: False where there were so many groups that small ones were merged into ``other`` during the
            count: then a group may be larger than it says, by at most the size of ``other``.
    """

    groups: tuple[GroupTotals, ...] = ()
    other: GroupTotals | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class FolderTotals:
    """One folder, with everything below it, for a treemap.

    Attributes:
        name: of the folder alone, without ``/``; empty for the root.
        prefix: the full prefix in the bucket, with its ``/`` at the end; empty for a whole bucket.
        objects, stored_bytes: of everything below.
        children: by stored bytes, largest first; a bounded number and depth of them.
        rest_objects, rest_stored_bytes: all below this folder and in none of ``children``: its own
            direct objects, and folders that are too small or too deep to be shown.
    """

    name: str
    prefix: str
    objects: int
    stored_bytes: int
    children: tuple[FolderTotals, ...] = ()
    rest_objects: int = 0
    rest_stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Bin:
    """The objects with ``low`` <= x < ``high``; ``high`` is ``None`` for the last bin."""

    low: float
    high: float | None
    objects: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bins that lie next to each other and hold all objects.

    Attributes:
        unit: ``bytes`` (sizes) or ``seconds`` (ages, as of :attr:`BucketStats.computed_at`).
        bins: ascending; the empty ones too.
    """

    unit: str
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object; its full ``key`` may hold anything, ``last_modified`` is in seconds since the epoch."""

    key: str
    size: int
    last_modified: float
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """Objects by how they are stored.

    Attributes:
        name: ``direct`` (as they are), ``delta`` and ``reference`` (DeltaGlider's), ``gzip`` (compressed by
            our uploads).
        objects: how many.
        stored_bytes: as they are stored.
        original_bytes: before compression; 0 for references, which are no objects of the user.
    """

    name: str
    objects: Number
    stored_bytes: Number
    original_bytes: Number


@dataclass(frozen=True, slots=True)
class UploadTotals:
    """Unfinished multipart uploads: they cost storage and are in no listing.

    Attributes:
        uploads: how many.
        stored_bytes: of their parts.
        oldest: when the oldest was begun, seconds since the epoch; ``None`` without uploads or time.
    """

    uploads: Number
    stored_bytes: Number
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class VersionTotals:
    """Noncurrent versions: they cost storage and are in no plain listing.

    Attributes:
        versions: noncurrent versions.
        stored_bytes: of these.
        delete_markers: how many, current or not.
    """

    versions: Number
    stored_bytes: Number
    delete_markers: Number


@dataclass(frozen=True, slots=True)
class HeadCounts:
    """HEAD requests for single objects: ``asked`` = ``answered`` + ``vanished`` + ``failed``."""

    asked: int = 0
    answered: int = 0
    vanished: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class CacheFacts:
    """How the cache in the bucket was used.

    Attributes:
        state: ``hit`` (the numbers are the cached ones), ``miss`` (none, or none that can be used),
            ``stale`` (there was one, and the bucket has changed since), ``off`` (not asked for).
        validated: how a hit was found to be current: ``fingerprint`` (one listing, compared by count, bytes
            and fingerprint), ``totals`` (one listing, compared by count and bytes alone: DeltaGlider wrote
            the cache), ``age`` (younger than asked for: S3 was not listed), ``later`` (answered at once,
            refreshed in the background); empty without a hit.
        path: key of the cache object.
        age_s: of the cached numbers, ``None`` without a hit.
        size: bytes of the cache object that was read, ``None`` without one.
        written: whether this call stored new numbers.
        hits, misses: of this cache by this machine's user, this call included.
    """

    state: Literal["hit", "miss", "stale", "off"] = "off"
    validated: Literal["", "fingerprint", "totals", "age", "later"] = ""
    path: str = ""
    age_s: float | None = None
    size: int | None = None
    written: bool = False
    hits: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class DeltaGliderStats:
    """The numbers as DeltaGlider 6 computes them, under its names: the ``stats`` of its cache files.

    Attributes:
        bucket: its name.
        object_count: deltas and direct objects; references are not counted.
        total_size: original bytes as far as asked: a delta that was not contributes nothing.
        compressed_size: stored bytes; references count where there are deltas.
        space_saved: never negative.
        average_compression_ratio: ``space_saved / total_size``, 0 to 1.
        delta_objects, direct_objects: how many.
        object_limit_reached: always False: nothing is cut off here.
    """

    bucket: str
    object_count: int
    total_size: int
    compressed_size: int
    space_saved: int
    average_compression_ratio: float
    delta_objects: int
    direct_objects: int
    object_limit_reached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketStats:
    """The statistics of a bucket, or of the objects below a prefix in it.

    Objects below ``.deltaglider/`` and ``.aios3sync/`` are in none of the numbers.

    Attributes:
        bucket, prefix: what was counted; the prefix is empty or ends in ``/``.
        mode: see :data:`Mode`.
        every: every object got a HEAD request, not only those that may be compressed.
        computed_at: when the numbers were computed, seconds since the epoch.
        complete: False if something that the mode promises was not seen; see ``warnings``.
        origin: see :data:`Origin`.
        objects, stored_bytes: from the listing.
        original_bytes: before DeltaGlider's deltas and our gzip.
        saved_bytes: ``original_bytes - stored_bytes``; negative where references cost more than deltas save.
        ratio: ``saved_bytes / original_bytes``, at most 1.
        kinds: by how objects are stored; those that occur.
        storage_classes, extensions, top_folders: breakdowns.
        folders: the root of the tree of folders.
        sizes, ages: histograms.
        largest, newest: the first objects by size and by time.
        uploads: unfinished multipart uploads.
        versions: noncurrent versions; all three numbers are 0 where versioning was never on.
        heads: the HEAD requests for single objects.
        cache: how the cache was used.
        deltaglider: the same bucket in DeltaGlider's numbers.
        warnings: one sentence each.
        requests: S3 requests of this call by operation.
        elapsed_s: how long this call took.
    """

    bucket: str
    prefix: str = ""
    mode: Mode = "quick"
    every: bool = False
    computed_at: float = 0.0
    complete: bool = True
    origin: Origin = "listing"
    objects: Number = field(default_factory=lambda: exact(0))
    stored_bytes: Number = field(default_factory=lambda: exact(0))
    original_bytes: Number = field(default_factory=lambda: exact(0))
    saved_bytes: Number = field(default_factory=lambda: exact(0))
    ratio: Number = field(default_factory=lambda: exact(0.0))
    kinds: tuple[ObjectKind, ...] = ()
    storage_classes: Breakdown = field(default_factory=Breakdown)
    extensions: Breakdown = field(default_factory=Breakdown)
    top_folders: Breakdown = field(default_factory=Breakdown)
    folders: FolderTotals = field(default_factory=lambda: FolderTotals("", "", 0, 0))
    sizes: Histogram = field(default_factory=lambda: Histogram("bytes"))
    ages: Histogram = field(default_factory=lambda: Histogram("seconds"))
    largest: tuple[ListedObject, ...] = ()
    newest: tuple[ListedObject, ...] = ()
    uploads: UploadTotals
    versions: VersionTotals
    heads: HeadCounts = field(default_factory=HeadCounts)
    cache: CacheFacts = field(default_factory=CacheFacts)
    deltaglider: DeltaGliderStats
    warnings: tuple[str, ...] = ()
    requests: Mapping[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def location(self) -> str:
        """The bucket and the prefix, as ``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def exit_code(self) -> int:
        """0, or 3 where the numbers are not complete."""
        return 0 if self.complete else 3

    def to_document(self) -> dict[str, Any]:
        """Return the stats as a JSON document: the fields by name, the time also as ISO 8601."""
        document = {"command": "stats", "location": self.location, **asdict(self)}
        document["requests"] = dict(self.requests)
        moment = datetime.fromtimestamp(self.computed_at, UTC)
        document["computed"] = moment.isoformat(timespec="seconds")
        return document

    def as_dict(self) -> dict[str, Any]:
        """Return the same, under the name that all reports of the command line have."""
        return self.to_document()
