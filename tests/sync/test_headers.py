"""The headers of uploads: types, charsets, metadata; and deterministic gzip."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync import SyncOptions
from aios3sync.core.entries import SourceEntry
from aios3sync.local.compress import GzipWriter, compress
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.transfers.headers import HeaderPlan

ENTRY = SourceEntry("d/a.txt", 5, 1_700_000_000_000_000_001, 0, 1)


@pytest.mark.parametrize(
    ("charset", "key", "utf8", "expected"),
    [
        ("auto", "a.txt", True, "text/plain; charset=utf-8"),
        ("auto", "a.txt", None, "text/plain; charset=utf-8"),
        ("auto", "a.txt", False, "text/plain"),
        ("auto", "a.js", True, "text/javascript; charset=utf-8"),
        ("auto", "a.json", True, "application/json"),
        ("auto", "a.svg", True, "image/svg+xml"),
        ("auto", "a.bin", True, "application/octet-stream"),
        ("utf-8", "a.txt", None, "text/plain; charset=utf-8"),
        ("utf-8", "a.txt", False, "text/plain; charset=utf-8"),
        ("utf-8", "a.json", True, "application/json"),
        ("none", "a.txt", True, "text/plain"),
    ],
)
def test_a_guessed_type_of_text_names_its_charset(
    charset: Any, key: str, utf8: bool | None, expected: str
) -> None:
    plan = HeaderPlan.of(SyncOptions(charset=charset))
    assert plan.type_of(key, utf8=utf8) == expected
    assert plan.for_upload(ENTRY._replace(key=key), utf8=utf8).content_type == expected
    assert plan.detects_charset(key) == (charset == "auto" and expected.startswith("text/"))


def test_a_given_type_is_sent_as_it_is() -> None:
    plan = HeaderPlan.of(SyncOptions(content_type="text/html"))
    assert plan.type_of("a.txt", utf8=True) == "text/html"
    assert not plan.detects_charset("a.txt")
    plan = HeaderPlan.of(SyncOptions(header_for=("*.txt:content-type=text/x-log",)))
    assert plan.type_of("a.txt", utf8=True) == "text/x-log"
    assert not plan.detects_charset("a.txt")


@pytest.mark.parametrize("charset", ["auto", "utf-8", "none"])
def test_a_charset_asks_for_no_update_of_existing_objects(charset: Any) -> None:
    assert not HeaderPlan.of(SyncOptions(charset=charset)).sets_headers


@given(st.binary(max_size=2000))
def test_gzip_is_valid_and_deterministic(body: bytes) -> None:
    packed = compress(body)
    assert gzip.decompress(packed) == body
    assert packed == compress(body)
    assert packed[4:8] == bytes(4), "no time in the header"


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_compressing_in_chunks_returns_digest_and_size(chunks: list[bytes]) -> None:
    file = io.BytesIO()
    writer = GzipWriter(file)
    for chunk in chunks:
        writer.write(chunk)
    md5, size = writer.finish()
    assert gzip.decompress(file.getvalue()) == b"".join(chunks)
    assert (md5, size) == (
        hashlib.md5(file.getvalue(), usedforsecurity=False).hexdigest(),
        len(file.getvalue()),
    )


def test_all_options_are_sent() -> None:
    options = SyncOptions(
        cache_control="max-age=60",
        content_disposition="inline",
        content_language="de",
        expires="Thu, 01 Jan 2026 00:00:00 GMT",
        metadata={"team": "vision"},
        storage_class="STANDARD_IA",
        sse="aws:kms",
        sse_kms_key_id="key",
        acl="private",
        tags={"a": "b"},
        request_payer=True,
        checksum="sha256",
    )
    sent = HeaderPlan.of(options).for_upload(ENTRY)
    assert sent == PutOptions(
        content_type="text/plain; charset=utf-8",
        cache_control="max-age=60",
        content_disposition="inline",
        content_language="de",
        expires="Thu, 01 Jan 2026 00:00:00 GMT",
        metadata={"team": "vision", "mtime": "1700000000.000000001"},
        storage_class="STANDARD_IA",
        sse="aws:kms",
        sse_kms_key_id="key",
        acl="private",
        tags={"a": "b"},
        request_payer="requester",
        checksum="sha256",
    )


def test_digests_go_into_metadata_where_the_etag_proves_nothing() -> None:
    plan = HeaderPlan.of(SyncOptions())
    digest = hashlib.md5(b"hello", usedforsecurity=False)
    plain = plan.for_upload(ENTRY, stored_md5=digest.hexdigest())
    assert plain.metadata["md5chksum"] == base64.b64encode(digest.digest()).decode()
    packed = plan.for_upload(ENTRY, encoding="gzip", original_md5=digest.hexdigest())
    assert packed.content_encoding == "gzip"
    assert packed.metadata["aios3sync-md5"] == digest.hexdigest()
    assert packed.metadata["aios3sync-size"] == "5"
    assert "md5chksum" not in packed.metadata, "it would describe other bytes than the stored ones"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SyncOptions(content_type="x/y"), "x/y"),
        (SyncOptions(guess_content_type=False), ""),
        (SyncOptions(guess_content_type=False, content_type="x/y"), "x/y"),
    ],
)
def test_the_type_can_be_given_or_left_to_the_endpoint(options: SyncOptions, expected: str) -> None:
    assert HeaderPlan.of(options).for_upload(ENTRY).content_type == expected


def test_single_keys_can_have_headers_of_their_own() -> None:
    overrides = {"d/a.txt": PutOptions(content_type="text/x-caption", metadata={"id": "7"})}
    plan = HeaderPlan.of(SyncOptions(metadata={"team": "vision"}), overrides)
    sent = plan.for_upload(ENTRY)
    assert sent.content_type == "text/x-caption"
    assert sent.metadata == {"team": "vision", "id": "7", "mtime": "1700000000.000000001"}
    assert plan.for_upload(ENTRY._replace(key="b.txt")).content_type == "text/plain; charset=utf-8"
