"""Decides whether bodies of parts are signed: always over plain HTTP, not over TLS, like the AWS SDKs.

The SHA-256 of a body costs half as much as its MD5, and over TLS it adds little: the body cannot be changed
in transit, and the signature covers ``Content-MD5``, which the endpoint checks.
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Unsigned payload option")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, TypeVar

from anyio import to_thread

from aios3sync.errors import StoreError
from aios3sync.store.protocol import Body

__all__ = ("UNSIGNED_PAYLOAD", "PayloadSigning")

T = TypeVar("T")

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_REFUSALS: Final = frozenset(
    {"AccessDenied", "InvalidRequest", "NotImplemented", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"}
)
"""Codes of an endpoint that does not know unsigned bodies, or of a bucket whose policy forbids them (the
condition ``s3:x-amz-content-sha256``)."""


class PayloadSigning:
    """Sends the bodies of one bucket, unsigned while that is safe and accepted.

    Attributes:
        required: whether a body was refused without a signature, and accepted with one.
    """

    def __init__(self) -> None:
        self.required = False

    async def send(self, body: Body, put: Callable[[str], Awaitable[T]], *, protected: bool) -> T:
        """Send a body with ``put``, and again if it may have been refused for lack of a signature.

        Args:
            body: has a signed Content-MD5.
            put: sends it, with the SHA-256 of the body in hexadecimal, or what is signed instead of it.
            protected: whether it cannot be changed in transit.

        Raises:
            StoreError: the error for the signed body, where both were refused.
        """
        if self.required or not protected:
            return await put(await _sha256(body))
        try:
            return await put(UNSIGNED_PAYLOAD)
        except StoreError as error:
            if error.code not in _REFUSALS:
                raise
        result = await put(await _sha256(body))
        self.required = True
        return result


async def _sha256(body: Body) -> str:
    return (await to_thread.run_sync(sha256, body)).hexdigest()
