"""The keyword arguments of ``connect()`` and ``sync()``, for type checkers and editors.

They are the fields of the options, with the types that callers may give: ``exclude=["*.tmp"]``,
``part_size="64M"``. A test holds them equal and prints what to write. At run time nothing loads this module;
programs that pass such arguments on annotate theirs with it: ``**changes: Unpack[SyncKeywords]``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from aios3sync.core.policy import DeleteMode
from aios3sync.field_types import Texts
from aios3sync.options import (
    Charset,
    Check,
    Checksum,
    DirectoryMarkers,
    Encryption,
    Lane,
    ListOrder,
    MetadataDirective,
    MetadataUpdate,
    OnBadName,
    OnConflict,
    RestoreTier,
    Symlinks,
)

__all__ = ("ConnectKeywords", "SyncKeywords")


class ConnectKeywords(TypedDict, total=False):
    """The keyword arguments of ``connect()``: see :class:`~aios3sync.options.ConnectOptions`."""

    endpoint_url: str | None
    profile: str | None
    region: str | None
    addressing: Literal["auto", "path", "virtual"]
    ca_bundle: str | os.PathLike[str] | None
    verify_tls: bool
    anonymous: bool
    lane: Lane
    etags: Literal["", "auto", "md5", "opaque"]
    workers: int
    memory: int | str
    connect_timeout: float | str
    read_timeout: float | str
    max_attempts: int
    bandwidth: int | str
    processes: int | None


class SyncKeywords(TypedDict, total=False):
    """The keyword arguments of ``sync()``, ``verify()`` …: see :class:`~aios3sync.options.SyncOptions`."""

    check: Check
    delete: DeleteMode
    dry_run: bool
    incremental: bool
    accept_content: bool
    max_manifest_age: float | str
    list_order: ListOrder | Literal[""]
    no_list: bool
    source_listing: str
    target_listing: str
    list_workers: int
    stat_fields: Texts
    include: Texts
    exclude: Texts
    rules: Sequence[tuple[str, ...]]
    gitignore: bool
    files: Texts | None
    symlinks: Symlinks
    on_bad_name: OnBadName
    max_delete: int | None
    max_delete_ratio: float | None
    allow_empty_source: bool
    delete_protected: bool
    delete_excluded: bool
    delete_despite_errors: bool
    manifest: str | os.PathLike[str] | Literal[False] | None
    multipart_threshold: int | str
    part_size: int | str
    md5chksum: bool
    max_parts: int
    gzip: Texts
    content_type: str
    guess_content_type: bool
    charset: Charset
    cache_control: str
    content_disposition: str
    content_language: str
    expires: str
    metadata: Mapping[str, str]
    storage_class: str
    sse: Encryption
    sse_kms_key_id: str
    sse_customer_key: bytes
    acl: str
    header_for: Texts
    metadata_update: MetadataUpdate | None
    tags: Mapping[str, str]
    request_payer: bool
    checksum: Checksum
    protected_prefixes: Texts
    receipt: str | os.PathLike[str] | None
    thumbnails: int
    prices: str
    last: Texts
    track_renames: bool
    on_conflict: OnConflict
    fsync: bool
    directory_markers: DirectoryMarkers
    trash: str | os.PathLike[str] | None
    decode: bool
    restore: int
    restore_tier: RestoreTier
    as_of: float | str | None
    metadata_directive: MetadataDirective
    copy_part_threshold: int | str
    source_sse_customer_key: bytes
