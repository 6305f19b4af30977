"""The endpoint's name is found as botocore would find it, without botocore."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios3sync import ConnectOptions
from aios3sync.store.s3.endpoint_config import endpoint_name

CONFIG = """
[default]
region = eu-west-1
endpoint_url = http://default:9000/
[profile nested]
services = local
endpoint_url = http://ignored
[services local]
s3 =
  endpoint_url = http://nested:9000
  addressing_style = path
[profile ignoring]
ignore_configured_endpoint_urls = True
[profile plain]
region = us-east-1
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config"
    path.write_text(CONFIG)
    return str(path)


@pytest.mark.parametrize(
    ("environment", "options", "expected"),
    [
        ({}, ConnectOptions(endpoint_url="http://x:1/"), "http://x:1"),
        ({"AWS_ENDPOINT_URL": "http://all"}, ConnectOptions(), "http://all"),
        (
            {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3"},
            ConnectOptions(),
            "http://s3",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://all", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            ConnectOptions(),
            "aws",
        ),
        (
            {"AWS_DEFAULT_PROFILE": "plain", "AWS_PROFILE": "nested"},
            ConnectOptions(),
            "aws",
        ),
        ({"AWS_ENDPOINT_URL": "http://all"}, ConnectOptions(profile="ignoring"), "aws"),
        (
            {"AWS_ENDPOINT_URL": "http://all", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"},
            ConnectOptions(profile="ignoring"),
            "http://all",
        ),
        ({}, ConnectOptions(), "http://default:9000"),
        ({}, ConnectOptions(profile="nested"), "http://nested:9000"),
        ({"AWS_PROFILE": "plain"}, ConnectOptions(), "aws"),
        ({}, ConnectOptions(endpoint_url="https://s3.eu-west-1.amazonaws.com"), "aws"),
        ({"AWS_CONFIG_FILE": "/nowhere"}, ConnectOptions(), "aws"),
    ],
)
def test_the_endpoint_is_found(
    config: str, environment: dict[str, str], options: ConnectOptions, expected: str
) -> None:
    assert endpoint_name(options, {"AWS_CONFIG_FILE": config, **environment}) == expected
