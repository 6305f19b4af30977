"""Which bytes are accepted as those of an object, and what its file holds."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest

from aios3sync.core.etag import multipart_etag
from aios3sync.core.metadata import rclone_md5
from aios3sync.local.compress import compress
from aios3sync.store.protocol import HeadResult
from aios3sync.sync.transfers.received import Original, WrongBytesError, content_of, decompressed, original_of

BODY = b"some content\n"
MD5 = hashlib.md5(BODY).hexdigest()  # noqa: S324
OTHER = hashlib.md5(b"other").hexdigest()  # noqa: S324
MIB = 2**20


def head(etag: str = MD5, metadata: dict[str, str] | None = None, **facts: Any) -> HeadResult:
    return HeadResult(len(BODY), etag, 0.0, metadata or {}, **facts)


def of_parts(body: bytes, size: int) -> str:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return multipart_etag(hashlib.md5(part).digest() for part in parts)  # noqa: S324


OF_ONE_PART = of_parts(BODY, MIB)


@pytest.mark.parametrize(
    ("facts", "opaque"),
    [
        (head(), False),
        (head(MD5.upper()), False),
        (head(OF_ONE_PART), False),
        (head(OTHER), True),
        (head(OTHER, encryption="aws:kms"), False),
        (head(OTHER, encryption="aws:kms", metadata={"md5chksum": rclone_md5(MD5)}), False),
        (head(OTHER, metadata={"md5chksum": rclone_md5(MD5)}), False),
        (head(MD5, metadata={"md5chksum": rclone_md5(OTHER)}), False),
        (head(""), False),
        (head("odd"), False),
        (head("odd", metadata={"s3cmd-attrs": f"md5:{MD5}"}), False),
        (head("odd", metadata={"aios3sync-md5": MD5, "aios3sync-size": "13"}), False),
        (head(f"{OTHER}-1"), False),
    ],
)
def test_bytes_that_are_accepted(facts: HeadResult, opaque: bool) -> None:
    content = content_of(BODY, facts, len(BODY), opaque=opaque)
    assert (content.body, content.md5, content.encoding) == (BODY, MD5, "")


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (head(OTHER), f"their MD5 is {MD5}, the ETag {OTHER}"),
        (head(OTHER, encryption="AES256"), "the ETag"),
        (head(OTHER, metadata={"md5chksum": rclone_md5(OTHER)}), "the ETag"),
        (head("odd", metadata={"md5chksum": rclone_md5(OTHER)}), f"that in the metadata {OTHER}"),
        (head(OTHER, encryption="aws:kms", metadata={"aios3sync-md5": OTHER}), "in the metadata"),
        (head(f"{OTHER}-1", metadata={"md5chksum": rclone_md5(OTHER)}), "in the metadata"),
    ],
)
def test_bytes_that_are_refused(facts: HeadResult, text: str) -> None:
    with pytest.raises(WrongBytesError, match=text):
        content_of(BODY, facts, len(BODY))


@pytest.mark.parametrize("size", [0, len(BODY) - 1, len(BODY) + 1])
def test_another_number_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(WrongBytesError, match=f"13 bytes came instead of {size}"):
        content_of(BODY, head("odd"), size)


def test_parts_are_found_by_their_number() -> None:
    body = bytes(range(256)) * (6 * 4096)  # 6 MiB
    assert content_of(body, head(of_parts(body, 5 * MIB)), len(body)).part_size == 5 * MIB
    assert content_of(body, head(of_parts(body, 4 * MIB)), len(body)).part_size == 0  # accepted unproved


def ours(body: bytes, *, size: int | None = None, md5: str = "", encoding: str = "gzip") -> HeadResult:
    stored = compress(body)
    metadata = {
        "aios3sync-md5": md5 or hashlib.md5(body).hexdigest(),  # noqa: S324
        "aios3sync-size": str(len(body) if size is None else size),
    }
    etag = hashlib.md5(stored).hexdigest()  # noqa: S324
    return HeadResult(len(stored), etag, 0.0, metadata, content_encoding=encoding)


def test_what_we_compressed_is_decompressed() -> None:
    body, facts = BODY * 100, ours(BODY * 100)
    stored = compress(body)
    content = content_of(stored, facts, len(stored))
    assert content[:4] == (body, hashlib.md5(body).hexdigest(), "gzip", 0)  # noqa: S324
    kept = content_of(stored, facts, len(stored), decode=False)
    assert kept[:4] == (stored, hashlib.md5(stored).hexdigest(), "", 0)  # noqa: S324


@pytest.mark.parametrize("encoding", ["", "br", "gzip,br", "aws-chunked"])
def test_what_has_another_encoding_stays_as_it_is(encoding: str) -> None:
    stored = compress(BODY)
    assert content_of(stored, ours(BODY, encoding=encoding), len(stored)).body == stored


@pytest.mark.parametrize("size", ["", "x", "-1", "1e3", "\u0663", "9" * 16])
def test_what_has_no_usable_size_is_not_ours(size: str) -> None:
    facts = ours(BODY)
    assert original_of(facts._replace(metadata={**facts.metadata, "aios3sync-size": size})) is None


def test_a_bomb_is_not_decompressed_beyond_what_was_promised() -> None:
    bomb = compress(bytes(64 * MIB))
    pieces = decompressed([bomb], Original(3 * MIB, OTHER))
    seen: list[int] = []
    with pytest.raises(WrongBytesError, match="more than the 3145728 bytes promised"):
        seen.extend(map(len, pieces))
    assert sum(seen) <= 3 * MIB


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"no gzip",
        compress(BODY)[:-1],
        compress(BODY)[:-8],
        compress(BODY[1:]),
        compress(b""),
        zlib.compress(BODY),
    ],
)
def test_damaged_gzip_is_refused(stored: bytes) -> None:
    with pytest.raises(WrongBytesError):
        list(decompressed([stored], Original(len(BODY), MD5)))


def test_decompressed_chunks_may_be_cut_anywhere() -> None:
    body = bytes(range(256)) * 5000
    stored = compress(body)
    chunks = iter([stored[at : at + 7] for at in range(0, len(stored), 7)])
    wanted = Original(len(body), hashlib.md5(body).hexdigest())  # noqa: S324
    assert b"".join(decompressed(chunks, wanted)) == body
