"""SyncRequest: one sync as it was requested, a value that can be pickled."""

from __future__ import annotations

import os
from collections.abc import Mapping

from aios3sync._dataclass import dataclass, field, replace
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.core.keys import SCHEME, Location, parse_address
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import UsageError
from aios3sync.local.root import TreeRoot
from aios3sync.manifest.files import default_path
from aios3sync.manifest.protocol import Binding
from aios3sync.options import SyncOptions

if TYPE_CHECKING:
    from aios3sync.local.tree import LocalTree
    from aios3sync.store.protocol import PutOptions
    from aios3sync.sync.directions import DirectionName

__all__ = (
    "MANIFESTS",
    "NAMED_FILES",
    "SyncRequest",
    "is_shared",
    "locate_sides",
    "manifest_path",
    "pending_path",
    "with_shared_manifest",
)

_ANY_MACHINE: Final = "any machine"
"""Stands in a shared manifest for the directory, whose path differs between machines."""
MANIFESTS: Final = ".aios3sync/manifests/"
"""Where a folder of a bucket holds the manifests of several targets."""
NAMED_FILES: Final = "files:"
"""The name of a source that is a list of files: the same for a target, whatever files the list names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """One sync as it was requested; it holds no callables and can be pickled.

    Attributes:
        root: the directory of the pair, absolute; symbolic links in it are not resolved, as they are its
            identity. NAMED_FILES where ``files`` are given.
        location: the bucket and prefix of the pair.
        endpoint: its name, see :mod:`aios3sync.store.s3.endpoint`.
        options: what to do.
        overrides: headers of single keys.
        files: keys and the absolute paths of their files, which then are the whole source: a key that is not
            named is absent, not hidden.
        direction: ``up`` from the directory to the bucket, ``down`` from the bucket to the directory. Both
            have the same manifest. ``copy`` from another bucket to the bucket: the root is then the name of
            the other bucket, with its endpoint.
        source_location: where a copy comes from.
        shared_manifest: the address of the object that is the manifest of several machines, whatever
            directory each of them has; empty where the manifest is a file.
        key_range: the keys that the sync is about; others are neither read nor changed.
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
    shared_manifest: str = ""

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
        root = _ANY_MACHINE if self.shared_manifest and self.direction != "copy" else self.root
        return Binding(root, self.endpoint, self.location.bucket, self.location.prefix)

    def tree(self) -> LocalTree:
        """Return the side that is a tree; a copy has an empty list of files."""
        from aios3sync.local.tree import LocalTree

        if self.direction == "copy":
            return LocalTree(NAMED_FILES, files={})
        return LocalTree(
            self.root,
            symlinks=self.options.symlinks,
            on_bad_name=self.options.on_bad_name,
            files=self.files,
            key_range=self.key_range,
        )

    def tree_root(self, processes: int = 1) -> TreeRoot:
        """Return the directory for a run without an event loop.

        Args:
            processes: how many may hash files; with more than 1 the caller has no threads.
        """
        return TreeRoot(
            self.root,
            symlinks=self.options.symlinks,
            on_bad_name=self.options.on_bad_name,
            key_range=self.key_range,
            processes=processes,
        )


Side = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]
"""How a caller names a side: ``s3://bucket/prefix``, a path, or for a source also keys and files."""


def locate_sides(
    source: Side, target: str | os.PathLike[str], options: SyncOptions
) -> tuple[DirectionName, str, dict[str, str] | None, Location]:
    """Return the direction of a sync, the root of its directory, its list of files, and its bucket.

    A text that begins with ``s3://`` is a bucket, any other text and every path object is a directory. Where
    both are buckets, the bucket is the target and the root the name of the source.

    Raises:
        UsageError: no side is a bucket, or one of them is invalid.
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


def is_shared(options: SyncOptions) -> bool:
    """Return whether the manifest is an object, see :mod:`aios3sync.objects.shared_manifest`."""
    return isinstance(options.manifest, str) and options.manifest.startswith(SCHEME)


def with_shared_manifest(request: SyncRequest) -> tuple[SyncRequest, str, str]:
    """Return the request with the address of its manifest's object, and the bucket and key of that object.

    A place that ends in ``/`` is a folder: each target has an object of its own in it, among the private
    files of the tools.

    Raises:
        UsageError: it is no address of an object or folder.
    """
    bucket, key = parse_address(str(request.options.manifest))
    shared = replace(request, shared_manifest=f"{SCHEME}{bucket}/{key}")
    if key and not key.endswith("/"):
        return shared, bucket, key
    key += f"{MANIFESTS}{shared.binding.digest()}.sqlite"
    return replace(request, shared_manifest=f"{SCHEME}{bucket}/{key}"), bucket, key


def manifest_path(request: SyncRequest) -> str:
    """Return the path of a request's manifest, which may not exist; empty where there is no place for one.

    Blocks: a relative path needs the working directory.

    Raises:
        UsageError: no file can have the path that was given.
    """
    if is_shared(request.options):
        raise UsageError("manifest: one in a bucket is read and stored by a sync; name a file here")
    path = request.options.manifest or default_path(request.binding)
    try:
        impossible = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise UsageError(f"manifest: no file can have the path {path!r}")
    return os.path.abspath(path) if path else ""


def pending_path(request: SyncRequest) -> str:
    """Return the path of the list of missing thumbnails: next to the manifests, one file for each pair."""
    return default_path(request.binding).removesuffix(".sqlite") + ".thumbnails"
