"""Converts S3 error responses to exceptions; pure, and may not import any HTTP library.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from aios3sync._lazy import lazy_pattern
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final
from aios3sync.core.etag import Proof, is_opaque_encryption, proof, same_etag
from aios3sync.core.text import printable
from aios3sync.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    IntegrityError,
    NotModifiedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    ThrottledError,
    UnavailableError,
)
from aios3sync.store.protocol import PutResult
from aios3sync.store.s3.http_dates import http_date
from aios3sync.store.s3.redaction import quotes_secret

__all__ = (
    "ETAG_MISMATCH",
    "RETRYABLE_CODES",
    "THROTTLED_CODES",
    "ErrorAnswer",
    "InvalidAnswerError",
    "WireUnavailableError",
    "add_reason",
    "error_from",
    "is_about_credentials",
    "mismatch",
    "other_bytes",
    "retry_after",
    "safe_words",
    "subject",
    "with_limit",
)


ETAG_MISMATCH: Final = "ETagMismatch"


class WireUnavailableError(Exception):
    """The wire transport cannot serve this client or bucket; the message says why; botocore can."""


class InvalidAnswerError(ValueError):
    """The response is not one of S3; the message says what is missing, and quotes nothing."""


class ErrorAnswer(NamedTuple):
    """The facts of one refused request.

    Attributes:
        code: the S3 error code; the status as text where the response has no body (HEAD).
        status: the HTTP status; 200 with an error body counts as 500.
        message: of the endpoint.
        headers: of the response, names in lower case.
        region: that the endpoint named, or empty.
    """

    code: str
    status: int
    message: str
    headers: Mapping[str, str]
    region: str = ""


def other_bytes(result: PutResult, md5: bytes, *, opaque: bool) -> str:
    """Return a message if the response to an upload proves that other bytes were stored, else an empty one.

    Args:
        result: of the upload.
        md5: digest of what was sent; empty where there is none.
        opaque: ETags of this endpoint prove nothing.
    """
    sent = md5.hex()
    if not sent or same_etag(result.etag, sent):
        return ""
    if proof(result.etag, opaque=opaque or is_opaque_encryption(result.encryption)) is not Proof.MD5:
        return ""
    return f"the endpoint stored other bytes than were sent (ETag {printable(result.etag)}, MD5 {sent})"


def mismatch(operation: str, bucket: str, key: str | None, text: str, etag: str) -> IntegrityError:
    """Return the error for the message of :func:`other_bytes` about a response with this ETag."""
    message = f"{subject(operation, bucket, key)}: {text}"
    error = IntegrityError(
        message, operation=operation, bucket=bucket, key=key, code=ETAG_MISMATCH, status=200
    )
    error.etag = etag
    return error


THROTTLED_CODES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "429",
        "503",
    }
)
"""Codes by which an endpoint demands fewer requests."""

_UNAVAILABLE: Final = frozenset(
    {
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "408",
    }
)
RETRYABLE_CODES: Final = THROTTLED_CODES | _UNAVAILABLE
"""Codes after which the same request may succeed; also those of single keys in DeleteObjects."""

_REPLACEABLE: Final = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestExpired"),
        *("InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch"),
        *("CredentialRetrievalError", "Expired", "TokenRetrievalError", "UnauthorizedSSOTokenError"),
    }
)


def is_about_credentials(error: StoreError) -> bool:
    """Return whether other credentials may help: they expired, were replaced, or could not be refreshed.

    The response to HEAD has no code: an expired token is a bare 400.
    """
    return error.code in _REPLACEABLE or (error.code == "400" and error.operation == "HeadObject")


_HINTS: Final = {
    "InvalidAccessKeyId": "the endpoint does not know this access key id; "
    "check the credentials of the profile",
    "SignatureDoesNotMatch": "the secret key does not fit the access key id; "
    "check the credentials of the profile",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it right",
    "NoSuchBucket": "no such bucket; create it first, or check its name and the endpoint",
    "ExpiredToken": "the session token has expired; log in again",
    "InvalidToken": "the session token is not valid; log in again",
    "NoSuchUpload": "the multipart upload does not exist any more",
    "InvalidObjectState": "the object is archived; restore it first",
    "RestoreAlreadyInProgress": "the object is being restored already",
    "GlacierExpeditedRetrievalNotAvailable": "there is no room for expedited restores now; try again later, "
    "or restore with the tier standard",
}
_KINDS: Final[Mapping[str, type[StoreError]]] = {
    **dict.fromkeys(THROTTLED_CODES, ThrottledError),
    **dict.fromkeys(_UNAVAILABLE, UnavailableError),
    "NoSuchBucket": BucketNotFoundError,
    "NoSuchKey": ObjectNotFoundError,
    "NoSuchUpload": ObjectNotFoundError,
    "NoSuchVersion": ObjectNotFoundError,
    "PreconditionFailed": PreconditionFailedError,
    "ConditionalRequestConflict": PreconditionFailedError,
    "ExpiredToken": CredentialsError,
    "ExpiredTokenException": CredentialsError,
    "InvalidToken": CredentialsError,
    "TokenRefreshRequired": CredentialsError,
    "InvalidObjectState": StoreError,
    "GlacierExpeditedRetrievalNotAvailable": StoreError,
    "BadDigest": IntegrityError,
    "XAmzContentSHA256Mismatch": IntegrityError,
    "XAmzContentChecksumMismatch": IntegrityError,
}
_BY_STATUS: Final[Mapping[int, type[StoreError]]] = {
    304: NotModifiedError,
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: ObjectNotFoundError,
    408: UnavailableError,
    412: PreconditionFailedError,
    429: ThrottledError,
    500: UnavailableError,
    502: UnavailableError,
    503: ThrottledError,
    504: UnavailableError,
}
_WRONG_REGION: Final = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "IncorrectEndpoint"}
    | {"PermanentRedirect", "TemporaryRedirect", "301", "307", "308"}
)

# Requests whose bare 404 can only mean the bucket, because they are about nothing else.
_OF_BUCKET: Final = frozenset(
    {"DeleteObjects", "GetBucketVersioning", "ListMultipartUploads"}
    | {"ListObjectVersions", "ListObjects", "ListObjectsV2"}
)
# Requests for which no object has to exist: their bare 404 is the mistake of a server or a proxy.
_OF_NEW_OBJECT: Final = frozenset({"CreateMultipartUpload", "PutObject"})
_DIGEST: Final = lazy_pattern(r"[0-9a-fA-F]{40,}")
_LONGEST_MESSAGE: Final = 300

_RIGHTS: Final = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:GetObject and s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObject": "s3:GetObject",
    "GetObjectTagging": "s3:GetObjectTagging",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObject": "s3:PutObject",
    "RestoreObject": "s3:RestoreObject",
    "UploadPart": "s3:PutObject",
}
"""Operations and the actions of a policy that allow them
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html)."""


def subject(operation: str, bucket: str, key: str | None) -> str:
    """Return operation and address of a request in a line, for messages; unprintable characters escaped."""
    if not bucket:
        return operation
    return f"{operation} s3://{bucket}/{printable(key)}" if key else f"{operation} s3://{bucket}"


def error_from(operation: str, bucket: str, key: str | None, answer: ErrorAnswer) -> StoreError:
    """Return the exception for one refused request; its message contains no secret and no signature."""
    kind = _kind(operation, answer)
    explanation = _explanation(kind, answer)
    error = kind(
        f"{subject(operation, bucket, key)}: {explanation} ({printable(answer.code)})",
        operation=operation,
        bucket=bucket,
        key=key,
        code=answer.code,
        status=answer.status,
        retry_after=retry_after(answer.headers),
    )
    right = _RIGHTS.get(operation, "")
    if isinstance(error, AccessDeniedError) and error.is_by_policy and right not in explanation:
        add_reason(error, f"; this needs the right {right}")
    return error


def add_reason(error: StoreError, text: str) -> None:
    """Add a reason to a message, before the code at its end."""
    said, opening, code = error.message.rpartition(" (")
    error.message = f"{said}{text}{opening}{code}"


def _kind(operation: str, answer: ErrorAnswer) -> type[StoreError]:
    kind = _KINDS.get(answer.code) or _BY_STATUS.get(answer.status, StoreError)
    if kind is ObjectNotFoundError and answer.code not in _KINDS:
        if operation in _OF_BUCKET:
            return BucketNotFoundError
        if operation in _OF_NEW_OBJECT:
            return StoreError
    return kind


def _explanation(kind: type[StoreError], answer: ErrorAnswer) -> str:
    if answer.code in _WRONG_REGION:
        region = answer.region or answer.headers.get("x-amz-bucket-region", "")
        if region:
            return f"the bucket is in region {printable(region)}; connect with that region"
        return "the bucket is in another region or at another endpoint; connect with that one"
    if kind is BucketNotFoundError:
        return _HINTS["NoSuchBucket"]
    return _HINTS.get(answer.code) or safe_words(answer.message) or f"refused with status {answer.status}"


def safe_words(message: str) -> str:
    """Return the message of the endpoint on one line, without signatures; empty if it quotes a credential."""
    if quotes_secret(message):
        return ""
    words = _DIGEST.sub("...", printable(" ".join(message.split())))
    return words[:_LONGEST_MESSAGE].rstrip(". ")


def with_limit(message: str, largest: str) -> str:
    """Return the message of an endpoint with the largest size that it accepts, its ``MaxSizeAllowed``."""
    if not (largest.isascii() and largest.isdigit()):
        return message
    return f"at most {largest} bytes; {message}" if message else f"at most {largest} bytes"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header (a number or an HTTP date), or ``None``."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        return _seconds_until(value, headers.get("date", ""))


def _seconds_until(value: str, now: str) -> float | None:
    """Return the seconds until then by the endpoint's own clock, if the response has it."""
    try:
        return max(0.0, http_date(value) - (http_date(now) if now else time.time()))
    except ValueError:
        return None
