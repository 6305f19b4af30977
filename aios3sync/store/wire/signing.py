"""Signs the heads of requests and presigns URLs; heads are returned as the bytes that are sent; pure.

A head costs as much time as the rest of a small request. So what is the same for many requests is computed
once: per template of headers, per second, per day.
"""

from __future__ import annotations

import sys

from aios3sync._typing import Final
from aios3sync._version import __version__
from aios3sync.store.s3.addresses import BucketAddress
from aios3sync.store.wire.requests import HeaderTemplate, HttpRequest, object_path
from aios3sync.store.wire.sigv4 import Moment, Signer, encoded

__all__ = (
    "USER_AGENT",
    "HeadWriter",
    "UrlSigner",
)

USER_AGENT: Final = f"aios3sync/{__version__} python/{'.'.join(map(str, sys.version_info[:3]))}"
_WITH_LENGTH: Final = frozenset({"POST", "PUT"})


class _SignedBlock:
    """The block of signed headers of one template, with ``%s`` where a value varies."""

    __slots__ = ("_date", "_lines", "dated", "names", "stamp", "writer")

    def __init__(self, writer: HeadWriter, template: HeaderTemplate) -> None:
        values = {
            name: value.replace("%", "%%") for name, value in ({**template.constant, **writer.own}).items()
        }
        values |= dict.fromkeys(template.varying, "%s")
        values["x-amz-date"] = ""
        names = sorted(values)
        self.writer = writer
        self.names = ";".join(names)
        self.stamp = self.dated = ""
        self._lines = [f"{name.replace('%', '%%')}:{values[name]}\n" for name in names]
        self._date = names.index("x-amz-date")

    def date(self, stamp: str) -> None:
        """Insert another second: thousands of requests share it."""
        self._lines[self._date] = f"x-amz-date:{stamp}\n"
        self.dated = "".join(self._lines)
        self.stamp = stamp


class HeadWriter:
    """Writes and signs heads for one address with one set of credentials.

    Args:
        signer: signs them.
        authority: the value of ``Host``.
        root: the path that the keys of the bucket are appended to; ends in ``/``.
        user_agent: of the client.
    """

    def __init__(self, signer: Signer, authority: str, root: str, user_agent: str) -> None:
        self.signer = signer
        self.user_agent = user_agent
        self.own = {"host": authority}
        if signer.credentials.token:
            self.own["x-amz-security-token"] = signer.credentials.token
        self._root = root
        self._bucket = root.rstrip("/") or "/"
        self._tail = f"user-agent: {user_agent}\r\n\r\n"

    def head(self, request: HttpRequest, at: Moment) -> bytes:
        """Return everything of a request except its body."""
        signed_block: _SignedBlock | None = request.template.signed_block
        if signed_block is None or signed_block.writer is not self:
            signed_block = request.template.signed_block = _SignedBlock(self, request.template)
        if signed_block.stamp != at.stamp:
            signed_block.date(at.stamp)
        block = sent = signed_block.dated % request.values
        if "  " in block or ": " in block or " \n" in block or "\t" in block or not block.isascii():
            sent, block = _trimmed(block), _folded(block)
        method, names, query = request.method, signed_block.names, request.query
        target = self._root + request.path if request.path else self._bucket
        authorization = self.signer.authorization(
            f"{method}\n{target}\n{query}\n{block}\n{names}\n{request.sha256}", names, at
        )
        if query:
            target = f"{target}?{query}"
        sent = sent.replace("\n", "\r\n")
        length = f"content-length: {len(request.body)}\r\n" if method in _WITH_LENGTH else ""
        return (
            f"{method} {target} HTTP/1.1\r\n{sent}authorization: {authorization}\r\n{length}{self._tail}"
        ).encode()


def _folded(block: str) -> str:
    """Return the block as it is signed: runs of white space are one space."""
    lines = (line.partition(":") for line in block.split("\n")[:-1])
    return "".join(f"{name}:{' '.join(value.split())}\n" for name, _, value in lines)


def _trimmed(block: str) -> str:
    """Return the block as it is sent: white space inside a value stays, as it is part of the value."""
    lines = (line.partition(":") for line in block.split("\n")[:-1])
    return "".join(f"{name}:{value.strip()}\n" for name, _, value in lines)


class UrlSigner:
    """Presigns for one bucket, one method, one moment and one lifetime.

    Args:
        signer: signs them; the token of temporary credentials becomes part of the URL.
        address: of the bucket.
        method: what the URL may be used for.
        expires: whole seconds.
        at: the beginning of the lifetime.
        payer: ``requester`` where the requester pays, else empty.
    """

    def __init__(
        self,
        signer: Signer,
        address: BucketAddress,
        method: str,
        expires: int,
        at: Moment,
        *,
        payer: str = "",
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
        """Return the URL of one key.

        Raises:
            InvalidRequestError: the key is empty or not Unicode.
        """
        path = self._root + object_path(key)
        signature = self._signer.signature(f"{self._method}{path}{self._rest}", self._at)
        return f"{self._origin}{path}{self._query}{signature}"
