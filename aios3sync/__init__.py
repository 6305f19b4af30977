"""Keep S3 in step with local directories, and know what is there.

The map of the package, in the direction of its arrows::

    cli -> session -> pipeline -> detector, uploads, multipart, deletes -> scanner, hashing, manifest,
    listing -> store.protocol -> core

``connect()`` opens a :class:`Session`; everything hangs off it. ``core`` is pure, ``store`` is the S3 seam,
``testing`` is for tests of code that uses this package. This module only names the public API and loads a
name when it is first used: importing it costs no S3 client, no event loop and no terminal library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

__version__ = "0.1.0"

_HOMES = {
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
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

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
    "StoreError",
    "SyncOptions",
    "SyncReport",
    "TemporarySpaceError",
    "ThrottledError",
    "UnavailableError",
    "UsageError",
    "connect",
)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted((*__all__, "__version__"))
