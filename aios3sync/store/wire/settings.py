"""Settings from the environment and the AWS files, if they are certain without botocore; see ``sources.py``.

Every setting has to be in one of the lists below. One that is in none may affect requests in an unknown way,
so botocore is used. ``read`` are those that this module reads; ``harmless`` are those that change no request
of this package, or that its own options overrule; ``chain`` are those that say where credentials come from:
these are left to botocore's chain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from aios3sync._dataclass import dataclass, field
from aios3sync._typing import Final
from aios3sync.options import ConnectOptions
from aios3sync.store.s3.addresses import US_EAST_1, EndpointSettings, is_region
from aios3sync.store.s3.aws_files import AwsProfile, UnknownSettingsError, read_profile
from aios3sync.store.s3.endpoint_config import configured_endpoint, is_true

__all__ = ("Settings", "read_settings")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a connection, all of them certain.

    Attributes:
        endpoint: settings for the addresses of buckets.
        verify: True, False or the path of certificate authorities, as botocore's option.
        region: the chosen region; ``None`` where none was chosen.
        profile: from the files.
        by_chain: whether the environment or the profile says where credentials come from.
        proxies: whether the environment or the system may name a proxy for this endpoint.
    """

    endpoint: EndpointSettings
    verify: bool | str
    region: str | None
    profile: AwsProfile = field(repr=False)
    by_chain: bool
    proxies: bool


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYS: Final = "aws_access_key_id aws_secret_access_key aws_session_token aws_security_token"
_READ: Final = _words(
    f"{_KEYS} ca_bundle endpoint_url ignore_configured_endpoint_urls region s3 services "
    "s3_us_east_1_regional_endpoint use_dualstack_endpoint use_fips_endpoint"
)
_HARMLESS: Final = _words(
    "aws_account_id output request_checksum_calculation response_checksum_validation max_attempts retry_mode "
    "s3_use_arn_region"
)
_CHAIN: Final = _words(
    "role_arn source_profile credential_source external_id mfa_serial role_session_name duration_seconds "
    "web_identity_token_file credential_process sso_session sso_start_url sso_region sso_account_id "
    "sso_role_name sso_registration_scopes sts_regional_endpoints metadata_service_timeout "
    "metadata_service_num_attempts ec2_metadata_service_endpoint ec2_metadata_service_endpoint_mode "
    "ec2_metadata_v1_disabled imds_use_ipv6"
)
_S3_READ: Final = _words(
    "addressing_style us_east_1_regional_endpoint use_accelerate_endpoint use_dualstack_endpoint"
)
# Addresses by ARN and access points of several regions are resolved by botocore, which reads the settings.
_S3_HARMLESS: Final = _words(
    "max_bandwidth max_concurrent_requests max_queue_size multipart_chunksize multipart_threshold "
    "preferred_transfer_client s3_disable_multiregion_access_points target_bandwidth use_arn_region"
)
_VARIABLES_READ: Final = frozenset(name.upper() for name in _KEYS.split()) | _words(
    "AWS_CA_BUNDLE AWS_CONFIG_FILE AWS_DEFAULT_PROFILE AWS_DEFAULT_REGION AWS_ENDPOINT_URL "
    "AWS_ENDPOINT_URL_S3 AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_PROFILE AWS_REGION "
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT AWS_SHARED_CREDENTIALS_FILE AWS_USE_DUALSTACK_ENDPOINT "
    "AWS_USE_FIPS_ENDPOINT"
)
_VARIABLES_HARMLESS: Final = _words(
    "AWS_ACCOUNT_ID AWS_DEFAULT_OUTPUT AWS_EC2_METADATA_DISABLED AWS_EXECUTION_ENV AWS_MAX_ATTEMPTS "
    "AWS_PAGER AWS_REQUEST_CHECKSUM_CALCULATION AWS_RESPONSE_CHECKSUM_VALIDATION AWS_RETRY_MODE "
    "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS AWS_S3_USE_ARN_REGION AWS_SDK_LOAD_CONFIG AWS_VAULT"
)
_VARIABLES_CHAIN: Final = _words(
    "AWS_CREDENTIAL_EXPIRATION AWS_CREDENTIAL_FILE AWS_EC2_METADATA_SERVICE_ENDPOINT "
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE AWS_EC2_METADATA_V1_DISABLED AWS_ENDPOINT_URL_SSO "
    "AWS_ENDPOINT_URL_SSO_OIDC AWS_ENDPOINT_URL_STS AWS_IMDS_USE_IPV6 "
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS AWS_METADATA_SERVICE_TIMEOUT AWS_ROLE_ARN AWS_ROLE_SESSION_NAME "
    "AWS_STS_REGIONAL_ENDPOINTS AWS_WEB_IDENTITY_TOKEN_FILE"
)
_FAMILIES: Final = ("AWS_", "BOTOCORE_", "BOTO_")
_PREFIXES_HARMLESS: Final = ("AWS_CLI_", "AWS_ENDPOINT_URL_", "AWS_LAMBDA_", "AWS_XRAY_")
_PREFIXES_CHAIN: Final = ("AWS_CONTAINER_",)
_WITH_PROXIES: Final = ("darwin", "win32")
"""Systems with proxy settings outside of the environment."""
_MODELS: Final = "~/.aws/models"
"""Where botocore looks for descriptions of services and endpoints before its own."""
_STYLES: Final = ("auto", "path", "virtual")
_QUOTES: Final = "\"'"


