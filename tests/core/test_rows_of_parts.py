"""Rows without an MD5: downloads that the digests of their parts proved. The ETag is compared instead."""

from __future__ import annotations

import pytest

from aios3sync.core.actions import CompareDigest, Keep, Reason, Touch, Upload
from aios3sync.core.decision import Evidence, needs_head, settle
from aios3sync.core.download_decision import settle_download
from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
from aios3sync.core.policy import Policy

MD5 = "0cc175b9c0f1b6a831c399e269772661"
PARTS = "4a8a08f09d37b73795649038408b5f33-3"
OTHER_PARTS = "b2f5ff47436671b6e533d8dc3614845d-3"
FILE = SourceEntry("a", 20, 1, 2, 3)
ROW = RecordedEntry(*FILE, "", PARTS, 8, settled=True)
TOUCHED = FILE._replace(mtime_ns=9)


@pytest.mark.parametrize(
    ("file", "etags", "expected"),
    [
        (FILE, {8: PARTS}, Keep()),
        (FILE, {5: OTHER_PARTS, 8: PARTS.upper()}, Keep()),
        (TOUCHED, {8: PARTS}, Touch(TOUCHED, ROW._replace(md5=MD5))),
        (FILE, {8: OTHER_PARTS}, Upload(FILE, Reason.CONTENT, MD5, PARTS)),
        (TOUCHED, {8: OTHER_PARTS}, Upload(TOUCHED, Reason.CONTENT, MD5, PARTS)),
        (FILE, {}, Upload(FILE, Reason.CONTENT, MD5, PARTS)),
    ],
)
def test_an_upload_compares_the_parts(file: SourceEntry, etags: dict[int, str], expected: object) -> None:
    compare, evidence = CompareDigest(file, ROW, None), Evidence(MD5, etags)
    assert settle(compare, evidence, Policy()) == expected
    assert not needs_head(compare, evidence, Policy())


def test_an_etag_of_the_whole_is_compared_with_the_md5() -> None:
    compare = CompareDigest(TOUCHED, ROW._replace(etag=MD5), None)
    assert settle(compare, Evidence(MD5), Policy()) == Touch(TOUCHED, ROW._replace(etag=MD5, md5=MD5))


def test_a_row_without_any_digest_proves_nothing() -> None:
    compare = CompareDigest(FILE, ROW._replace(etag=""), None)
    assert settle(compare, Evidence(MD5), Policy()) == Upload(FILE, Reason.CONTENT, MD5)


def test_a_compressed_object_is_not_compared_with_the_file() -> None:
    compare = CompareDigest(FILE, ROW._replace(encoding="gzip"), None)
    assert settle(compare, Evidence(MD5, {8: PARTS}), Policy()) == Upload(FILE, Reason.CONTENT, MD5, PARTS)


def test_a_download_records_the_md5_that_it_computed() -> None:
    compare = CompareDigest(TOUCHED, ROW, TargetEntry("a", 20, PARTS))
    expected = Touch(TOUCHED, ROW._replace(md5=MD5))
    assert settle_download(compare, Evidence(MD5, {8: PARTS}), Policy()) == expected
