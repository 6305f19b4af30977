"""What ETag and metadata prove of an object's content; what they dispute is for the bytes to settle."""

from __future__ import annotations

import gzip
import hashlib
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.content import BodyDigest, has_content, is_gzip
from aios3sync.core.etag import multipart_etag
from aios3sync.core.metadata import rclone_md5


def md5_of(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


FILE, OTHER, THIRD = md5_of(b"file"), md5_of(b"other"), md5_of(b"third")
ETAGS = {"file": FILE, "other": OTHER, "parts": f"{OTHER}-2", "nothing": "no-digest", "empty": ""} | {
    "one part": multipart_etag([bytes.fromhex(FILE)]),
    "one other part": multipart_etag([bytes.fromhex(OTHER)]),
}
OTHERS, SILENT = ("other", "one other part"), ("parts", "nothing", "empty")
METADATA = {
    "none": {},
    "ours": {"aios3sync-md5": FILE},
    "ours, other": {"aios3sync-md5": OTHER},
    "rclone": {"md5chksum": rclone_md5(FILE)},
    "rclone, other": {"md5chksum": rclone_md5(OTHER)},
    "rclone, third": {"md5chksum": rclone_md5(THIRD)},
    "s3cmd": {"s3cmd-attrs": f"uid:0/md5:{FILE}/mode:33188"},
}
CLAIMED = ("ours", "rclone", "s3cmd")


@pytest.mark.parametrize(("etag", "digest"), [*product(OTHERS, METADATA)])
def test_metadata_never_makes_an_object_equal_against_the_etag_of_its_body(etag: str, digest: str) -> None:
    assert has_content(FILE, ETAGS[etag], METADATA[digest]) in (False, None)


@pytest.mark.parametrize(
    ("etag", "digest", "answer"),
    [
        *((etag, digest, True) for etag, digest in product(("file", "one part"), METADATA)),
        *((etag, digest, None) for etag, digest in product(OTHERS, CLAIMED)),
        *((etag, digest, False) for etag, digest in product(OTHERS, ("none", "rclone, third"))),
        *((etag, digest, True) for etag, digest in product(SILENT, CLAIMED)),
        *((etag, digest, False) for etag, digest in product(SILENT, ("rclone, other",))),
        *((etag, "none", None) for etag in SILENT),
    ],
)
def test_bodies_as_they_are(etag: str, digest: str, *, answer: bool | None) -> None:
    assert has_content(FILE, ETAGS[etag], METADATA[digest]) is answer


@pytest.mark.parametrize(("etag", "digest"), [*product(ETAGS, METADATA)])
def test_an_opaque_etag_proves_and_disputes_nothing(etag: str, digest: str) -> None:
    expected = {"none": None, "ours": True, "rclone": True, "s3cmd": True}.get(digest, False)
    assert has_content(FILE, ETAGS[etag], METADATA[digest], opaque=True) is expected


@pytest.mark.parametrize(
    ("etag", "digest", "answer"),
    [
        *((etag, "ours", True) for etag in ETAGS),
        *((etag, "ours, other", False) for etag in ETAGS),
        *(
            (etag, digest, None)
            for etag, digest in product(ETAGS, ("none", "rclone, other", "rclone, third"))
        ),
        *((etag, digest, None) for etag, digest in product(OTHERS, ("rclone", "s3cmd"))),
        *(
            (etag, digest, True)
            for etag, digest in product(("file", "parts", "nothing"), ("rclone", "s3cmd"))
        ),
    ],
)
def test_compressed_bodies(etag: str, digest: str, *, answer: bool | None) -> None:
    """The ETag is of the compressed body; only our own metadata is of the original."""
    assert has_content(FILE, ETAGS[etag], METADATA[digest], gzip=True) is answer


@pytest.mark.parametrize(
    ("encoding", "answer"), [("gzip", True), ("GZip", True), (" x-gzip", True), ("br", False), ("", False)]
)
def test_what_content_encoding_says(encoding: str, *, answer: bool) -> None:
    assert is_gzip(encoding) is answer


def digest_of(body: bytes, most: int = 100, cut: int = 1 << 20) -> BodyDigest:
    digest = BodyDigest(gzip=True, most=most)
    for place in range(0, len(body), cut):
        digest.update(body[place : place + cut])
    digest.end()
    return digest


@given(
    members=st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    zeros=st.integers(0, 9),
    cut=st.integers(1, 30),
)
def test_all_members_of_a_gzip_body_count(members: list[bytes], zeros: int, cut: int) -> None:
    content = b"".join(members)
    digest = digest_of(b"".join(map(gzip.compress, members)) + bytes(zeros), len(content), cut)
    assert (digest.holds(md5_of(content)), digest.problem) == (True, "")
    assert not digest.holds(md5_of(content + b"x"))


@given(content=st.binary(min_size=1, max_size=200), cut=st.integers(1, 60))
def test_a_body_that_is_not_the_gzip_it_is_said_to_be_holds_itself_alone(content: bytes, cut: int) -> None:
    whole = gzip.compress(content)
    for body, problem in [
        (b"plain" + content, "is not gzip"),
        (whole[:-1], "breaks off"),
        (whole + b"garbage", "is not gzip"),
        (whole[:-8] + bytes(8), "is not gzip"),
        (b"", "is empty"),
    ]:
        digest = digest_of(body, 200, cut)
        assert (digest.holds(md5_of(body)), digest.holds(md5_of(content))) == (True, False)
        assert digest.problem == problem


def test_a_body_that_holds_too_much_is_not_inflated_to_its_end() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    digest = digest_of(bomb, most=10)
    assert digest._size <= 2 * 1024 * 1024
    assert not digest.holds(md5_of(bytes(50_000_000)))
    assert digest.holds(md5_of(bomb))
