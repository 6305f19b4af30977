"""Maps exceptions of botocore and aiohttp to ours; only this module distinguishes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from botocore import exceptions as boto_errors
from botocore.parsers import ResponseParserError

from aios3sync.core.text import printable
from aios3sync.errors import (
    CredentialsError,
    IntegrityError,
    ListingError,
    StoreError,
    UnavailableError,
)
from aios3sync.store.s3.errors import ErrorAnswer, error_from, subject, with_limit

__all__ = ("code_of_failure", "map_errors")

_CREDENTIALS: Final = (
    boto_errors.ConfigNotFound,
    boto_errors.ConfigParseError,
    boto_errors.CredentialRetrievalError,
    boto_errors.InvalidConfigError,
    boto_errors.MetadataRetrievalError,
    boto_errors.NoAuthTokenError,
    boto_errors.NoCredentialsError,
    boto_errors.PartialCredentialsError,
    boto_errors.ProfileNotFound,
    boto_errors.RefreshWithMFAUnsupportedError,
    boto_errors.SSOError,
    boto_errors.TokenRetrievalError,
    boto_errors.UnknownCredentialError,
)
_CREDENTIAL_OPERATIONS: Final = frozenset(
    {"AssumeRole", "AssumeRoleWithWebIdentity", "CreateToken", "GetRoleCredentials"}
)
_NO_CONNECTION: Final = (
    boto_errors.ConnectTimeoutError,
    boto_errors.EndpointConnectionError,
    boto_errors.ProxyConnectionError,
)
_CUT: Final = (
    aiohttp.ClientError,
    boto_errors.HTTPClientError,
    boto_errors.IncompleteReadError,
    boto_errors.ConnectionError,
    ConnectionError,
    TimeoutError,
)


@contextmanager
def map_errors(operation: str, bucket: str, key: str | None = None) -> Iterator[None]:
    """Convert exceptions of botocore and aiohttp to ours, chained to their cause.

    Other exceptions pass: an error of our own code is no response of S3.
    """
    try:
        yield
    except boto_errors.ClientError as error:
        raise _refused(error, operation, bucket, key) from error
    except (boto_errors.BotoCoreError, ResponseParserError, UnicodeEncodeError, *_CUT) as error:
        kind, code, text = _failure(error, operation)
        message = f"{subject(operation, bucket, key)}: {text}"
        raise kind(message, operation=operation, bucket=bucket, key=key, code=code) from error


def _refused(error: boto_errors.ClientError, operation: str, bucket: str, key: str | None) -> StoreError:
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code = str(details.get("Code", "Unknown"))
    if error.operation_name in _CREDENTIAL_OPERATIONS:
        what = f"the credentials cannot be had: {error.operation_name} was refused ({printable(code)})"
        message = f"{subject(operation, bucket, key)}: {what}"
        return CredentialsError(message, operation=operation, bucket=bucket, key=key, code=code)
    answer = ErrorAnswer(
        code=code,
        status=int(metadata.get("HTTPStatusCode", 0)),
        message=with_limit(str(details.get("Message", "")), str(details.get("MaxSizeAllowed", ""))),
        headers=metadata.get("HTTPHeaders", {}),
        region=str(details.get("Region", "")),
    )
    return error_from(operation, bucket, key, answer)


def code_of_failure(error: Exception, operation: str) -> str:
    """Return the code of a request without a response; empty where nothing was sent."""
    unsent = (UnicodeEncodeError, boto_errors.ParamValidationError, *_CREDENTIALS)
    return "" if isinstance(error, unsent) else _failure(error, operation)[1]


def _failure(error: Exception, operation: str) -> tuple[type[StoreError], str, str]:
    """Return class, code and text for a request without a usable response.

    ``NoConnection`` is the code of requests that certainly were not carried out. Only texts of known
    content are repeated: an address may hold a presigned query, a proxy's may hold a password.
    """
    cause = getattr(error, "kwargs", {}).get("error")
    match error:
        case UnicodeEncodeError():
            return StoreError, "InvalidKey", "the key is not valid Unicode"
        case ResponseParserError():
            kind = ListingError if operation.startswith("List") else UnavailableError
            return kind, "InvalidAnswer", "the answer is not the XML of S3"
        case boto_errors.FlexibleChecksumError() | boto_errors.ChecksumError():
            return IntegrityError, "ChecksumMismatch", "the answer does not match its checksum"
        case boto_errors.ParamValidationError():
            return (
                StoreError,
                "InvalidRequest",
                "the request is not valid: check bucket, key and options",
            )
        case boto_errors.SSLError() if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            return (
                StoreError,
                "Certificate",
                "the certificate of the endpoint is not trusted (--ca-bundle)",
            )
        case _ if isinstance(error, _CREDENTIALS):
            return CredentialsError, type(error).__name__, printable(str(error)) + _way_out(error)
        case _ if isinstance(error, _NO_CONNECTION) and _never_sent(error, cause):
            return UnavailableError, "NoConnection", f"cannot reach the endpoint ({_reason(cause)})"
        case boto_errors.ReadTimeoutError() | TimeoutError():
            return UnavailableError, "Timeout", "no answer in time"
        case _ if isinstance(error, _CUT):
            return (
                UnavailableError,
                "ConnectionLost",
                f"the connection broke ({_reason(cause or error)})",
            )
        case _:
            return StoreError, type(error).__name__, printable(str(error))


def _never_sent(error: Exception, cause: object) -> bool:
    """Return whether no connection was made; aiobotocore reports broken connections in the same way."""
    return isinstance(error, boto_errors.ConnectTimeoutError) or isinstance(
        cause, aiohttp.ClientConnectorError
    )


def _way_out(error: Exception) -> str:
    if isinstance(error, boto_errors.NoCredentialsError):
        return (
            "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile, or send unsigned requests"
        )
    if isinstance(error, boto_errors.ProfileNotFound):
        return "; --profile or AWS_PROFILE has to name one of ~/.aws/config or ~/.aws/credentials"
    return ""


def _reason(cause: object) -> str:
    if not isinstance(cause, aiohttp.ClientConnectorError):
        return type(cause).__name__
    # asyncio words a refused connection as "Connect call failed ('127.0.0.1', 9)"; the number says it better.
    number = cause.os_error.errno or 0
    text = os.strerror(number) if number > 0 else cause.strerror or str(cause.os_error)
    return printable(f"{cause.host}:{cause.port}: {text}")
