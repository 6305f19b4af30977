"""Presigned URLs by the thousand; pure: no clock, no I/O, no botocore.

The URLs are those of botocore's ``S3SigV4QueryAuth`` for the same address: only the host is signed, the
body is not (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html). All that is the
same for the URLs of one moment is written once.
"""

from __future__ import annotations

from aios3sync.store.wire.boto_config import Address
from aios3sync.store.wire.requests import object_path
from aios3sync.store.wire.sigv4 import Moment, Signer, encoded

__all__ = ("UrlSigner",)


class UrlSigner:
    """Presigns for one bucket, one method, one moment and one lifetime.

    Args:
        signer: signs them; the token of temporary credentials goes along in the URL.
        address: of the bucket.
        method: what the URL may be used for.
        expires: whole seconds.
        at: from when on.
        payer: ``requester`` where the requester pays, else empty.
    """

    def __init__(
        self, signer: Signer, address: Address, method: str, expires: int, at: Moment, *, payer: str = ""
    ) -> None:
        identity = encoded(f"{signer.credentials.access_key}/{signer.scope(at)}")
        dated = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={identity}"
            f"&X-Amz-Date={at.stamp}&X-Amz-Expires={expires}"
        )
        names = "&X-Amz-SignedHeaders=host"
        token = signer.credentials.token and f"&X-Amz-Security-Token={encoded(signer.credentials.token)}"
        paid = payer and f"x-amz-request-payer={encoded(payer)}"
        # Sent as botocore writes it, signed in the order of the names: lower case comes last.
        canonical = f"{dated}{token}{names}{paid and '&'}{paid}"
        self._signer = signer
        self._at = at
        self._origin = f"{'https' if address.secure else 'http'}://{address.authority}"
        self._root = address.root
        self._query = f"?{paid}{paid and '&'}{dated}{names}{token}&X-Amz-Signature="
        self._method = f"{method}\n"
        self._rest = f"\n{canonical}\nhost:{address.authority}\n\nhost\nUNSIGNED-PAYLOAD"

    def url(self, key: str) -> str:
        """The URL of one key.

        Raises:
            InvalidRequestError: the key is empty or not Unicode.
        """
        path = self._root + object_path(key)
        signature = self._signer.signature(f"{self._method}{path}{self._rest}", self._at)
        return f"{self._origin}{path}{self._query}{signature}"
