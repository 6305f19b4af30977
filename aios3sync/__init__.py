"""Keep S3 in step with local directories, and know what is there.

The map of the package, in the direction of its arrows::

    cli -> session -> pipeline -> detector, uploads, multipart, deletes -> scanner, hashing, manifest,
    listing -> store.protocol -> core

``connect()`` opens a :class:`Session`; everything hangs off it. ``core`` is pure, ``store`` is the S3 seam,
``testing`` is for tests of code that uses this package. This module only names the public API and loads a
name when it is first used: importing it costs no S3 client, no event loop and no terminal library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._lazy import lazy_names
from aios3sync._version import __version__ as __version__

if TYPE_CHECKING:
    from aios3sync.concurrency import Stop
    from aios3sync.errors import (
        AccessDeniedError,
        AioS3SyncError,
        BucketNotFoundError,
        CredentialsError,
        DamagedManifestError,
        IntegrityError,
        ListingError,
        LockedError,
        ManifestError,
        NotModifiedError,
        ObjectNotFoundError,
        OutOfOrderError,
        PreconditionFailedError,
        SourceError,
        StoreError,
        TemporarySpaceError,
        ThrottledError,
        UnavailableError,
        UsageError,
    )
    from aios3sync.options import ConnectOptions, SyncOptions
    from aios3sync.progress import Progress
    from aios3sync.report import Failure, SyncReport
    from aios3sync.session import Session, connect

_HOMES = {
    "aios3sync.concurrency": ("Stop",),
    "aios3sync.errors": (
        "AccessDeniedError",
        "AioS3SyncError",
        "BucketNotFoundError",
        "CredentialsError",
        "DamagedManifestError",
        "IntegrityError",
        "ListingError",
        "LockedError",
        "ManifestError",
        "NotModifiedError",
        "ObjectNotFoundError",
        "OutOfOrderError",
        "PreconditionFailedError",
        "SourceError",
        "StoreError",
        "TemporarySpaceError",
        "ThrottledError",
        "UnavailableError",
        "UsageError",
    ),
    "aios3sync.options": ("ConnectOptions", "SyncOptions"),
    "aios3sync.progress": ("Progress",),
    "aios3sync.report": ("Failure", "SyncReport"),
    "aios3sync.session": ("Session", "connect"),
}

__all__ = (
    "AccessDeniedError",
    "AioS3SyncError",
    "BucketNotFoundError",
    "ConnectOptions",
    "CredentialsError",
    "DamagedManifestError",
    "Failure",
    "IntegrityError",
    "ListingError",
    "LockedError",
    "ManifestError",
    "NotModifiedError",
    "ObjectNotFoundError",
    "OutOfOrderError",
    "PreconditionFailedError",
    "Progress",
    "Session",
    "SourceError",
    "Stop",
    "StoreError",
    "SyncOptions",
    "SyncReport",
    "TemporarySpaceError",
    "ThrottledError",
    "UnavailableError",
    "UsageError",
    "connect",
)

__getattr__, __dir__ = lazy_names(__name__, _HOMES, ("__version__",))
