"""The rules for addresses of buckets, held against botocore: its resolver, its regions, its prepared requests."""

from __future__ import annotations

import json
import string
import subprocess
import sys
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore
import botocore.session
import pytest
from botocore.awsrequest import _urljoin
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.handlers import validate_bucket_name
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios3sync.store.s3.addresses import BucketAddress, EndpointSettings, resolve
from aios3sync.store.s3.errors import WireUnavailableError
from aios3sync.store.wire import boto_config

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = ("example-bucket", "abc", "a" * 63, "1bucket", "xn--bucket", "a--b")
ALIASES = ("name-1a2b3c4d5e6f7g8h9i0jklmnopqrst1use1b-s3alias",)
ON_A_PATH = (
    "example.bucket.dots",
    "Example",
    "example_bucket",
    "ab",
    "b" * 64,
    "-dash",
    "192.168.0.1",
    "a..b",
)
SPECIAL = (
    "bucket--use1-az4--x-s3",
    "point--use1-az4--xa-s3",
    "alias1b--ol-s3",
    "test-accessp-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3",
    "mfzwi23gnjvgw.mrap",
    "arn:aws:s3:us-east-1:123456789012:accesspoint/point",
    "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap",
    *("b/ucket", "", ".", "..", "bucket\n", "büc", "a b"),
)
BUCKETS = (*PLAIN, *ALIASES, *ON_A_PATH, *SPECIAL)

STYLES = ("auto", "path", "virtual")
SWITCHES = (False, True)
ENDPOINTS = (
    *(
        "http://127.0.0.1:8333",
        "http://127.0.0.1",
        "https://127.0.0.1:443/",
        "http://[::1]:9000",
        "https://[2001:DB8::1]",
    ),
    *("http://localhost:9000", "https://minio.example.com/", "https://minio.example.com:8443", "http://h:80"),
    *(
        "https://h.example.com/base",
        "https://h.example.com/base/",
        "http://10.0.0.1/a/b.c",
        "HTTP://H.Example.COM/Base",
    ),
    *(
        "https://s3.us-west-2.amazonaws.com",
        "https://s3.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn",
    ),
    *("https://s3-accelerate.amazonaws.com", "https://s3-accelerate.dualstack.amazonaws.com"),
    *("https://account.r2.cloudflarestorage.com", "https://s3.us-west-001.backblazeb2.com"),
    *("https://h/a//b", "https://h/a/../b", "https://h/%41", "https://h/a~b", "https://h/a b", "https://h."),
    *(
        "http://user:secret@h",
        "https://h/?query",
        "https://h/#fragment",
        "ftp://h",
        "//h",
        "h:9000",
        "http://",
    ),
    *(
        "http://h:0",
        "http://h:",
        "http://h:65536",
        "http://h:x",
        "http://[::1",
        "http://[fe80::1%25eth0]",
        "http://ü.example",
    ),
)
ENDPOINT_REGIONS = (
    "",
    "us-east-1",
    "eu-west-1",
    "aws-global",
    "auto",
    "garage",
    "US",
    "us-iso-east-1",
    "1",
    "a_b",
    "cn-north-1",
)


class Truth(NamedTuple):
    """The client that botocore makes of settings, or ``None`` where it refuses them."""

    client: Any
    operation: Any


@cache
def session() -> Any:
    made = botocore.session.Session()
    made.set_config_variable("region", None)
    made.set_credentials("AKIDEXAMPLE", "secret")
    return made


@lru_cache(maxsize=32)
def truth_of(chosen: EndpointSettings) -> Truth | None:
    style = {
        "addressing_style": chosen.addressing_style,
        "use_accelerate_endpoint": chosen.use_accelerate,
        "use_dualstack_endpoint": chosen.use_dualstack,
        "us_east_1_regional_endpoint": chosen.us_east_1_regional_endpoint,
    }
    config = Config(signature_version="s3v4", use_fips_endpoint=chosen.use_fips, s3=style)
    try:
        client = session().create_client(
            "s3",
            region_name=chosen.region or None,
            endpoint_url=chosen.endpoint_url or None,
            config=config,
        )
    except (BotoCoreError, ValueError):
        return None
    return Truth(client, client.meta.service_model.operation_model("GetObject"))


