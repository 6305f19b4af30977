"""The exception tree of the package; it may not import anything but the standard library.

::

    AioS3SyncError
    ├── UsageError                  an argument cannot be what it is (also a ValueError)
    ├── SourceError                 the local side as a whole cannot be used
    ├── ManifestError               the local state cannot be used
    │   ├── DamagedManifestError    its content is not what was written
    │   └── LockedError             another run holds the lock of this pair
    ├── TemporarySpaceError         temporary files cannot be written
    ├── OutOfOrderError             a stream that must ascend does not
    └── StoreError                  an S3 request failed for good
        ├── BucketNotFoundError     NoSuchBucket
        ├── ObjectNotFoundError     NoSuchKey, NoSuchUpload, 404
        ├── AccessDeniedError       403: signature, key id, policy
        ├── CredentialsError        no credentials, or they cannot be refreshed
        ├── PreconditionFailedError 412, or 409 of a conditional write
        ├── NotModifiedError        304: it still is what the caller knows
        ├── ThrottledError          SlowDown, 503, 429
        ├── UnavailableError        no connection, time-out, 5xx, a cut answer
        ├── IntegrityError          the endpoint did not store what was sent
        └── ListingError            a listing that cannot be trusted to be complete

All of them survive pickling, so that they can cross a process border.
"""

from __future__ import annotations

from typing import Any

__all__ = (
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
)


class AioS3SyncError(Exception):
    """Root of everything that this package raises on purpose."""


class UsageError(AioS3SyncError, ValueError):
    """An argument, option or document cannot be what it is; the message names it and the way out."""


class SourceError(AioS3SyncError):
    """The source directory is missing, is not a directory, or cannot be read at all."""


class ManifestError(AioS3SyncError):
    """The manifest cannot be used: unwritable place, foreign format, newer version."""


class DamagedManifestError(ManifestError):
    """What the manifest holds cannot be read, or cannot be what was written; a sync begins a new one.

    Args:
        reason: what was found.
        place: its file.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason, place)
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"the manifest {self.place!r} is damaged: {self.reason}; the next sync sets it aside"


class LockedError(ManifestError):
    """Another run holds the lock of the same (source, target) pair."""


class TemporarySpaceError(AioS3SyncError):
    """The directory for temporary files is full, or there is none that can be written."""


class OutOfOrderError(AioS3SyncError):
    """A stream that must ascend in key order does not.

    Args:
        stream: which one, e.g. ``"target"``.
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
        message: one line for a person; never holds a secret, a signature or a header.
        operation: the S3 operation name, e.g. ``"PutObject"``.
        bucket: the bucket of the request.
        key: the object key, where the request has one.
        code: the S3 error code, e.g. ``"NoSuchBucket"``, or a short name of ours.
        status: the HTTP status, 0 where no answer came.
        retry_after: seconds that the endpoint asked to wait, or ``None``.
    """

    retryable = False
    """Whether the same request may succeed when it is sent again later."""

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
    """The endpoint knows the request and refuses it: wrong secret, unknown key id, policy."""

    @property
    def is_by_policy(self) -> bool:
        """Whether the credentials are good and lack a right; the answer to HEAD has its status alone."""
        return self.code in ("AccessDenied", "AllAccessDisabled", "403")


class CredentialsError(StoreError):
    """There are no credentials to sign with, or they expired and cannot be refreshed."""


class PreconditionFailedError(StoreError):
    """A conditional request met another state than it named (412, or 409 in a race)."""


class NotModifiedError(StoreError):
    """What a conditional read would fetch still has the ETag that the caller knows (304)."""


class ThrottledError(StoreError):
    """The endpoint asks for fewer requests (SlowDown, 503, 429)."""

    retryable = True


class UnavailableError(StoreError):
    """No answer, half an answer, or a 5xx: the request may or may not have been carried out."""

    retryable = True


class IntegrityError(StoreError):
    """What the endpoint says it stored is not what was sent (ETag or checksum differs).

    Attributes:
        etag: what was answered, where that is the contradiction; then the code is ``ETagMismatch``.
    """

    retryable = True
    etag = ""


class ListingError(StoreError):
    """A listing broke off or contradicts itself, so that its end is not known to be the end."""
