"""Tell refusals that every upload would get from those of one file. No I/O."""

from __future__ import annotations

from typing import Final

from aios3sync.errors import AccessDeniedError, BucketNotFoundError, CredentialsError, StoreError

__all__ = ("REFUSED_AFTER", "Refusals", "is_hopeless")

REFUSED_AFTER: Final = 20
"""Uploads in a row that are refused for the same reason, after which no more are tried."""

_HOPELESS_CODES: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
)
_OF_EVERY_FILE: Final = frozenset(
    {
        *("AccessControlListNotSupported", "InvalidBucketState", "InvalidPayer", "InvalidSecurity"),
        *("AccountProblem", "NotSignedUp", "UserSuspended", "MethodNotAllowed", "405", "NotImplemented"),
        *("InvalidEncryptionAlgorithmError", "InvalidStorageClass", "InvalidTag"),
        *("CapExceeded", "InsufficientCapacity", "InsufficientStorage", "XMinioStorageFull", "507"),
    }
)


def is_hopeless(error: StoreError) -> bool:
    """Return whether every other request of the session would fail in the same way."""
    refused = isinstance(error, AccessDeniedError) and error.code in _HOPELESS_CODES
    return refused or isinstance(error, BucketNotFoundError | CredentialsError)


class Refusals:
    """The consecutive refusals of one run.

    A policy may hold for some keys alone, so that a denied access counts only while nothing at all was
    stored; a full bucket, a disabled encryption key and an option that the endpoint does not know concern
    every further upload.

    Attributes:
        reason: why nothing more is sent; empty while uploads go on.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._code = ""
        self._count = 0
        self._stored = False

    def stored(self) -> None:
        """Note that an upload succeeded."""
        self._count = 0
        self._stored = True

    def end(self, reason: str) -> bool:
        """End all uploads, for a reason that concerns every further one; return whether that is new."""
        if self.reason:
            return False
        self.reason = reason
        return True

    def add(self, error: StoreError) -> bool:
        """Count a failed upload; return whether no more are tried after it."""
        if self.reason or not self._is_of_every_file(error):
            return False
        self._count = self._count + 1 if error.code == self._code else 1
        self._code = error.code
        if self._count < REFUSED_AFTER:
            return False
        self.reason = f"{self._count} uploads in a row were refused and none was stored meanwhile: {error}"
        return True

    def _is_of_every_file(self, error: StoreError) -> bool:
        if error.retryable:
            return False
        code = error.code
        if isinstance(error, AccessDeniedError) and error.is_by_policy:
            return not self._stored
        named = "the endpoint refuses --" in error.message
        return named or code in _OF_EVERY_FILE or code.startswith("KMS.") or "Quota" in code
