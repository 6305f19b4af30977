"""Locations and keys: literal, opaque, by directory boundary; what can be no key says why."""

from __future__ import annotations

import unicodedata
import xml.parsers.expat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.keys import (
    MAX_KEY_BYTES,
    Location,
    escaped,
    fits_xml,
    key_problem,
    nfc,
    parse_address,
    stored_form,
    unescaped,
)
from aios3sync.errors import UsageError

laws = settings(deadline=None, derandomize=True, max_examples=150)

ACCESS_POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint"
OUTPOST = "arn:aws:s3-outposts:us-west-2:123456789012:outpost"


# Locations


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket/path", "bucket", "path/"),
        ("s3://bucket/path/", "bucket", "path/"),
        ("s3://bucket/a/b", "bucket", "a/b/"),
        ("s3://bucket//", "bucket", "/"),
        ("s3://bucket//a", "bucket", "/a/"),
        ("s3://bucket/a//", "bucket", "a//"),
        ("s3://bucket/a/../b", "bucket", "a/../b/"),
        ("s3://bucket/./", "bucket", "./"),
        ("s3://bucket/a#b?c=%2F&d+e f", "bucket", "a#b?c=%2F&d+e f/"),
        ("s3://bucket/ü\U0001f600", "bucket", "ü\U0001f600/"),
        ("s3://bucket/s3://other", "bucket", "s3://other/"),
        ("s3://my.bucket-1", "my.bucket-1", ""),
        ("s3://Old_Bucket/x", "Old_Bucket", "x/"),
        ("s3://name-ap-abc123-s3alias/x", "name-ap-abc123-s3alias", "x/"),
        ("s3://bucket--usw2-az1--x-s3/x", "bucket--usw2-az1--x-s3", "x/"),
        ("s3://arn:aws:s3:::plain/x", "arn:aws:s3:::plain", "x/"),
        (f"s3://{ACCESS_POINT}/name", f"{ACCESS_POINT}/name", ""),
        (f"s3://{ACCESS_POINT}/name/p/q", f"{ACCESS_POINT}/name", "p/q/"),
        (f"s3://{ACCESS_POINT}:name/p", f"{ACCESS_POINT}:name", "p/"),
        (f"s3://{ACCESS_POINT}:bucket/p", f"{ACCESS_POINT}:bucket", "p/"),
        (f"s3://{ACCESS_POINT}/bucket/p", f"{ACCESS_POINT}/bucket", "p/"),
        (
            "s3://arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap/p",
            "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
            "p/",
        ),
        (f"s3://{OUTPOST}/op-01ac/accesspoint/name/p", f"{OUTPOST}/op-01ac/accesspoint/name", "p/"),
        (f"s3://{OUTPOST}:op-01ac:accesspoint:name/p", f"{OUTPOST}:op-01ac:accesspoint:name", "p/"),
        (
            "s3://arn:aws-cn:s3-object-lambda:cn-north-1:123456789012:accesspoint/name/p",
            "arn:aws-cn:s3-object-lambda:cn-north-1:123456789012:accesspoint/name",
            "p/",
        ),
    ],
)
def test_locations(text: str, bucket: str, prefix: str) -> None:
    """The bucket is a name, an alias or an ARN; the rest is a literal prefix with one slash at its end."""
    assert Location.parse(text) == Location(bucket, prefix)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bucket/path",
        "/local/path",
        "S3://bucket",
        "s3:/bucket",
        "s3://",
        "s3:///path",
        "s3://ab",
        "s3://-bucket",
        "s3://bucket-",
        "s3://bu cket",
        "s3://bucket\n",
        "s3://user:secret@host/bucket",
        "https://bucket.s3.amazonaws.com/path",
        "s3://" + "b" * 256,
        "s3://arn:aws:iam::123456789012:role/x",
        f"s3://{ACCESS_POINT}",
        f"s3://{ACCESS_POINT}/",
        f"s3://{ACCESS_POINT}//p",
        f"s3://{OUTPOST}/op-01ac/p",
        "s3://bucket/" + "é" * 512,
        "s3://bucket/\udcff",
    ],
)
def test_what_is_no_location(text: str) -> None:
    """A wrong location is an error of usage that quotes it."""
    with pytest.raises(UsageError) as caught:
        Location.parse(text)
    assert repr(text)[1:-1].split("/")[0] in str(caught.value)


@laws
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_prefix_is_a_literal_p11(prefix: str) -> None:
    """All text after the bucket is the prefix, unchanged but for one slash at its end."""
    location = Location.parse(f"s3://bucket/{prefix}")
    assert location.prefix in (prefix, prefix + "/")
    assert location.prefix == "" or location.prefix.endswith("/")
    assert Location.parse(str(location)) == location


@pytest.mark.parametrize("sibling", ["path-old/keep", "path.txt", "pathx/keep", "path"])
def test_a_prefix_ends_at_a_directory_d6_p7(sibling: str) -> None:
    """Keys that only begin like a directory are not below its prefix, with or without its slash."""
    assert not sibling.startswith(Location.parse("s3://bucket/path").prefix)
    assert not sibling.startswith(Location.parse("s3://bucket/path/").prefix)