def expected(bucket: str, chosen: EndpointSettings, region: str = "") -> BucketAddress | None:
    """The address that botocore's resolver gives; ``None`` where it refuses, or signs in another way."""
    truth = truth_of(chosen)
    if truth is None:
        return None
    params = {"Bucket": bucket, "Key": "k"}
    context: dict[str, Any] = {}
    redirected = {"AWS::Region": region} if region else {}
    client = truth.client
    # As the redirector of botocore does with the region that an answer named.
    client.meta.events.register(
        "before-endpoint-resolution.s3", lambda builtins, **_: builtins.update(redirected), unique_id="moved"
    )
    try:
        validate_bucket_name(params)
        url = client._resolve_endpoint_ruleset(truth.operation, params, context)[0]
    except (BotoCoreError, ValueError):
        return None
    finally:
        client.meta.events.unregister("before-endpoint-resolution.s3", unique_id="moved")
    return address_at(_urljoin(url, "/k", None), context)


def address_at(url: str, context: dict[str, Any]) -> BucketAddress | None:
    signing = context.get("signing", {})
    if context.get("auth_type") != "s3v4" or signing.get("signing_name") != "s3":
        return None
    try:
        found = boto_config._address(url, signing["region"], signing["signing_name"], "")
    except WireUnavailableError:
        return None
    return BucketAddress(*found[:7])


def data(name: str) -> Any:
    return json.loads((Path(botocore.__file__).parent / "data" / name).read_text("utf-8"))


def regions() -> list[str]:
    """Every region that botocore knows, pseudo-regions too, and some that it does not."""
    found = {region for partition in data("partitions.json")["partitions"] for region in partition["regions"]}
    for partition in data("endpoints.json")["partitions"]:
        found |= set(partition["regions"]) | set(partition["services"].get("s3", {}).get("endpoints", ()))
    return sorted(found) + [
        "",
        "us-west-9",
        "eu-nowhere-12",
        "moon-base-1",
        "auto",
        "fips-us-east-1",
        "us-gov-west-1-fips",
    ]


REGIONS = regions()


def settings_at_aws(region: str) -> Iterator[EndpointSettings]:
    kinds = ("legacy", "regional") if region in ("", "us-east-1", "aws-global", "eu-west-1") else ("legacy",)
    for style, dualstack, fips, accelerate, kind in product(STYLES, SWITCHES, SWITCHES, SWITCHES, kinds):
        yield EndpointSettings("", region, style, dualstack, fips, accelerate, kind)


def differences(chosen: EndpointSettings, region: str = "") -> list[str]:
    """Where ``resolve`` says something that botocore does not."""
    wrong = []
    for bucket in BUCKETS:
        address = resolve(bucket, chosen, region)
        if address is not None and address != (truth := expected(bucket, chosen, region)):
            wrong.append(f"{bucket!r} {chosen} {region!r}: {address}, botocore {truth}")
    return wrong


def uncovered(chosen: EndpointSettings, buckets: tuple[str, ...]) -> list[str]:
    """Where botocore has an address of the common kind and ``resolve`` has none."""
    return [
        f"{bucket!r} {chosen}: botocore {address}"
        for bucket in buckets
        if resolve(bucket, chosen) is None and (address := expected(bucket, chosen)) is not None
    ]


@pytest.mark.parametrize("region", REGIONS)
def test_an_address_at_aws_is_that_of_botocore(region: str) -> None:
    wrong = [line for chosen in settings_at_aws(region) for line in differences(chosen)]
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.parametrize("url", ENDPOINTS)
def test_an_address_at_an_endpoint_is_that_of_botocore(url: str) -> None:
    wrong = []
    for region, style in product(ENDPOINT_REGIONS, STYLES):
        wrong += differences(EndpointSettings(url, region, style))
    for dualstack, fips, accelerate, kind in product(SWITCHES, SWITCHES, SWITCHES, ("legacy", "regional")):
        wrong += differences(EndpointSettings(url, "us-east-1", "auto", dualstack, fips, accelerate, kind))
    assert not wrong, "\n".join(wrong[:5])
