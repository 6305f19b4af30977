"""The rules for addresses of buckets, held against botocore: its resolver and its prepared requests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from unittest.mock import patch

import botocore
import botocore.session
import pytest
from botocore.awsrequest import _urljoin
from botocore.client import ClientCreator
from botocore.config import Config
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError
from botocore.handlers import validate_bucket_name
from botocore.httpsession import URLLib3Session
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.options import ConnectOptions
from aios3sync.store.boto.client import _accepted, _resolve_to, open_client
from aios3sync.store.s3.addresses import BucketAddress, EndpointSettings, resolve
from aios3sync.store.s3.errors import WireUnavailableError
from aios3sync.store.wire import boto_config

if TYPE_CHECKING:
    from collections.abc import Iterator

# One of each kind: a label, the longest label, an alias of an access point, and names that are no label.
KINDS = (
    "example-bucket",
    "a" * 63,
    "name-1a2b3c4d5e6f7g8h9i0jklmnopqrst1use1b-s3alias",
    "example.bucket.dots",
    "Example",
    "example_bucket",
    "ab",
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
BUCKETS = (
    *KINDS,
    *("abc", "1bucket", "xn--bucket", "a--b", "b" * 64, "-dash", "dash-", "192.168.0.1", "1.2.3.4.5", "a..b"),
    *SPECIAL,
)

STYLES = ("auto", "path", "virtual")
SWITCHES = (False, True)
KINDS_OF_US_EAST_1 = ("legacy", "regional")
ENDPOINTS = (
    *("http://127.0.0.1:8333", "http://localhost:9000", "http://127.0.0.1", "https://127.0.0.1:443/"),
    *("http://[::1]:9000", "https://[2001:DB8::1]", "http://h:80", "https://minio.example.com:8443"),
    *("https://h.example.com/base", "https://h.example.com/base/", "http://10.0.0.1/a/b.c", "https://h/a~b"),
    *("HTTP://H.Example.COM/Base", "https://minio.example.com/"),
    *("https://s3.us-west-2.amazonaws.com", "https://s3.amazonaws.com"),
    *("https://s3.cn-north-1.amazonaws.com.cn", "https://account.r2.cloudflarestorage.com"),
    *("https://s3-accelerate.amazonaws.com", "https://s3-accelerate.dualstack.amazonaws.com"),
)
ODD_ENDPOINTS = (
    *("https://h.", "http://h:", "http://h_1:9000", "https://s3-accelerate.amazonaws.com:443"),
    *("https://s3-accelerate.otheramazonaws.com", "https://s3-accelerate.other.amazonaws.com"),
)
REFUSED_ENDPOINTS = (
    *("https://h/a//b", "https://h/a/../b", "https://h/%41", "https://h/a b", "https://h/ü", "http://h/\t"),
    *("http://user:secret@h", "https://h/?query", "https://h/#fragment", "http://h\t", "http://ü.example"),
    *("ftp://h", "//h", "h:9000", "http://", "http://h:0", "http://h:65536", "http://h:x", " http://h"),
    *("http://[::1", "http://[fe80::1%25eth0]", "http://a..b", "http://-a", "http://.a", "http://a-:1"),
)
ENDPOINT_REGIONS = (
    *(
        "",
        "us-east-1",
        "eu-west-1",
        "aws-global",
        "auto",
        "garage",
        "US",
        "1",
        "a_b",
        "-a",
        "a" * 63,
        "a" * 64,
    ),
    *("us-iso-east-1", "eu-isoe-west-1", "cn-north-1", "fips-us-east-1", "us-gov-west-1-fips"),
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


@pytest.fixture(scope="module", autouse=True)
def made_once() -> Iterator[None]:
    """Make once what is the same for all clients and takes most of the time: their class, the rule set.

    Nothing is sent, so no client needs connections.
    """
    of_s3 = type(session().create_client("s3", region_name="us-east-1"))
    rules = session().get_component("data_loader")
    provider = EndpointProvider(
        rules.load_service_model("s3", "endpoint-rule-set-1"), rules.load_data("partitions")
    )
    with (
        patch.object(ClientCreator, "_create_client_class", lambda *_: of_s3),
        patch("botocore.regions.EndpointProvider", lambda **_: provider),
        patch.object(URLLib3Session, "__init__", return_value=None),
    ):
        yield


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
            endpoint_url=_accepted(chosen.endpoint_url or None),
            config=config,
        )
    except (BotoCoreError, ValueError):
        return None
    if chosen.endpoint_url:
        _resolve_to(client, chosen.endpoint_url)
    return Truth(client, client.meta.service_model.operation_model("GetObject"))


_RESOLVING = "before-endpoint-resolution.s3"


@contextmanager
def moved(client: Any, region: str) -> Iterator[None]:
    """The client knows from an answer that its buckets are in another region."""

    def redirect(builtins: dict[str, Any], **_: Any) -> None:
        builtins["AWS::Region"] = region

    client.meta.events.register(_RESOLVING, redirect, unique_id="moved")
    try:
        yield
    finally:
        client.meta.events.unregister(_RESOLVING, unique_id="moved")  # the client is shared


def expected(bucket: str, chosen: EndpointSettings, region: str = "") -> BucketAddress | None:
    """The address that botocore's resolver gives; ``None`` where it refuses, or signs in another way."""
    truth = truth_of(chosen)
    if truth is None:
        return None
    params = {"Bucket": bucket, "Key": "k"}
    context: dict[str, Any] = {}
    try:
        validate_bucket_name(params)
        with moved(truth.client, region) if region else nullcontext():
            url = truth.client._resolve_endpoint_ruleset(truth.operation, params, context)[0]
    except (BotoCoreError, ValueError):
        return None
    return address_at(_urljoin(url, "/k", None), context)