def read_settings(options: ConnectOptions, environment: Mapping[str, str]) -> Settings:
    """Read the settings of a connection; precedence is options, environment, files.

    Raises:
        UnknownSettingsError: one of them is not certain.
        UsageError: the URL of the endpoint is invalid, or holds credentials.
    """
    profile = read_profile(options.profile, environment)
    if profile.name is not None and not profile.exists:
        raise UnknownSettingsError("the profile does not exist")
    if os.path.exists(os.path.expanduser(_MODELS)):
        raise UnknownSettingsError(f"{_MODELS} exists")
    by_chain = _is_any(_CHAIN, _READ | _HARMLESS, profile.settings, "of a profile", ("cli_",))
    _is_any(frozenset(), _S3_READ | _S3_HARMLESS, profile.block("s3"), "of an s3 block")
    by_chain |= _names_chain(environment)
    region = _region(options, profile, environment)
    return Settings(
        endpoint=_endpoint(options, profile, environment, region),
        verify=_verify(options, profile, environment),
        region=region,
        profile=profile,
        by_chain=by_chain,
        proxies=sys.platform in _WITH_PROXIES
        or any(environment[name] for name in environment if _is_proxy(name)),
    )


def _is_any(
    chain: frozenset[str],
    known: frozenset[str],
    names: Iterable[str],
    place: str,
    prefixes: tuple[str, ...] = (),
) -> bool:
    """Return whether one of the names is for the chain; raise where one is unknown."""
    found = False
    for name in names:
        if name in chain:
            found = True
        elif name not in known and not (prefixes and name.startswith(prefixes)):
            raise UnknownSettingsError(f"the setting {name} {place} is not known")
    return found


def _names_chain(environment: Mapping[str, str]) -> bool:
    known = _VARIABLES_READ | _VARIABLES_HARMLESS
    found = False
    for name in environment:
        if name in _VARIABLES_CHAIN or name.startswith(_PREFIXES_CHAIN):
            found = True
        elif name.startswith(_FAMILIES) and name not in known and not name.startswith(_PREFIXES_HARMLESS):
            raise UnknownSettingsError(f"the variable {name} is not known")
    return found


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy") and name.lower() != "no_proxy"


def _region(options: ConnectOptions, profile: AwsProfile, environment: Mapping[str, str]) -> str | None:
    if options.region is not None:
        return _checked_region(options.region)
    found = environment.get("AWS_DEFAULT_REGION")
    if found is None:
        found = profile.text("region")
    if found is not None:  # files of variables keep quotes and line ends; a region has neither
        found = _checked_region(found.strip().strip(_QUOTES))
    other = environment.get("AWS_REGION", found)
    if other != found and not (found is None and _needs_no_region(other, options, profile, environment)):
        raise UnknownSettingsError("AWS_REGION is another region: versions of botocore differ about it")
    return found


def _needs_no_region(
    region: str | None, options: ConnectOptions, profile: AwsProfile, environment: Mapping[str, str]
) -> bool:
    """Whether requests are the same without this region, as for a custom endpoint."""
    return region == US_EAST_1 and bool(options.endpoint_url or configured_endpoint(environment, profile))


def _checked_region(region: str) -> str:
    if not is_region(region):
        raise UnknownSettingsError("the region is no name of a region")
    return region


def _endpoint(
    options: ConnectOptions, profile: AwsProfile, environment: Mapping[str, str], region: str | None
) -> EndpointSettings:
    s3 = profile.block("s3")
    regional = environment.get("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT")
    if regional is None:
        regional = profile.text("s3_us_east_1_regional_endpoint")
    if regional is None:
        regional = s3.get("us_east_1_regional_endpoint", "legacy")
    style = s3.get("addressing_style", "auto") if options.addressing == "auto" else options.addressing
    if regional not in ("legacy", "regional") or style not in _STYLES:
        raise UnknownSettingsError("a setting of the s3 block has an unknown value")
    url = options.endpoint_url or configured_endpoint(environment, profile)
    return EndpointSettings(
        endpoint_url=url or "",
        region=region or "",
        addressing_style=style,
        use_dualstack=is_true(s3.get("use_dualstack_endpoint"))
        or _yes(profile, environment, "use_dualstack_endpoint"),
        use_fips=_yes(profile, environment, "use_fips_endpoint"),
        use_accelerate=is_true(s3.get("use_accelerate_endpoint")),
        us_east_1_regional_endpoint=regional,
    )


def _yes(profile: AwsProfile, environment: Mapping[str, str], name: str) -> bool:
    variable = environment.get(f"AWS_{name.upper()}")
    return is_true(profile.text(name) if variable is None else variable)


def _verify(options: ConnectOptions, profile: AwsProfile, environment: Mapping[str, str]) -> bool | str:
    if options.ca_bundle is None and not options.verify_tls:
        return False
    path: str | None = options.ca_bundle
    if path is None:
        path = environment.get("AWS_CA_BUNDLE", profile.text("ca_bundle"))
    if path is None:
        path = environment.get("REQUESTS_CA_BUNDLE")
    if path is not None and not os.path.exists(path):
        raise UnknownSettingsError("the CA bundle does not exist")
    return True if path is None else path
