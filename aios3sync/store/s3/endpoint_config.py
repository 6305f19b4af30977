"""Finds the endpoint of a session without botocore, in the environment and the AWS configuration.

A manifest is bound to its endpoint, and a run without requests must know it without opening a client. The
rules are those of https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from aios3sync._typing import Final
from aios3sync.core.endpoints import AWS, checked_endpoint
from aios3sync.options import ConnectOptions
from aios3sync.store.s3.aws_files import AwsProfile, UnknownSettingsError, read_profile
from aios3sync.store.s3.endpoint import is_aws_url

__all__ = ("configured_endpoint", "endpoint_name", "endpoint_url", "is_true", "name_of")

_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def endpoint_name(options: ConnectOptions, environment: Mapping[str, str] | None = None) -> str:
    """Return the URL of the endpoint without its last slash, or ``aws``.

    Raises:
        UsageError: the setting is no URL, or contains credentials.
    """
    return name_of(endpoint_url(options, environment))


def name_of(url: str | None) -> str:
    """Return the name of the endpoint with this URL: the URL without its last slash, or ``aws``."""
    return AWS if url is None or is_aws_url(url) else url.rstrip("/")


def endpoint_url(options: ConnectOptions, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the URL of option, environment or configuration, in this order; ``None`` for AWS's own.

    Raises:
        UsageError: it is no URL, or holds credentials; the message names where it comes from.
    """
    environment = os.environ if environment is None else environment
    if options.endpoint_url:
        return options.endpoint_url
    try:
        return configured_endpoint(environment, read_profile(options.profile, environment))
    except UnknownSettingsError:
        return None  # botocore says what is wrong with the files, if it is asked at all


def configured_endpoint(environment: Mapping[str, str], found: AwsProfile) -> str | None:
    """Return the URL of environment or configuration; ``None`` for AWS's own.

    Args:
        environment: takes precedence over the files.
        found: the settings of the files.

    Raises:
        UnknownSettingsError: a setting is invalid.
        UsageError: it is no URL, or holds credentials; the message names where it comes from.
    """
    ignored = environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    if is_true(found.text("ignore_configured_endpoint_urls") if ignored is None else ignored):
        return None  # those of the variables too, whoever says so
    for name in _VARIABLES:
        if environment.get(name, "").strip():
            return checked_endpoint(environment[name], name)
    own = found.service("s3").get("endpoint_url", "")
    if own:
        return checked_endpoint(
            own, f"s3 endpoint_url of [services {found.text('services')}] in {found.path}"
        )
    url = found.text("endpoint_url") or ""
    heading = "default" if found.name in (None, "default") else f"profile {found.name}"
    return checked_endpoint(url, f"endpoint_url of [{heading}] in {found.path}") if url.strip() else None


def is_true(value: str | None) -> bool:
    """Return whether a setting is true, by the rules of botocore."""
    return value is not None and value.lower() == "true"
