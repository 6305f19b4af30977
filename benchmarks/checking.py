"""Checks the bucket, or the directory of a download, when the clock has stopped; only reads."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aios3sync.testing import Endpoint
from benchmarks.trees import Content, Tree

__all__ = ("Finding", "compare", "count_listed", "list_contents", "read_contents")

_PLACES: Final = 100
_PIECE: Final = 65_536


class Finding(NamedTuple):
    """The wrong objects of a bucket: missing ones, surplus ones, and those that differ from their file."""

    lost: int = 0
    surplus: int = 0
    differing: int = 0

    @property
    def is_good(self) -> bool:
        """Nothing is wrong."""
        return not any(self)

    def __str__(self) -> str:
        words = zip(("lost", "surplus", "differing"), self, strict=True)
        return ", ".join(f"{count:,} {word}" for word, count in words if count)


def list_contents(endpoint: Endpoint, bucket: str, prefix: str) -> dict[str, Content]:
    """Return the objects below ``prefix``: sizes and ETags by relative key.

    Raises:
        RuntimeError: the endpoint answered with an error.
    """
    found: dict[str, Content] = {}
    token = ""
    with closing(_connection(endpoint)) as connection:
        while True:
            page = _page(connection, endpoint, bucket, f"{prefix}/", token)
            for item in page.iterfind("{*}Contents"):
                key, size, etag = (item.findtext(f"{{*}}{name}", "") for name in ("Key", "Size", "ETag"))
                found[key.removeprefix(f"{prefix}/")] = Content(int(size), etag.strip('"'))
            token = page.findtext("{*}NextContinuationToken", "")
            if not token:
                return found


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    where = urlsplit(endpoint.url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    return kind(where.hostname or "", where.port, timeout=120)


def _page(
    connection: http.client.HTTPConnection, endpoint: Endpoint, bucket: str, prefix: str, token: str
) -> ElementTree.Element:
    """Return one page of a listing; a client that parses it into objects takes ten times as long."""
    asked = {"list-type": "2", "prefix": prefix} | ({"continuation-token": token} if token else {})
    query = urlencode(sorted(asked.items()), quote_via=quote, safe="")
    request = AWSRequest("GET", f"{endpoint.url}/{bucket}?{query}")
    S3SigV4Auth(Credentials(endpoint.access_key, endpoint.secret_key), "s3", endpoint.region).add_auth(
        request
    )
    connection.request("GET", f"/{bucket}?{query}", headers=dict(request.headers.items()))
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"the listing of the bucket failed: {response.status} {body[:200]!r}")
    return ElementTree.fromstring(body)  # noqa: S314 - an endpoint of this run


def read_contents(root: Path, tree: Tree) -> dict[str, Content]:
    """Return the files below ``root``; the MD5 of one is empty where the tree does not know it.

    The bytes of a large file are compared with those of its source in a hundred places, and a file that
    differs there has no size.
    """
    found: dict[str, Content] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            key = str(path.relative_to(root))
            known = tree.contents.get(key)
            if known is None or known.md5:
                body = path.read_bytes()
                found[key] = Content(len(body), hashlib.md5(body, usedforsecurity=False).hexdigest())
            else:
                found[key] = Content(path.stat().st_size if _same(path, tree.root / key) else -1, "")
    return found


def _same(path: Path, source: Path) -> bool:
    size = source.stat().st_size
    with path.open("rb") as mine, source.open("rb") as theirs:
        for place in range(_PLACES):
            at = (size - _PIECE) * place // (_PLACES - 1) if size > _PIECE else 0
            mine.seek(at)
            theirs.seek(at)
            if mine.read(_PIECE) != theirs.read(_PIECE):
                return False
    return True


def compare(expected: Mapping[str, Content], found: Mapping[str, Content], *, etags: bool) -> Finding:
    """Compare the bucket with the tree: sizes always, MD5s where the ETag is one."""
    common = expected.keys() & found.keys()
    differing = sum(not _equal(expected[key], found[key], etags=etags) for key in common)
    return Finding(len(expected) - len(common), len(found) - len(common), differing)


def _equal(expected: Content, found: Content, *, etags: bool) -> bool:
    if expected.size != found.size:
        return False
    comparable = etags and expected.md5 and "-" not in found.md5
    return not comparable or expected.md5 == found.md5


def count_listed(output: Path, *, is_ours: bool) -> int:
    """Return how many objects a listing had: one a line, or our own count of pages of 1000."""
    if is_ours:
        requests = json.loads(output.read_text()).get("requests", {})
        return 1000 * int(requests.get("ListObjectsV2", 0))
    with output.open("rb") as lines:
        return sum(1 for _ in lines)
