"""The exception tree of the package; it imports nothing but the standard library.

::

    AioS3SyncError
    ├── UsageError                  an invalid argument, option or document (also a ValueError)
    ├── SourceError                 the local side as a whole cannot be used
    ├── DestinationError            a local file cannot be written
    ├── ManifestError               the local state cannot be used
    │   ├── DamagedManifestError    its content is corrupt
    │   └── LockedError             another run holds the lock of this pair
    ├── ClusterError                the machines of a run cannot do it together
    ├── TemporarySpaceError         temporary files cannot be written
    ├── OutOfOrderError             a stream is not in ascending key order
    └── StoreError                  an S3 request failed for good
        ├── BucketNotFoundError     NoSuchBucket
        ├── ObjectNotFoundError     NoSuchKey, NoSuchUpload, 404
        ├── AccessDeniedError       403: signature, key id, policy
        ├── CredentialsError        no credentials, or they cannot be refreshed
        ├── PreconditionFailedError 412, or 409 of a conditional write
        ├── NotModifiedError        304: the object still has the ETag that the caller named
        ├── ThrottledError          SlowDown, 503, 429
        ├── UnavailableError        no connection, time-out, 5xx, an incomplete response
        ├── IntegrityError          the endpoint did not store what was sent
        └── ListingError            a listing that may be incomplete

All of them can be pickled, and so sent to another process.
"""

from __future__ import annotations

from aios3sync._typing import Any

__all__ = (
    "AccessDeniedError",
    "AioS3SyncError",
    "BucketNotFoundError",
    "ClusterError",
    "CredentialsError",
    "DamagedManifestError",
    "DestinationError",
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
)


class AioS3SyncError(Exception):
    """Base class of all errors that this package raises on purpose."""


class UsageError(AioS3SyncError, ValueError):
    """An argument, option or document is invalid; the message names it, the reason and the way out."""


class SourceError(AioS3SyncError):
    """The source directory is missing, is not a directory, or cannot be read at all."""


class DestinationError(AioS3SyncError):
    """A local file cannot be written: the disk is full, a directory is missing, the file has changed."""


class ManifestError(AioS3SyncError):
    """The manifest cannot be used: its path is not writable, its format is foreign or newer."""


class DamagedManifestError(ManifestError):
    """The manifest is corrupt: it cannot be read, or its content is impossible. A sync begins a new one.

    Args:
        reason: what was found.
        place: the path of its file.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason, place)
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"the manifest {self.place!r} is damaged: {self.reason}; the next sync sets it aside"


class LockedError(ManifestError):
    """Another run holds the lock of the same (source, target) pair."""


class ClusterError(AioS3SyncError):
    """A run on several machines cannot be done: one sees other files, all are lost, or there are none."""


class TemporarySpaceError(AioS3SyncError):
    """The directory for temporary files is full, or none is writable."""


class OutOfOrderError(AioS3SyncError):
    """A stream is not in ascending key order.

    Args:
        stream: its name, e.g. ``"target"``.
        previous: the key that came before.
        key: the key that should have come before ``previous``, or equals it.
    """

    def __init__(self, stream: str, previous: str, key: str) -> None:
        super().__init__(stream, previous, key)
        self.stream = stream
        self.previous = previous
        self.key = key

    def __str__(self) -> str:
        return f"{self.stream} is not in ascending key order: {self.key!r} after {self.previous!r}"


class StoreError(AioS3SyncError):
    """An S3 request failed for good, or cannot be repeated safely.

    Args:
        message: one line for a person; it never contains a secret, a signature or a header.
        operation: the S3 operation name, e.g. ``"PutObject"``.
        bucket: the bucket of the request.
        key: the object key, where the request has one.
        code: the S3 error code, e.g. ``"NoSuchBucket"``, or one of this package.
        status: the HTTP status, 0 where no response came.
        retry_after: seconds to wait, where the endpoint asked for it, or ``None``.
    """

    retryable = False
    """Whether the same request may succeed later."""

    def __init__(  # noqa: PLR0913 - facts instead of a formatted text; all but the first are optional
        self,
        message: str,
        *,
        operation: str = "",
        bucket: str = "",
        key: str | None = None,
        code: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.bucket = bucket
        self.key = key
        self.code = code
        self.status = status
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.message, dict(self.__dict__)))

    def __str__(self) -> str:
        return self.message


def _restore(kind: type[StoreError], message: str, facts: dict[str, Any]) -> StoreError:
    error = kind(message)
    error.__dict__.update(facts)
    return error


class BucketNotFoundError(StoreError):
    """The bucket does not exist (NoSuchBucket)."""


class ObjectNotFoundError(StoreError):
    """The object, version or multipart upload does not exist."""


class AccessDeniedError(StoreError):
    """The endpoint refuses the request: wrong secret, unknown key id, policy."""

    @property
    def is_by_policy(self) -> bool:
        """Whether valid credentials lack a permission; the response to HEAD has only the status 403."""
        return self.code in ("AccessDenied", "AllAccessDisabled", "403")


class CredentialsError(StoreError):
    """There are no credentials, or they expired and cannot be refreshed."""


class PreconditionFailedError(StoreError):
    """The condition of a request does not hold (412, or 409 in a race)."""


class NotModifiedError(StoreError):
    """The object of a conditional read still has the ETag that the caller named (304)."""


class ThrottledError(StoreError):
    """The endpoint asks for fewer requests (SlowDown, 503, 429)."""

    retryable = True


class UnavailableError(StoreError):
    """No response, half a response, or a 5xx: the request may or may not have been applied."""

    retryable = True


class IntegrityError(StoreError):
    """The endpoint did not store what was sent: the ETag or a checksum differs.

    Attributes:
        etag: the ETag of the response, where it is the one that differs; the code is ``ETagMismatch`` then.
    """

    retryable = True
    etag = ""


class ListingError(StoreError):
    """A listing broke off or contradicts itself, so it may be incomplete."""
