"""Microbenchmarks of the S3 side: signatures, and parsing pages of a listing; no sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.parsers import create_parser
from botocore.session import Session

from aios3sync.store.boto.results import list_page

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

_ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-11-02T03:04:05.678Z</LastModified><ETag>&quot;{}&quot;</ETag>"
    "<Size>4096</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_SIGNED = "content-md5;host;x-amz-content-sha256;x-amz-date;x-amz-meta-mtime"


@pytest.fixture(scope="session")
def page(keys: list[str]) -> bytes:
    """The last page of a listing: 1000 keys, as a server writes them."""
    entries = "".join(_ENTRY.format(key, "0" * 32) for key in keys[:1000])
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
        "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        f"{entries}</ListBucketResult>"
    ).encode()


def test_listing_boto(benchmark: BenchmarkFixture, page: bytes, keys: list[str]) -> None:
    """One page through botocore's parser."""
    shape = Session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
    parser = create_parser("rest-xml")

    def work() -> Any:
        return list_page(parser.parse({"body": page, "headers": {}, "status_code": 200}, shape), None)

    assert [entry.key for entry in benchmark(work).entries] == keys[:1000]


def test_listing_wire(benchmark: BenchmarkFixture, page: bytes, keys: list[str]) -> None:
    """One page through our own parser."""
    listings = pytest.importorskip("aios3sync.store.wire.list_xml")
    assert [entry.key for entry in benchmark(listings.list_page, page, None).entries] == keys[:1000]


def test_signing(benchmark: BenchmarkFixture, keys: list[str]) -> None:
    """The signature of a small PUT, for every key."""
    sigv4 = pytest.importorskip("aios3sync.store.wire.sigv4")
    signer = sigv4.Signer(sigv4.Credentials("access", "secret"), "us-east-1")
    at = sigv4.moment(1_800_000_000)
    values = ("0" * 24, "bucket.s3.amazonaws.com", "0" * 64, at.stamp, "1.5")
    lines = (f"{name}:{value}" for name, value in zip(_SIGNED.split(";"), values, strict=True))
    tail = "\n".join(["", "", *lines, "", _SIGNED, "0" * 64])

    def work() -> set[str]:
        return {signer.authorization(f"PUT\n/{key}{tail}", _SIGNED, at) for key in keys}

    assert len(benchmark(work)) == len(keys)
