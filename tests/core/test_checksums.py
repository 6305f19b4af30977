"""What the checksums of an answer say: of the whole or of parts, and what is not worth anything."""

from __future__ import annotations

import base64

import pytest

from aios3sync.core.checksums import ALGORITHMS, ObjectChecksum, read_checksum

DIGESTS = {name: bytes(range(size)) for name, size in ALGORITHMS.items()}
TEXTS = {name: base64.b64encode(digest).decode() for name, digest in DIGESTS.items()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("suffix", "kind", "parts", "certain"),
    [
        ("", "", 0, False),
        ("", "FULL_OBJECT", 0, True),
        ("-3", "", 3, True),
        ("-3", "COMPOSITE", 3, True),
        ("-10000", "COMPOSITE", 10000, True),
    ],
)
def test_a_checksum_says_what_it_is_of(
    algorithm: str, suffix: str, kind: str, parts: int, certain: bool
) -> None:
    found = read_checksum({algorithm: TEXTS[algorithm] + suffix}, kind)
    assert found == ObjectChecksum(algorithm, DIGESTS[algorithm], parts, certain)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", ""),
        ("%%%%", ""),
        ("AAAA", ""),  # three bytes
        (TEXTS["sha1"], ""),
        (TEXTS["crc32"] + "-", ""),
        (TEXTS["crc32"] + "-x", ""),
        (TEXTS["crc32"] + "-123456", ""),
        (TEXTS["crc32"] + "-٣", ""),
        (TEXTS["crc32"] + "-3", "FULL_OBJECT"),
        (TEXTS["crc32"], "COMPOSITE"),
    ],
)
def test_what_cannot_be_read_is_none(text: str, kind: str) -> None:
    assert read_checksum({"crc32": text}, kind) is None


def test_the_strongest_one_counts_and_unknown_ones_do_not() -> None:
    assert read_checksum({**TEXTS, "sha512": "x"}) == ObjectChecksum("sha256", DIGESTS["sha256"])
    assert read_checksum({"crc32": TEXTS["crc32"], "sha1": "broken"}) == ObjectChecksum(
        "crc32", DIGESTS["crc32"]
    )
    assert read_checksum({"sha512": "x"}) is None
