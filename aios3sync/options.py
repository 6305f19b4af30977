"""The options of a connection and of a sync: frozen, validated once, with all the defaults. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from aios3sync._dataclass import dataclass, defaults_of, field
from aios3sync._typing import Any, Literal, Self, get_args
from aios3sync.core.endpoints import checked_endpoint
from aios3sync.core.header_rules import read_header_rules
from aios3sync.core.inventory_place import InventoryPlace
from aios3sync.core.keys import unescaped
from aios3sync.core.parts import GIB, MAX_COPY_SIZE, MAX_PART_SIZE, MAX_PARTS, MIB, MIN_PART_SIZE
from aios3sync.core.policy import STAT_FIELDS, DeleteMode
from aios3sync.errors import UsageError
from aios3sync.field_types import FilePath, Moment, Seconds, Size, conform

__all__ = (
    "CHARSETS",
    "CHECKS",
    "CHECKSUMS",
    "DIRECTORY_MARKERS",
    "ENCRYPTIONS",
    "LANES",
    "LIST_ORDERS",
    "METADATA_DIRECTIVES",
    "METADATA_UPDATES",
    "ON_BAD_NAME",
    "ON_CONFLICT",
    "RESTORE_TIERS",
    "SYMLINK_MODES",
    "VARIABLES",
    "Charset",
    "Check",
    "Checksum",
    "ConnectOptions",
    "DirectoryMarkers",
    "Encryption",
    "Lane",
    "ListOrder",
    "MetadataDirective",
    "MetadataUpdate",
    "OnBadName",
    "OnConflict",
    "RestoreTier",
    "Symlinks",
    "SyncOptions",
    "payer_of",
)

Check = Literal["auto", "list", "content"]
CHECKS: tuple[Check, ...] = get_args(Check)
ListOrder = Literal["auto", "bytes"]
LIST_ORDERS: tuple[ListOrder, ...] = get_args(ListOrder)
MetadataUpdate = Literal["copy", "upload", "off"]
METADATA_UPDATES: tuple[MetadataUpdate, ...] = get_args(MetadataUpdate)
MetadataDirective = Literal["copy", "replace"]
METADATA_DIRECTIVES: tuple[MetadataDirective, ...] = get_args(MetadataDirective)
OnBadName = Literal["fail", "skip", "escape"]
ON_BAD_NAME: tuple[OnBadName, ...] = get_args(OnBadName)
Symlinks = Literal["follow", "skip", "inside"]
SYMLINK_MODES: tuple[Symlinks, ...] = get_args(Symlinks)
Charset = Literal["auto", "utf-8", "none"]
CHARSETS: tuple[Charset, ...] = get_args(Charset)
OnConflict = Literal["keep", "overwrite"]
ON_CONFLICT: tuple[OnConflict, ...] = get_args(OnConflict)
RestoreTier = Literal["standard", "bulk", "expedited"]
RESTORE_TIERS: tuple[RestoreTier, ...] = get_args(RestoreTier)
DirectoryMarkers = Literal["skip", "create"]
DIRECTORY_MARKERS: tuple[DirectoryMarkers, ...] = get_args(DirectoryMarkers)
Lane = Literal["auto", "wire", "boto"]
LANES: tuple[Lane, ...] = get_args(Lane)
Encryption = Literal["", "AES256", "aws:kms", "aws:kms:dsse"]
ENCRYPTIONS: tuple[Encryption, ...] = get_args(Encryption)
Checksum = Literal["", "crc32", "crc32c", "crc64nvme", "sha1", "sha256"]
CHECKSUMS: tuple[Checksum, ...] = get_args(Checksum)

VARIABLES = "AIOS3SYNC_"
"""What the names of the environment variables begin with that are read here."""
_MOST_DAYS = 36_500


def _require(condition: object, message: str) -> None:
    if not condition:
        raise UsageError(message)


def payer_of(accepted: bool) -> str:
    """Return who pays for a request, as S3 takes it: ``requester`` where that is accepted, else empty."""
    return "requester" if accepted else ""


def _choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    known = ", ".join(choice or "unset" for choice in choices)
    _require(value in choices, f"{name}: {value!r} is not one of {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """How to reach S3.

    Attributes:
        endpoint_url: an S3 compatible endpoint; ``None`` takes it from the environment and the AWS
            configuration, else AWS itself.
        profile: a profile of the AWS configuration.
        region: e.g. ``eu-central-1``.
        addressing: ``auto``, ``path`` or ``virtual``.
        ca_bundle: file with certificate authorities, or ``None`` for those of the system.
        verify_tls: whether certificates are checked.
        anonymous: send unsigned requests.
        lane: the transport of the frequent requests: ``wire``, our own HTTP client, or ``boto``; ``auto``
            takes ``wire`` where it can.
        etags: whether the ETags of the endpoint are MD5s. Unset takes what is remembered of the endpoint.
            ``auto`` finds out again. ``opaque``: they are none, although they may look so; the ETag of an
            upload is not compared with its MD5, and content is compared by our own metadata. ``md5``: they
            are, and an upload with another ETag has failed. ``opaque`` and ``md5`` are remembered.
        workers: the most requests in flight; also the size of the connection pool.
        memory: the most bytes of bodies in memory at once.
        connect_timeout, read_timeout: seconds.
        max_attempts: how often one request is sent at most, the first attempt included.
        bandwidth: bytes a second for all bodies together, 0 for no limit.
        processes: processes that send or fetch small files where there are many; ``None``
            for one less than there are cores, up to 4. With 0 this process does it all.
    """

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    ca_bundle: FilePath | None = None
    verify_tls: bool = True
    anonymous: bool = False
    lane: Lane = "auto"
    etags: Literal["", "auto", "md5", "opaque"] = ""
    workers: int = 256
    memory: Size = 256 * MIB
    connect_timeout: Seconds = 10.0
    read_timeout: Seconds = 60.0
    max_attempts: int = 5
    bandwidth: Size = 0
    processes: int | None = None

    def __post_init__(self) -> None:
        conform(self)
        _choice("addressing", self.addressing, ("auto", "path", "virtual"))
        _choice("lane", self.lane, LANES)
        _choice("etags", self.etags, ("", "auto", "md5", "opaque"))
        _require(1 <= self.workers <= 10_000, f"workers: {self.workers} is not between 1 and 10000")
        _require(self.memory >= MIB, f"memory: {self.memory} is less than 1 MiB")
        _require(self.max_attempts >= 1, f"max_attempts: {self.max_attempts} is less than 1")
        _require(self.processes is None or 0 <= self.processes <= 64, "processes: not between 0 and 64")
        _require(self.bandwidth >= 0, f"bandwidth: {self.bandwidth} is negative")
        _require(self.connect_timeout > 0, "connect_timeout: must be above 0 s")
        _require(self.read_timeout > 0, "read_timeout: must be above 0 s")
        if self.endpoint_url is not None:
            object.__setattr__(self, "endpoint_url", checked_endpoint(self.endpoint_url, "endpoint_url"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """The options of one sync: what it compares, sends and may delete.

    Attributes:
        check: ``auto`` trusts the manifest while it can, ``list`` always lists, ``content`` also hashes
            every file again.
        delete: ``off``, ``tracked`` (what was uploaded from here and not replaced since), or ``mirror``.
        dry_run: decide and report, write nothing (neither S3 nor the manifest).
        incremental: False uploads everything.
        accept_content: upload files whose content changed without their stat (``check="content"``).
        max_manifest_age: seconds that a listing is trusted by ``check="auto"``.
        list_order: ``bytes`` says that the endpoint lists in UTF-8 byte order, as AWS does; a listing may
            then be cut anywhere; if that is wrong, objects are missed. ``auto`` assumes it of AWS alone.
            Unset takes what is remembered of the endpoint.
        no_list: never list the target, and so delete nothing: what the manifest does not know is uploaded.
            For credentials that may only write.
        source_listing, target_listing: ``inventory:s3://bucket/prefix`` reads the latest S3 Inventory of a
            configuration (or that of a ``manifest.json``) in the place of the listing of that side. What it
            cannot know is asked before anything is deleted or overwritten because of it.
        list_workers: pages of the listing to request at once, 0 for as many as it has parts,
            up to 32; 1 lists one page after the other.
        stat_fields: which of size, mtime, ctime and inode must be equal for "the same stat".
        include, exclude: see ``rules``; of these two lists the excludes come first.
        rules: ordered filter rules, ``("include" | "exclude", pattern)``; the last match wins. A third text
            may name the origin of a rule.
        gitignore: honour the ``.gitignore`` files of the source.
        files: only these paths exist (relative to the source), or ``None`` for all.
        symlinks: ``follow``, ``skip`` or ``inside``.
        on_bad_name: what to do with a file or directory whose name cannot be a key (not UTF-8, over 1,024
            bytes): ``fail`` reports a failure, ``skip`` a warning; ``escape`` stores bytes that are no
            UTF-8 as :func:`~aios3sync.core.keys.escaped` writes them.
        max_delete: refuse the deletes when more are planned.
        max_delete_ratio: the same as a share of the visible target objects; unset means 0.5 once more
            than 100 deletes are planned.
        allow_empty_source: let an empty source delete everything.
        delete_protected: also delete what belongs to other tools.
        delete_excluded: also delete what the filters hide.
        delete_despite_errors: delete although files could not be read or sent.
        manifest: the path of the manifest, ``None`` for the default one, ``False`` for no manifest.
            ``s3://bucket/key`` is an object that machines share, ``s3://bucket/folder/`` a folder with one
            for each target.
        multipart_threshold, part_size: bytes.
        md5chksum: whether objects in parts have the MD5 of the whole in their metadata (``md5chksum``), as
            rclone writes and reads it. Without it large files are hashed once instead of twice: the MD5s of
            their parts prove them, unless ETags prove nothing or no reader can infer the part size.
        max_parts: the most parts of one object; a larger object is sent in larger parts. 0 takes the limit
            of the endpoint: 10,000, or fewer once it has refused that many.
        gzip: extensions (without dot) that are compressed.
        content_type: for every object, instead of guessing.
        guess_content_type: guess by extension.
        charset: of guessed types of text (``text/...``). ``auto`` adds UTF-8, as rclone and s5cmd do, unless
            the file is found not to be UTF-8 (files that are sent in parts are not examined); ``utf-8`` adds
            it to all, ``none`` to none. Stored objects do not change.
        header_for: headers of the keys that match a pattern, ``"*.html:cache-control=no-cache"``; patterns
            are those of ``include``; of several rules for one header the last match counts. They replace the
            headers for every object. Names: :mod:`aios3sync.core.header_rules`.
        metadata_update: how unchanged objects get these headers if they were stored with other ones: ``copy``
            copies each onto itself on the server, ``upload`` sends it again, ``off`` leaves it as it is.
            ``None`` copies too, but only objects whose headers are recorded; the others also include objects
            whose headers are unknown.
        headers beyond these: see :class:`~aios3sync.store.protocol.PutOptions`.
        protected_prefixes: further prefixes (relative to the target) below which nothing is deleted.
        prices: of 1,000 requests, for a dry run, as ``writes=0.0054,reads=0.00043,currency=EUR``; unset takes
             those of AWS in us-east-1, for AWS alone.
        last: patterns, as those of ``include``, of what is transferred when all the rest has succeeded.
        track_renames: of an upload: a new file with the size and MD5 of a recorded one that is gone is copied
            on the server instead of uploaded; the old object is deleted as ``delete`` says. New files wait
            until the comparison has ended.
        receipt: where a list of all files that are in step is written after a run in which everything has
            succeeded, as ``sha256sum -c`` reads it: a path, or ``s3://bucket/key``. Of ``verify``: the list
            that takes the place of the source.
        thumbnails: the side in pixels of the square that the thumbnails of uploaded images fit into; 0 makes
            none. They are WebP and stored under ``.thumbnails/<size>/`` and the full key in the bucket;
            images that need no upload get none.
        on_conflict: of a download: files that were changed here are kept and reported as conflicts
            (``keep``), or replaced (``overwrite``).
        fsync: of a download: files are on disk before they get their names, so that a power failure leaves
            the old file or the new one. Without it a run is faster.
        directory_markers: of a download: whether empty objects whose keys end in ``/`` make directories.
        trash: where what is deleted goes. Of a download: an absolute path on the same filesystem, below which
            files are moved. Else ``s3://bucket/prefix`` at the endpoint of the target, outside of both sides:
            objects are copied there by the server, and then deleted. Nothing that lies there is replaced.
        decode: of a download: objects that an upload has compressed become the original files; ``False``
            keeps their bytes as they are stored.
        restore: where a bucket is the source: archived objects (GLACIER, DEEP_ARCHIVE, archived
            INTELLIGENT_TIERING) are restored for so many days, which takes hours; a later run downloads or
            copies them. 0 leaves them alone.
        restore_tier: of the same: ``standard``, ``bulk`` (cheap, slow) or ``expedited`` (minutes; not of
            DEEP_ARCHIVE).
        as_of: of a download or a sync between two buckets: take the versions that were the latest ones at
            this time, in a bucket that keeps versions: seconds since the epoch, or as text ISO 8601 with a
            time zone, or ``2h ago``.
        metadata_directive: of a sync between two buckets: ``copy`` keeps the metadata and the content headers
            of the source, ``replace`` takes those that are asked for.
        copy_part_threshold: of the same: objects above so many bytes are copied in parts.
        source_sse_customer_key: of the same: the SSE-C key of the source, as ``sse_customer_key``.
    """

    check: Check = "auto"
    delete: DeleteMode = "off"
    dry_run: bool = False
    incremental: bool = True
    accept_content: bool = False
    max_manifest_age: Seconds = 24 * 3600.0
    list_order: ListOrder | Literal[""] = ""
    no_list: bool = False
    source_listing: str = ""
    target_listing: str = ""
    list_workers: int = 0
    stat_fields: tuple[str, ...] = STAT_FIELDS
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rules: tuple[tuple[str, ...], ...] = ()
    gitignore: bool = False
    files: tuple[str, ...] | None = None
    symlinks: Symlinks = "follow"
    on_bad_name: OnBadName = "fail"
    max_delete: int | None = None
    max_delete_ratio: float | None = None
    allow_empty_source: bool = False
    delete_protected: bool = False
    delete_excluded: bool = False
    delete_despite_errors: bool = False
    manifest: FilePath | Literal[False] | None = None
    multipart_threshold: Size = 16 * MIB
    part_size: Size = 16 * MIB
    md5chksum: bool = True
    max_parts: int = 0
    gzip: tuple[str, ...] = ()
    content_type: str = ""
    guess_content_type: bool = True
    charset: Charset = "auto"
    cache_control: str = ""
    content_disposition: str = ""
    content_language: str = ""
    expires: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = ""
    sse: Encryption = ""
    sse_kms_key_id: str = ""
    sse_customer_key: bytes = field(default=b"", repr=False)
    acl: str = ""
    header_for: tuple[str, ...] = ()
    metadata_update: MetadataUpdate | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    request_payer: bool = False
    checksum: Checksum = ""
    protected_prefixes: tuple[str, ...] = ()
    receipt: FilePath | None = None
    thumbnails: int = 0
    prices: str = ""
    last: tuple[str, ...] = ()
    track_renames: bool = False
    on_conflict: OnConflict = "keep"
    fsync: bool = True
    directory_markers: DirectoryMarkers = "skip"
    trash: FilePath | None = None
    decode: bool = True
    restore: int = 0
    restore_tier: RestoreTier = "standard"
    as_of: Moment | None = None
    metadata_directive: MetadataDirective = "copy"
    copy_part_threshold: Size = MAX_COPY_SIZE
    source_sse_customer_key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        conform(self)
        _choice("check", self.check, CHECKS)
        _choice("delete", self.delete, get_args(DeleteMode))
        _choice("list_order", self.list_order, ("", *LIST_ORDERS))
        _choice("on_bad_name", self.on_bad_name, ON_BAD_NAME)
        _choice("symlinks", self.symlinks, SYMLINK_MODES)
        _choice("on_conflict", self.on_conflict, ON_CONFLICT)
        _choice("directory_markers", self.directory_markers, DIRECTORY_MARKERS)
        _choice("restore_tier", self.restore_tier, RESTORE_TIERS)
        _choice("metadata_directive", self.metadata_directive, METADATA_DIRECTIVES)
        _choice("charset", self.charset, CHARSETS)
        _choice("sse", self.sse, ENCRYPTIONS)
        _choice("checksum", self.checksum, CHECKSUMS)
        if self.metadata_update is not None:
            _choice("metadata_update", self.metadata_update, METADATA_UPDATES)
        read_header_rules(self.header_for)
        for rule in self.rules:
            _require(len(rule) in (2, 3), f"rules: {rule!r} is not a kind and a pattern")
            _choice("rules", rule[0], ("include", "exclude"))
        for name in self.stat_fields:
            _choice("stat_fields", name, STAT_FIELDS)
        _require("size" in self.stat_fields, "stat_fields: size cannot be left out")
        for extension in self.gzip:
            _require(not extension.startswith("."), f"gzip: {extension!r}: leave out the dot")
        if self.prices:
            from aios3sync.core.prices import read_prices  # few runs give any

            read_prices(self.prices)
        self._check_unlisted()
        self._check_numbers()

    def _check_unlisted(self) -> None:
        if self.no_list:
            _require(self.delete == "off", "no_list: nothing is deleted without a listing; leave out delete")
            _require(self.check != "list", "no_list: a run that never lists cannot check the listing")
            _require(not self.target_listing, "target_listing: no_list asks for no listing; leave one out")
        if self.as_of is not None:
            _require(not self.source_listing, "as_of: an inventory is of its own time; leave one out")
        for name in ("source_listing", "target_listing"):
            if text := getattr(self, name):
                InventoryPlace.parse(name, text)

    def _check_numbers(self) -> None:
        part_sizes = MIN_PART_SIZE <= self.part_size <= MAX_PART_SIZE
        _require(part_sizes, f"part_size: {self.part_size} is not between 5 MiB and 5 GiB")
        most = 0 <= self.max_parts <= MAX_PARTS
        _require(most, f"max_parts: {self.max_parts} is not between 1 and 10000, or 0 for the usual limit")
        threshold = 0 < self.multipart_threshold <= 5 * GIB
        _require(threshold, f"multipart_threshold: {self.multipart_threshold} is not between 1 and 5 GiB")
        copied = MIN_PART_SIZE <= self.copy_part_threshold <= MAX_COPY_SIZE
        _require(copied, f"copy_part_threshold: {self.copy_part_threshold} is not between 5 MiB and 5 GiB")
        _require(len(self.source_sse_customer_key) in (0, 32), "source_sse_customer_key: not of 32 bytes")
        _require(self.max_delete is None or self.max_delete >= 0, "max_delete: cannot be negative")
        ratio = self.max_delete_ratio
        _require(ratio is None or 0 <= ratio <= 1, f"max_delete_ratio: {ratio} is not between 0 and 1")
        workers = 0 <= self.list_workers <= 1000
        _require(workers, f"list_workers: {self.list_workers} is not between 1 and 1000, or 0 for adaptive")
        _require(self.max_manifest_age >= 0, "max_manifest_age: cannot be negative")
        days = 0 <= self.restore <= _MOST_DAYS
        _require(days, f"restore: {self.restore} is not between 1 and {_MOST_DAYS} days, or 0 for none")
        side = self.thumbnails == 0 or 16 <= self.thumbnails <= 2048
        _require(side, f"thumbnails: {self.thumbnails} is not between 16 and 2048 pixels, or 0 for none")

    @classmethod
    def of(cls, options: SyncOptions | None, changes: Mapping[str, Any]) -> Self:
        """Return the options with ``changes`` applied, the keyword arguments of ``sync()``.

        Raises:
            UsageError: a name is unknown, or a value is invalid.
        """
        known = defaults_of(cls).keys()
        for name in changes:
            _require(name in known, f"{name!r} is not a sync option; known are: {', '.join(sorted(known))}")
        base = {} if options is None else {name: getattr(options, name) for name in known}
        return cls(**{**base, **changes})

    def path_of(self, key: str) -> str:
        """Return the path of a key's file, relative to the source."""
        return unescaped(key) if self.on_bad_name == "escape" else key

    def ordered_rules(self) -> tuple[tuple[str, ...], ...]:
        """Return all filter rules in their order; the last match wins."""
        excludes: tuple[tuple[str, ...], ...] = tuple(("exclude", pattern) for pattern in self.exclude)
        return excludes + tuple(("include", pattern) for pattern in self.include) + self.rules
