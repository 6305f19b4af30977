"""What the static tier says of credentials and settings is what botocore says, whenever it is certain."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.loaders import Loader
from hypothesis import event, given, settings
from hypothesis import strategies as st

from aios3sync.options import ConnectOptions
from aios3sync.store.s3.addresses import BucketAddress, resolve
from aios3sync.store.s3.aws_files import UnknownSettingsError
from aios3sync.store.wire.credentials import static_credentials
from aios3sync.store.wire.settings import read_settings
from aios3sync.store.wire.sigv4 import Credentials

LOADER = Loader()
KEY = "AWS_ACCESS_KEY_ID"
SECRET = "AWS_SECRET_ACCESS_KEY"


class Told(NamedTuple):
    """What both sides say."""

    credentials: Credentials
    region: str
    verify: Any
    dualstack: bool
    fips: bool
    accelerate: bool
    endpoint_url: str
    address: BucketAddress | None


def ours(options: ConnectOptions, environment: dict[str, str]) -> Told | None:
    """What the static tier says; ``None`` where it leaves the question to botocore."""
    try:
        found = read_settings(options, environment)
        keys = static_credentials(options, found, environment).current()
    except UnknownSettingsError:
        return None
    endpoint = found.endpoint
    return Told(
        keys,
        endpoint.region or "us-east-1",
        found.verify,
        # botocore ignores them at a custom endpoint, as the rules of addresses do.
        endpoint.use_dualstack and not endpoint.endpoint_url,
        endpoint.use_fips and not endpoint.endpoint_url,
        endpoint.use_accelerate,
        endpoint.endpoint_url,
        resolve("bucket", endpoint),
    )


def botocores(options: ConnectOptions, *, addressed: bool) -> Told:
    """What a client of botocore says that is opened as the package opens one."""
    core = botocore.session.Session()
    core.register_component("data_loader", LOADER)
    if options.profile is not None:
        core.set_config_variable("profile", options.profile)
    region = core.get_config_variable("region")
    if region:
        core.set_config_variable("region", region.strip().strip("\"'"))
    style = {} if options.addressing == "auto" else {"addressing_style": options.addressing}
    config = Config(
        signature_version="s3v4",
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": True, **style},
    )
    client = core.create_client(
        "s3",
        region_name=options.region,
        verify=options.ca_bundle or (None if options.verify_tls else False),
        config=config,
    )
    frozen = core.get_credentials().get_frozen_credentials()
    builtins = client._ruleset_resolver._builtins
    return Told(
        Credentials(frozen.access_key.strip(), frozen.secret_key.strip(), (frozen.token or "").strip()),
        builtins["AWS::Region"].replace("aws-global", "us-east-1"),
        client._endpoint.http_session._verify,
        builtins["AWS::UseDualStack"],
        builtins["AWS::UseFIPS"],
        builtins["AWS::S3::Accelerate"],
        builtins["SDK::Endpoint"] or "",
        address_of(client) if addressed else None,
    )


def address_of(client: Any) -> BucketAddress:
    prepared: list[AWSPreparedRequest] = []

    class StoppedError(Exception):
        pass

    def stop(request: AWSPreparedRequest, **_: Any) -> None:
        prepared.append(request)
        raise StoppedError

    client.meta.events.register("before-send.s3.GetObject", stop)
    with pytest.raises(StoppedError):
        client.get_object(Bucket="bucket", Key="k")
    parts = urlsplit(prepared[0].url)
    scope = prepared[0].headers["authorization"].decode().partition("Credential=")[2].split(",")[0].split("/")
    secure = parts.scheme == "https"
    return BucketAddress(
        secure=secure,
        host=parts.hostname or "",
        port=parts.port or (443 if secure else 80),
        authority=parts.netloc,
        root=parts.path.removesuffix("k"),
        region=scope[-3],
        service=scope[-2],
    )


# Files and variables


def mostly(*good: str, odd: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Values that botocore takes, and one time in twenty one that it does not: else little is certain."""
    return st.sampled_from([*good * (20 * len(odd) // len(good) + 1), *odd])


YES = mostly("true", "True", "TRUE", "false", "", "yes", "1")
REGIONS = mostly("eu-west-1", "us-east-1", "us-gov-west-1", '"eu-west-1"', " us-west-2 ", odd=("", "-", "1"))
URLS = mostly("http://127.0.0.1:9000", "https://minio.example", "")
BUNDLES = mostly(os.devnull, odd=("/nowhere", ""))
REGIONAL = mostly("legacy", "regional", odd=("other", ""))
VALUES: dict[str, st.SearchStrategy[str]] = {
    "aws_access_key_id": mostly("AKID", "AKID2", " AKID ", odd=("",)),
    "aws_secret_access_key": mostly("secret%s", "s=e:c;r#e t", odd=("", "multi\n  line")),
    "aws_session_token": mostly("token==", "", odd=("t ; no comment",)),
    "aws_security_token": mostly("older", ""),
    "AWS_Access_Key_Id": mostly("CASED"),
    "region": REGIONS,
    "endpoint_url": URLS,
    "services": mostly("local", "my services", odd=("missing", "")),
    "ignore_configured_endpoint_urls": YES,
    "ca_bundle": BUNDLES,
    "use_dualstack_endpoint": YES,
    "use_fips_endpoint": YES,
    "s3_us_east_1_regional_endpoint": REGIONAL,
    "output": mostly("json"),
    "cli_pager": mostly(""),
    "max_attempts": mostly("3", "many"),
    "retry_mode": mostly("adaptive", "other"),
    "request_checksum_calculation": mostly("when_supported", "never"),
}
UNKNOWN: dict[str, st.SearchStrategy[str]] = {
    "defaults_mode": mostly("standard", "legacy"),
    "sigv4a_signing_region_set": mostly("*"),
    "parameter_validation": YES,
    "unheard_of": mostly("x"),
    "role_arn": mostly("arn:aws:iam::1:role/x"),
    "credential_process": mostly("false"),
}
BLOCKS: dict[str, st.SearchStrategy[str]] = {
    "addressing_style": mostly("auto", "path", "virtual", odd=("other", "")),
    "use_accelerate_endpoint": YES,
    "use_dualstack_endpoint": YES,
    "us_east_1_regional_endpoint": REGIONAL,
    "use_arn_region": YES,
    "max_concurrent_requests": mostly("20"),
    "endpoint_url": URLS,  # of a services section; unknown in a profile
}
SERVICES = ("services local", 'services "my services"')
OF_CONFIG = ("default", "profile dev", 'profile "my team"', *SERVICES)
OF_CREDENTIALS = ("default", "dev", "my team")
ODD_HEADINGS = st.sampled_from(
    [
        "dev",
        "profile default",
        "profile",
        "profile a b",
        "DEFAULT",
        "preview",
        "profiles dev",
        " dev",
        'profile "',
    ]
)
MARKS = st.sampled_from([" = ", "=", ": ", " =  "])
NOISE = st.sampled_from(["# comment", "; comment", "", "   ", "no delimiter", "  indented = x", "a = 1"])
NAMES = mostly(*VALUES, odd=tuple(UNKNOWN))


@st.composite
def block(draw: st.DrawFn) -> str:
    """Settings of S3, as the profile has them, or as a services section does."""
    names = draw(st.lists(mostly(*list(BLOCKS)[:-1], odd=("endpoint_url",)), max_size=3, unique=True))
    lines = [f"  {name}{draw(st.sampled_from([' = ', '=']))}{draw(BLOCKS[name])}" for name in names]
    return "\n".join([f"s3{draw(MARKS)}".rstrip(), *lines])


@st.composite
def setting(draw: st.DrawFn) -> str:
    name = draw(NAMES)
    return f"{name}{draw(MARKS)}{draw((VALUES | UNKNOWN)[name])}"


@st.composite
def section(draw: st.DrawFn, heading: str) -> str:
    lines = []
    if draw(st.booleans()):
        lines += ["aws_access_key_id = AKID-of-file", "aws_secret_access_key = secret-of-file"]
    lines += draw(st.lists(setting(), max_size=3))
    if heading in SERVICES:
        lines = [f"s3 =\n  endpoint_url = {draw(URLS)}"]
    elif draw(st.integers(0, 3)) == 0:
        lines.append(draw(block()))
    once = {text.partition("=")[0].partition(":")[0].strip().lower(): text for text in lines}
    lines = [f"[{heading}]", *once.values()]
    if draw(st.integers(0, 19)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(NOISE))
    return "\n".join(lines)


@st.composite
def files(draw: st.DrawFn, headings: tuple[str, ...]) -> str:
    chosen = [heading for heading in headings if draw(st.integers(0, 3))]
    if draw(st.integers(0, 3)) == 0:
        odd = draw(ODD_HEADINGS)
        chosen += [odd] if odd not in chosen else []
    return "".join(f"{draw(section(heading))}\n" for heading in draw(st.permutations(chosen)))


VARIABLES: dict[str, st.SearchStrategy[str]] = {
    KEY: mostly("AKID-env", " AKID-env\n", odd=("",)),
    SECRET: mostly("secret-env", "secret\n", odd=("",)),
    "AWS_SESSION_TOKEN": mostly("token-env", ""),
    "AWS_SECURITY_TOKEN": mostly("older-env", ""),
    "AWS_DEFAULT_REGION": REGIONS,
    "AWS_PROFILE": mostly("dev", "my team", "default", odd=("",)),
    "AWS_DEFAULT_PROFILE": mostly("dev", "default"),
    "AWS_ENDPOINT_URL": URLS,
    "AWS_ENDPOINT_URL_S3": URLS,
    "AWS_ENDPOINT_URL_SQS": URLS,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": YES,
    "AWS_CA_BUNDLE": BUNDLES,
    "REQUESTS_CA_BUNDLE": BUNDLES,
    "AWS_USE_DUALSTACK_ENDPOINT": YES,
    "AWS_USE_FIPS_ENDPOINT": YES,
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": REGIONAL,
    "AWS_S3_USE_ARN_REGION": YES,
    "AWS_MAX_ATTEMPTS": mostly("x"),
    "AWS_PAGER": mostly(""),
    "AWS_REGION": REGIONS,
    "AWS_DEFAULTS_MODE": mostly("standard"),
}


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    names = draw(st.lists(mostly(*list(VARIABLES)[:-2], odd=("AWS_REGION", "AWS_DEFAULTS_MODE")), max_size=4))
    keys = {KEY: "AKID-env", SECRET: "secret-env"} if draw(st.integers(0, 3)) else {}
    return keys | {name: draw(VARIABLES[name]) for name in names}


OPTIONS = st.builds(
    ConnectOptions,
    profile=mostly("", "", "dev", "default", "my team", odd=("missing",)).map(lambda name: name or None),
    region=st.sampled_from([None, None, "eu-central-1", "us-east-1"]),
    addressing=st.sampled_from(["auto", "auto", "path", "virtual"]),
    verify_tls=st.booleans(),
)


PROFILES = """[default]
aws_access_key_id = AKID-of-default
aws_secret_access_key = secret
region = eu-west-1
[profile dev]
aws_access_key_id = AKID-of-dev
aws_secret_access_key = secret
region = us-west-2
"""
# One for each rule, which a run of generated ones may miss.
RULES = [
    ({}, PROFILES, "", {}),
    ({}, PROFILES, "", {"AWS_PROFILE": "dev", "AWS_DEFAULT_PROFILE": "default"}),
    ({"profile": "dev"}, PROFILES, "", {KEY: "AKID-env", SECRET: "secret-env"}),
    ({"profile": "dev"}, PROFILES, "[dev]\naws_access_key_id = C\naws_secret_access_key = c\n", {}),
    ({"profile": "dev"}, PROFILES, "[dev]\nregion = eu-central-1\n", {}),
    ({"region": "us-east-1"}, PROFILES, "", {"AWS_DEFAULT_REGION": "eu-west-3"}),
    ({}, PROFILES, "", {"AWS_DEFAULT_REGION": "'eu-west-3' "}),
    ({}, PROFILES, "", {KEY: "K", SECRET: "s", "AWS_SECURITY_TOKEN": "old", "AWS_SESSION_TOKEN": "new"}),
    ({}, PROFILES, "", {KEY: "K", SECRET: "s", "AWS_SECURITY_TOKEN": "", "AWS_SESSION_TOKEN": "new"}),
    ({}, f"{PROFILES}aws_security_token = old\naws_session_token = new\n", "", {"AWS_PROFILE": "dev"}),
    ({}, "[default]\nuse_dualstack_endpoint = true\n", "", {KEY: "K", SECRET: "s"}),
    ({}, "[default]\ns3 =\n use_dualstack_endpoint = TRUE\n", "", {KEY: "K", SECRET: "s"}),
    ({}, "[default]\nuse_fips_endpoint = true\n", "", {KEY: "K", SECRET: "s", "AWS_USE_FIPS_ENDPOINT": ""}),
    ({}, "[default]\ns3 =\n use_accelerate_endpoint = true\n", "", {KEY: "K", SECRET: "s"}),
    ({}, "[default]\ns3 =\n addressing_style = path\n", "", {KEY: "K", SECRET: "s"}),
    ({"addressing": "virtual"}, "[default]\ns3 =\n addressing_style = path\n", "", {KEY: "K", SECRET: "s"}),
    (
        {"region": "us-east-1"},
        "[default]\ns3_us_east_1_regional_endpoint = regional\ns3 =\n us_east_1_regional_endpoint = legacy\n",
        "",
        {KEY: "K", SECRET: "s"},
    ),
    ({}, "[default]\ndefaults_mode = standard\n", "", {KEY: "K", SECRET: "s"}),
    ({}, "[default]\nendpoint_url = http://a\n", "", {KEY: "K", SECRET: "s", "AWS_ENDPOINT_URL": "http://b"}),
    ({}, "", "", {KEY: "K", SECRET: "s", "AWS_ENDPOINT_URL": "http://b", "AWS_ENDPOINT_URL_S3": "http://c"}),
    (
        {},
        "[default]\nendpoint_url = http://a\nservices = my s\n[services 'my s']\ns3 =\n endpoint_url = http://d\n",
        "",
        {KEY: "K", SECRET: "s"},
    ),
    (
        {},
        "[default]\nignore_configured_endpoint_urls = true\n",
        "",
        {KEY: "K", SECRET: "s", "AWS_ENDPOINT_URL": "http://b"},
    ),
    ({}, f"[default]\nca_bundle = {os.devnull}\n", "", {KEY: "K", SECRET: "s", "REQUESTS_CA_BUNDLE": "/no"}),
    ({}, "", "", {KEY: "K", SECRET: "s", "REQUESTS_CA_BUNDLE": os.devnull}),
    ({}, "", "", {KEY: "K", SECRET: "s", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://b"}),
    ({"verify_tls": False}, "", "", {KEY: "K", SECRET: "s", "AWS_CA_BUNDLE": os.devnull}),
]


@pytest.mark.parametrize(("options", "config", "credentials", "variables"), RULES)
def test_each_rule_is_that_of_botocore(
    options: dict[str, Any], config: str, credentials: str, variables: dict[str, str]
) -> None:
    said = compared(ConnectOptions(**options), config, credentials, variables)
    assert (said is not None) is ("defaults_mode" not in config)


@given(options=OPTIONS, config=files(OF_CONFIG), credentials=files(OF_CREDENTIALS), variables=environments())
@settings(max_examples=300)
def test_it_says_what_botocore_says(
    options: ConnectOptions, config: str, credentials: str, variables: dict[str, str]
) -> None:
    event(f"certain: {compared(options, config, credentials, variables) is not None}")


def compared(
    options: ConnectOptions, config: str, credentials: str, variables: dict[str, str]
) -> Told | None:
    """Return what the static tier says, where it is certain, and once botocore was seen to say the same."""
    with TemporaryDirectory() as place:
        (Path(place) / "config").write_text(config)
        (Path(place) / "credentials").write_text(credentials)
        environment = {
            "HOME": place,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": f"{place}/config",
            "AWS_SHARED_CREDENTIALS_FILE": "$HOME/credentials",
            **variables,
        }
        with patch.dict(os.environ, environment, clear=True):
            said = ours(options, environment)
            if said is not None:
                assert said == botocores(options, addressed=said.address is not None)
    return said
