"""The URL of an endpoint: what is meant is taken, what is wrong is named, credentials are never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.endpoints import checked_endpoint
from aios3sync.errors import UsageError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8333", "http://127.0.0.1:8333"),
        ("http://minio:9000\n", "http://minio:9000"),
        ("  https://s3.example.com/ \r\n", "https://s3.example.com/"),
        ("'http://minio:9000'", "http://minio:9000"),
        ('"http://minio:9000"\n', "http://minio:9000"),
        ("http://my_minio:9000", "http://my_minio:9000"),
        ("http://project_my_minio_1:9000/", "http://project_my_minio_1:9000/"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("HTTPS://Host.Example", "HTTPS://Host.Example"),
        ("https://gateway.example/storage/v1/s3", "https://gateway.example/storage/v1/s3"),
    ],
)
def test_what_is_meant_is_taken(text: str, url: str) -> None:
    assert checked_endpoint(text, "X") == url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("minio:9000", "X: 'minio:9000' is not a URL; write for example http://minio:9000 or https://minio"),
        ("localhost", "'localhost' is not a URL; write for example http://localhost or https://localhost"),
        ("", "'' is not a URL; write for example http://127.0.0.1:8333"),
        ("http://", "is not a URL"),
        ("http:/minio:9000", "is not a URL"),
        ("ftp://minio:9000", "is not a URL"),
        ("http://minio:99999", "is not a URL"),
        ("http://minio:port", "is not a URL"),
        ("http://min io:9000", "is not a URL"),
        ("http://minio:9000/\nx", "is not a URL"),
        ("'http://minio:9000", "is not a URL"),
    ],
)
def test_what_is_no_url_is_named_with_its_origin(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_endpoint(text, "X")
    assert str(caught.value).startswith("X: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "http://user:hunter2@host:9000",
        "https://hunter2@host",
        "user:hunter2@host:9000",
        "'http://user:hunter2@host'",
        "http://user:hunter2/@host",
        "http://host/?X-Amz-Signature=hunter2",
        "http://host/#hunter2",
        "hunter2?",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated_p16(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_endpoint(text, "AWS_ENDPOINT_URL")
    assert str(caught.value).startswith("AWS_ENDPOINT_URL: ")
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_url_or_wrong_usage(text: str) -> None:
    try:
        url = checked_endpoint(text, "X")
    except UsageError:
        return
    assert url.lower().startswith(("http://", "https://"))
    assert not any(letter in url for letter in "@?# \n\r\t")