# Keys


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("a", None),
        ("a//b", None),
        ("../a", None),
        ("/a", None),
        ("%2F", None),
        ("a\x00b\n", None),
        ("x" * MAX_KEY_BYTES, None),
        ("x" * (MAX_KEY_BYTES + 1), "makes a key of 1025 bytes; S3 allows 1024"),
        ("é" * 512, None),
        ("é" * 512 + "x", "makes a key of 1025 bytes; S3 allows 1024"),
        ("\U0001f600" * 256, None),
        ("\U0001f600" * 257, "makes a key of 1028 bytes; S3 allows 1024"),
        ("a\udcff", "is not valid UTF-8, so no object key can stand for it"),
    ],
)
def test_what_can_be_no_key_c16_p11(key: str, problem: str | None) -> None:
    """Keys are opaque: only their bytes count, 1024 of them, and they must be UTF-8."""
    assert key_problem(key) == problem


def parses(text: str) -> bool:
    parser = xml.parsers.expat.ParserCreate("utf-8")
    try:
        parser.Parse(f"<Key>{text}</Key>".encode(), True)
    except xml.parsers.expat.ExpatError:
        return False
    return True


def test_fits_xml_agrees_with_a_parser_on_every_code_point() -> None:
    """Exactly the characters that an XML parser accepts are said to fit."""
    markup = {"<", "&"}
    points = (chr(point) for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF)
    accepted: list[str] = []
    refused: list[str] = []
    for character in points:
        if character not in markup:
            (accepted if fits_xml(character) else refused).append(character)
    assert all(parses("".join(accepted[start : start + 8192])) for start in range(0, len(accepted), 8192))
    assert not any(parses(character) for character in refused)
    assert len(refused) == 29 + 2
    assert not any(fits_xml(f"a{chr(point)}b") for point in range(0xD800, 0xE000))


@pytest.mark.parametrize(("key", "fits"), [("a", True), ("<&>", True), ("é\n\t\r", True), ("a\x00", False)])
def test_fits_xml_looks_at_the_whole_key(key: str, fits: bool) -> None:
    """One character that does not fit is enough, at any place."""
    assert fits_xml(key) is fits
    assert fits_xml(f"x/{key}/y") is fits


@laws
@given(st.text())
def test_nfc_is_normal_form_c_c15(text: str) -> None:
    """Names that look the same have the same normal form."""
    assert nfc(text) == unicodedata.normalize("NFC", text)
    assert nfc(unicodedata.normalize("NFD", text)) == nfc(text)


@pytest.mark.parametrize(
    ("key", "form"),
    [
        *(("a/b.txt", "a/b.txt"), ("a\\b", "a/b"), ("a//b", "a/b"), ("/lead", "lead"), ("trail/", "trail")),
        *(("\\\\a///b\\/", "a/b"), ("//", ""), ("e\u0301//x", "\xe9/x"), ("a/./b", "a/./b")),
    ],
)
def test_the_form_in_which_servers_store_keys_that_they_take_for_paths(key: str, form: str) -> None:
    assert stored_form(key) == form
    assert stored_form(form) == form


# Names that are not UTF-8 as keys


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a/b.txt", "a/b.txt"),
        ("gr\u00fc\u00df", "gr\u00fc\u00df"),
        ("lat\udce4in.txt", "lat\u201bE4in.txt"),
        ("\udcff\udc80/\udcfe", "\u201bFF\u201b80/\u201bFE"),
        ("\u201bE4", "\u201b\u201bE4"),
        ("\u201b\udce4", "\u201b\u201b\u201bE4"),
    ],
)
def test_undecodable_bytes_are_escaped_as_rclone_does_c16(path: str, key: str) -> None:
    assert escaped(path) == key
    assert unescaped(key) == path


@laws
@given(st.binary(max_size=30), st.text(st.sampled_from("\u201bE48\udce4"), max_size=8))
def test_escapes_are_reversible_and_always_keys_c16(raw: bytes, text: str) -> None:
    """No two paths have one key, and each key leads back to its file."""
    for path in (raw.decode("utf-8", "surrogateescape"), text):
        assert unescaped(escaped(path)) == path
        assert key_problem(escaped(path)) is None


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket//", "bucket", "/"),
        ("s3://bucket/a/b", "bucket", "a/b"),
        ("s3://bucket/a/", "bucket", "a/"),
        ("s3://bucket/%41?x#y\n ü", "bucket", "%41?x#y\n ü"),
        ("s3://bucket/bucket", "bucket", "bucket"),
        (f"s3://bucket/{'k' * MAX_KEY_BYTES}", "bucket", "k" * MAX_KEY_BYTES),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/p/a/b", "arn:aws:s3:eu-west-1:1:accesspoint/p", "a/b"),
    ],
)
def test_an_address_is_literal(text: str, bucket: str, key: str) -> None:
    assert parse_address(text) == (bucket, key)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bucket/key", "not an S3 location"),
        ("http://bucket/key", "not an S3 location"),
        ("s3:///key", "cannot be a bucket name"),
        (f"s3://bucket/{'k' * (MAX_KEY_BYTES + 1)}", "makes a key of 1025 bytes"),
    ],
)
def test_an_impossible_address_says_why(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_address(text)
