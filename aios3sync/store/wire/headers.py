"""The headers of requests: parameters of the S3 API by their names on the wire, and shapes; pure."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import md5
from typing import Any, Final

__all__ = ("InvalidRequestError", "Shape", "headers_of")

_HEADERS: Final[Mapping[str, str]] = {
    "ACL": "x-amz-acl",
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "Expires": "expires",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "RequestPayer": "x-amz-request-payer",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
}
_CUSTOMER_KEY: Final = "x-amz-server-side-encryption-customer-key"
_TOKEN: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]").search


class InvalidRequestError(ValueError):
    """A request that cannot be written down; the text says why, without any value."""


class Shape:
    """The headers that a number of requests share: constant ones, and the names of those that vary.

    Args:
        constant: names in lower case, and values.
        varying: names in lower case, sorted; a request brings their values in this order.
    """

    __slots__ = ("constant", "outline", "varying")

    def __init__(self, constant: Mapping[str, str], varying: Sequence[str]) -> None:
        for name in (*constant, *varying):
            if not _TOKEN(name):
                raise InvalidRequestError(f"{name!r} is not the name of a header")
        for name, value in constant.items():
            if _CONTROL(value):
                raise InvalidRequestError(f"the value of {name} has control characters")
        self.constant = constant
        self.varying = tuple(varying)
        # Where the signer of one bucket keeps what it worked out of this shape.
        self.outline: Any = None


def headers_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters in the names of the S3 API as headers."""
    headers = {}
    for member, value in parameters.items():
        if member == "SSECustomerKey":
            headers[_CUSTOMER_KEY] = b64encode(value).decode("ascii")
            digest = md5(value, usedforsecurity=False).digest()
            headers[f"{_CUSTOMER_KEY}-md5"] = b64encode(digest).decode("ascii")
        elif member.startswith("Checksum"):
            headers[f"x-amz-checksum-{member[8:].lower()}"] = value
        else:
            headers[_HEADERS[member]] = value
    return headers
