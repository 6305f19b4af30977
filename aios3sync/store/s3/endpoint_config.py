"""Which endpoint a session connects to, found without botocore: the environment and the AWS configuration.

A manifest is bound to its endpoint, and a run that asks S3 nothing must know it without opening a client.
The rules are those of https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aios3sync.core.endpoints import checked_endpoint
from aios3sync.options import ConnectOptions
from aios3sync.store.s3.endpoint import AWS, is_aws_url

__all__ = ("endpoint_name", "endpoint_url")

_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def endpoint_name(options: ConnectOptions, environment: Mapping[str, str] | None = None) -> str:
    """The URL of the endpoint without its last slash, or ``aws``.

    Raises:
        UsageError: what was set is no URL, or holds credentials.
    """
    url = endpoint_url(options, environment)
    return AWS if url is None or is_aws_url(url) else url.rstrip("/")


def endpoint_url(options: ConnectOptions, environment: Mapping[str, str] | None = None) -> str | None:
    """The URL that option, environment or configuration chose, in this order; ``None`` for AWS's own.

    Raises:
        UsageError: it is no URL, or holds credentials; the message names where it comes from.
    """
    environment = os.environ if environment is None else environment
    if options.endpoint_url:
        return options.endpoint_url
    if environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    for name in _VARIABLES:
        if environment.get(name, "").strip():
            return checked_endpoint(environment[name], name)
    return _from_configuration(options, environment)


def _from_configuration(options: ConnectOptions, environment: Mapping[str, str]) -> str | None:
    # os.path and not pathlib, which raises where there is no home directory to put in the place of "~".
    path = os.path.expanduser(environment.get("AWS_CONFIG_FILE") or "~/.aws/config")
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    try:
        parser.read_string(Path(path).read_text("utf-8", "replace"))
    except (OSError, configparser.Error):
        return None  # botocore will say what is wrong with it, if it is asked at all
    profile = options.profile or environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    name = f"profile {profile}" if profile and profile != "default" else "default"
    if not parser.has_section(name):
        return None
    if parser.get(name, "ignore_configured_endpoint_urls", fallback="").lower() == "true":
        return None
    services = parser.get(name, "services", fallback="")
    own = _nested(parser.get(f"services {services}", "s3", fallback=""), "endpoint_url")
    if own:
        return checked_endpoint(own, f"s3 endpoint_url of [services {services}] in {path}")
    url = parser.get(name, "endpoint_url", fallback="")
    return checked_endpoint(url, f"endpoint_url of [{name}] in {path}") if url.strip() else None


def _nested(block: str, name: str) -> str | None:
    """A value of an indented block, as the AWS configuration nests service settings."""
    for line in block.split("\n"):
        key, equals, value = line.partition("=")
        if equals and key.strip() == name:
            return value.strip()
    return None