def address_at(url: str, context: dict[str, Any]) -> BucketAddress | None:
    signing = context.get("signing", {})
    if context.get("auth_type") != "s3v4" or signing.get("signing_name") != "s3":
        return None
    try:
        found = boto_config._address(url, signing["region"], signing["signing_name"])
    except WireUnavailableError:
        return None
    return found


def data(name: str) -> Any:
    return json.loads((Path(botocore.__file__).parent / "data" / name).read_text("utf-8"))


def regions() -> list[str]:
    """Every region that botocore knows, pseudo-regions too, and some that it does not."""
    found = {region for partition in data("partitions.json")["partitions"] for region in partition["regions"]}
    for partition in data("endpoints.json")["partitions"]:
        found |= set(partition["regions"]) | set(partition["services"].get("s3", {}).get("endpoints", ()))
    return [*sorted(found), "", "us-west-9", "eu-nowhere-12", "moon-base-1", "auto", "us-gov-west-1-fips"]


REGIONS = regions()
REGION_LIKE = re.compile(r"[a-z]+(-[a-z]+){1,2}-[0-9]+")


def is_usual(chosen: EndpointSettings) -> bool:
    """Whether nothing may be left to botocore: pseudo-regions may, and dual-stack where AWS has none."""
    region = chosen.region or "us-east-1"
    if region == "aws-global":
        return not (chosen.use_accelerate and chosen.use_dualstack)
    if not REGION_LIKE.fullmatch(region) or "fips" in region or region == "moon-base-1":
        return False
    if chosen.use_dualstack and region.startswith(("us-iso", "eu-isoe", "eusc")):
        return False
    return bool(chosen.region) or chosen.us_east_1_regional_endpoint == "legacy"


def settings_at_aws(region: str) -> Iterator[EndpointSettings]:
    kinds = KINDS_OF_US_EAST_1 if region in ("", "us-east-1", "aws-global") else ("legacy",)
    for style, dualstack, fips, accelerate, kind in product(STYLES, SWITCHES, SWITCHES, SWITCHES, kinds):
        yield EndpointSettings("", region, style, dualstack, fips, accelerate, kind)


def differences(
    chosen: EndpointSettings, buckets: tuple[str, ...] = BUCKETS, region: str = "", *, whole: bool = False
) -> list[str]:
    """Where ``resolve`` says something that botocore does not, or nothing where it should know all."""
    wrong = []
    for bucket in buckets:
        address = resolve(bucket, chosen, region)
        if (address is not None or whole) and address != (truth := expected(bucket, chosen, region)):
            wrong.append(f"{bucket!r} {chosen} {region!r}: {address}, botocore {truth}")
    return wrong


@pytest.mark.parametrize("region", REGIONS)
def test_an_address_at_aws_is_that_of_botocore(region: str) -> None:
    """Each region, style, dual-stack, FIPS, acceleration and kind of name with each other.

    Where the case is a usual one, what botocore has an address for must have one.
    """
    wrong = []
    for chosen in settings_at_aws(region):
        wrong += differences(chosen, KINDS, whole=is_usual(chosen))
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-iso-east-1"])
def test_an_address_of_an_unusual_name_is_that_of_botocore(region: str, style: str) -> None:
    wrong = differences(EndpointSettings("", region, style))
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.parametrize("bucket", SPECIAL)
@pytest.mark.parametrize("url", ["", "http://localhost:9000"])
def test_a_name_with_rules_of_its_own_is_left_to_botocore(url: str, bucket: str) -> None:
    assert resolve(bucket, EndpointSettings(url, "us-east-1")) is None


