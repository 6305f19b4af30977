"""Which endpoint will be talked to, found without botocore: the environment and the AWS configuration.

A manifest is bound to its endpoint, and a run that asks S3 nothing must know it without opening a client.
The rules are those of https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aios3sync.options import ConnectOptions

__all__ = ("AWS", "endpoint_name")

AWS: Final = "aws"
"""The name of AWS's own endpoint: buckets are global, so the region does not matter."""


def endpoint_name(options: ConnectOptions, environment: Mapping[str, str] | None = None) -> str:
    """The URL of the endpoint without its last slash, or ``aws``."""
    environment = os.environ if environment is None else environment
    url = options.endpoint_url
    if not url and environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        url = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        url = url or _from_configuration(options, environment)
    return AWS if not url or _is_aws(url) else url.rstrip("/")


def _is_aws(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _from_configuration(options: ConnectOptions, environment: Mapping[str, str]) -> str | None:
    path = Path(environment.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    try:
        parser.read_string(path.read_text("utf-8", "replace"))
    except (OSError, configparser.Error):
        return None  # botocore will say what is wrong with it, if it is asked at all
    profile = options.profile or environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    name = f"profile {profile}" if profile and profile != "default" else "default"
    if not parser.has_section(name):
        return None
    services = parser.get(name, "services", fallback="")
    own = _nested(parser.get(f"services {services}", "s3", fallback=""), "endpoint_url")
    return own or parser.get(name, "endpoint_url", fallback=None)


def _nested(block: str, name: str) -> str | None:
    """A value of an indented block, as the AWS configuration nests service settings."""
    for line in block.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == name:
            return value.strip()
    return None
