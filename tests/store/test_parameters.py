"""What PutOptions may say, and the checksums of bodies."""

from __future__ import annotations

import sys

import pytest

from aios3sync.errors import UsageError
from aios3sync.local.checksum import find_crc
from aios3sync.store.protocol import PutOptions
from aios3sync.store.s3.parameters import copy_parameters, multipart_parameters, payload_checksum


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("", {}),
        ("crc32", {"ChecksumCRC32": "NSRBwg=="}),
        ("sha1", {"ChecksumSHA1": "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="}),
        ("sha256", {"ChecksumSHA256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="}),
    ],
)
def test_checksums_of_abc(algorithm: str, expected: dict[str, str]) -> None:
    assert payload_checksum(algorithm, b"abc") == expected


@pytest.mark.parametrize("algorithm", ["crc32c", "crc64nvme"])
def test_checksums_that_take_a_package_name_it(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("anycrc", "awscrt.checksums"):
        monkeypatch.setitem(sys.modules, package, None)
    find_crc.cache_clear()
    with pytest.raises(UsageError, match="pip install anycrc"):
        payload_checksum(algorithm, b"abc")
    find_crc.cache_clear()


def test_an_unknown_checksum_is_refused() -> None:
    with pytest.raises(UsageError, match="md4"):
        payload_checksum("md4", b"abc")


def test_a_copy_keeps_or_replaces_everything() -> None:
    assert copy_parameters(None) == {"MetadataDirective": "COPY"}
    assert copy_parameters(PutOptions(content_type="a/b", tags={"a": "b"})) == {
        "ContentType": "a/b",
        "Tagging": "a=b",
        "MetadataDirective": "REPLACE",
        "TaggingDirective": "REPLACE",
    }


def test_an_upload_names_its_checksum_and_no_condition() -> None:
    options = PutOptions(checksum="crc64nvme", if_none_match=True)
    assert multipart_parameters(options) == {"ChecksumAlgorithm": "CRC64NVME"}


@pytest.mark.parametrize("metadata", [{"a": "é"}, {"é": "a"}, {"a": "line\nfeed"}])
def test_metadata_is_printable_ascii(metadata: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="ASCII"):
        PutOptions(metadata=metadata)


def test_a_customer_key_has_32_bytes_and_is_not_shown() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        PutOptions(sse_customer_key=b"short")
    assert "zzzz" not in repr(PutOptions(sse_customer_key=b"z" * 32))