@pytest.mark.parametrize("url", [*ENDPOINTS, *ODD_ENDPOINTS])
def test_an_address_at_an_endpoint_is_that_of_botocore(url: str) -> None:
    wrong = []
    for style in STYLES:
        wrong += differences(EndpointSettings(url, "eu-west-1", style))
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("url", ENDPOINTS)
def test_the_usual_endpoints_are_not_left_to_botocore(url: str, style: str) -> None:
    """An address of IPv4 with names before it is none, though botocore makes some."""
    kinds = tuple(bucket for bucket in KINDS if style != "virtual" or "." not in bucket)
    wrong = differences(EndpointSettings(url, "eu-west-1", style), kinds, whole=True)
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.parametrize("url", REFUSED_ENDPOINTS)
def test_an_endpoint_of_an_unusual_form_is_left_to_botocore(url: str) -> None:
    assert all(resolve("bucket", EndpointSettings(url, "us-east-1", style)) is None for style in STYLES)


@pytest.mark.parametrize("region", ENDPOINT_REGIONS)
def test_the_region_at_an_endpoint_is_that_of_botocore(region: str) -> None:
    wrong = []
    for style, dualstack, fips, accelerate in product(STYLES, SWITCHES, SWITCHES, SWITCHES):
        chosen = EndpointSettings("http://localhost:9000", region, style, dualstack, fips, accelerate)
        wrong += differences(chosen, KINDS)
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.parametrize("kind", KINDS_OF_US_EAST_1)
@pytest.mark.parametrize("there", ["us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "moon-base-1"])
@pytest.mark.parametrize("here", ["", "us-east-1", "us-west-2", "cn-northwest-1", "aws-global"])
def test_the_address_in_a_region_that_an_answer_named_is_that_of_botocore(
    here: str, there: str, kind: str
) -> None:
    wrong = []
    for dualstack, fips in product(SWITCHES, SWITCHES):
        chosen = EndpointSettings("", here, "auto", dualstack, fips, us_east_1_regional_endpoint=kind)
        wrong += differences(chosen, KINDS, there)
    wrong += differences(EndpointSettings(ENDPOINTS[0], here), KINDS, there)
    assert not wrong, "\n".join(wrong[:5])


names = st.text("ab01-._A", min_size=1, max_size=12) | st.from_regex(
    r"[a-z0-9][a-z0-9.-]{1,70}", fullmatch=True
)
hosts = st.text("ab01-._A", min_size=1, max_size=12) | st.sampled_from(
    [
        "10.0.0.1",
        "[::1]",
        "[::ffff:1.2.3.4]",
        "[1::2::3]",
        "999.0.0.1",
        "s3.us-west-2.amazonaws.com",
        "a" * 64,
    ]
)
urls = st.builds(
    lambda scheme, host, port, path: f"{scheme}://{host}{port}{path}",
    st.sampled_from(["http", "https"]),
    hosts,
    st.sampled_from(["", ":1", ":80", ":443", ":65535", ":0443"]),
    st.just("") | st.text("/a.~_-", max_size=6).map("/{}".format),
)


@settings(max_examples=300)
@given(
    name=names,
    chosen=st.builds(
        EndpointSettings,
        st.just("") | urls,
        st.sampled_from(REGIONS) | st.text("abU1-_", max_size=5),
        st.sampled_from(STYLES),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from(KINDS_OF_US_EAST_1),
    ),
)
def test_an_address_of_any_name_and_host_is_that_of_botocore(name: str, chosen: EndpointSettings) -> None:
    assert not differences(chosen, (name,))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("url", "region"),
    [("", "us-east-1"), ("", "eu-west-1"), ("", "cn-north-1"), ("", "us-gov-west-1"), ("", None)]
    + [
        (url, "garage") for url in ("http://127.0.0.1:8333", "http://[::1]:9000", "http://minio_1:9000/base/")
    ],
)
async def test_an_address_is_that_of_a_prepared_request(
    url: str, region: str | None, style: Literal["auto", "path", "virtual"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client of ours would send, signed and all."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    options = ConnectOptions(endpoint_url=url or None, region=region, addressing=style)
    async with open_client(options) as client:
        for bucket in KINDS[:3] if style == "virtual" else KINDS:
            prepared, _ = await boto_config.resolve_address(client, bucket)
            assert resolve(bucket, EndpointSettings(url, region or "", style)) == prepared


def test_loading_the_rules_loads_nothing_heavy() -> None:
    code = "import aios3sync.store.s3.addresses, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"anyio", "botocore", "dataclasses", "json", "socket", "ssl"} & set(done.stdout.split())
