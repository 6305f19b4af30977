"""An endpoint that names the bucket as well is refused: keys would begin with the name of the bucket."""

from __future__ import annotations

import pytest

from aios3sync.core.endpoints import check_bucket_in_endpoint
from aios3sync.errors import UsageError


@pytest.mark.parametrize(
    ("url", "better"),
    [
        ("http://host:9000/bucket", "http://host:9000"),
        ("http://host:9000/bucket/", "http://host:9000"),
        ("https://host/s3/bucket", "https://host/s3"),
        ("https://bucket.s3.amazonaws.com", "https://s3.amazonaws.com"),
        ("https://bucket.s3.eu-central-1.amazonaws.com/", "https://s3.eu-central-1.amazonaws.com/"),
        ("https://bucket.s3-accelerate.amazonaws.com", "https://s3-accelerate.amazonaws.com"),
    ],
)
def test_it_is_refused_with_the_url_to_write(url: str, better: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_bucket_in_endpoint(url, "bucket")
    assert str(caught.value).endswith(f"--endpoint-url {better}")
    assert "leave it out, for s3://bucket names it" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://host:9000",
        "http://host:9000/",
        "http://bucket",
        "http://bucket:9000",
        "http://bucket/other",
        "http://bucket.example.com",
        "http://host/bucket-2",
        "http://host/bucket/gateway",
        "https://s3.amazonaws.com",
        "https://other-bucket.s3.amazonaws.com",
    ],
)
def test_other_endpoints_are_taken(url: str) -> None:
    check_bucket_in_endpoint(url, "bucket")
