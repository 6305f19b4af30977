"""AWS Signature Version 4 for S3 requests; pure: no clock, no I/O, no botocore.

The signatures are those of botocore's ``S3SigV4Auth``: the path is signed as it is sent, and every header is
signed except those that change in transit
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable
from functools import lru_cache

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final

__all__ = (
    "EMPTY_SHA256",
    "Credentials",
    "Moment",
    "Signer",
    "canonical_query",
    "encoded",
    "moment",
)

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
"""What is never percent-encoded (RFC 3986, 2.3)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials to sign with; ``token`` is empty for long-term ones. ``repr`` shows no secret."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class Moment(NamedTuple):
    """One second, as signatures write it: ``20260206T143000Z`` and ``20260206``."""

    stamp: str
    day: str


@lru_cache(maxsize=8)
def moment(seconds: int) -> Moment:
    """Return the moment ``seconds`` after the epoch; thousands of requests share one second."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    return Moment(stamp, stamp[:8])


class Signer:
    """Signs canonical requests of one service in one region, with one set of credentials."""

    def __init__(self, credentials: Credentials, region: str, service: str = "s3") -> None:
        self.credentials = credentials
        self.region = region
        self.service = service
        self._day = ""
        self._scope = ""
        self._introduction = ""
        self._keyed = hmac.new(b"", digestmod="sha256")

    def authorization(self, canonical_request: str, signed_names: str, at: Moment) -> str:
        """Return the value of the ``Authorization`` header of one request."""
        signature = self.signature(canonical_request, at)
        return f"{self._introduction}{signed_names}, Signature={signature}"

    def signature(self, canonical_request: str, at: Moment) -> str:
        """Return the signature of one request, in hexadecimal digits."""
        if at.day != self._day:
            self._begin(at.day)
        digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        mac = self._keyed.copy()
        mac.update(f"{_ALGORITHM}\n{at.stamp}\n{self._scope}\n{digest}".encode())
        return mac.hexdigest()

    def scope(self, at: Moment) -> str:
        """Return the credential scope of that day: day, region and service."""
        return f"{at.day}/{self.region}/{self.service}/aws4_request"

    def _begin(self, day: str) -> None:
        """Derive the signing key of a day, which takes as long as four signatures."""
        key = f"AWS4{self.credentials.secret_key}".encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._keyed = hmac.new(key, digestmod="sha256")
        self._scope = f"{day}/{self.region}/{self.service}/aws4_request"
        self._introduction = (
            f"{_ALGORITHM} Credential={self.credentials.access_key}/{self._scope}, SignedHeaders="
        )
        self._day = day


def encoded(text: str) -> str:
    """Return ``text`` as one part of a query, percent-encoded as signatures demand.

    Raises:
        UnicodeEncodeError: it is not valid Unicode.
    """
    if _UNRESERVED.issuperset(text):
        return text
    return "".join(letter if letter in _UNRESERVED else _percent(letter) for letter in text)


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode())


def canonical_query(parameters: Iterable[tuple[str, str]]) -> str:
    """Return the query both as it is signed and as it is sent: encoded, then sorted."""
    pairs = sorted((encoded(name), encoded(value)) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in pairs)
