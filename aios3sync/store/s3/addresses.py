"""Resolves the addresses of buckets by rules of our own; pure, and quick to load: botocore's are megabytes.

A test compares the rules with botocore's resolver. Cases that they do not cover are not guessed, but left to
botocore:

=================================  =====================================================================
case                               why
=================================  =====================================================================
ARNs                               access points, Outposts, Object Lambda, several regions: rules of their own
names ending in ``--…-s3``         directory buckets (S3 Express) and Outposts, which sign otherwise
names ending in ``.mrap``          access points of several regions, which sign with version 4A
``fips`` in the region             a pseudo-region of the past, which botocore translates
unknown partition                  the domain of a region of another form is not known
settings that exclude each other   acceleration with FIPS or an endpoint, FIPS in China, …: botocore says why
unusual endpoint URLs              credentials, queries, white space, paths that need normalising or quoting
=================================  =====================================================================

Sources: the rule set of endpoints that AWS publishes with its SDKs,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html (styles),
https://docs.aws.amazon.com/general/latest/gr/s3.html (hosts).
"""

from __future__ import annotations

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final
from aios3sync.core.endpoints import plain_parts
from aios3sync.store.s3.endpoint import is_aws_host

__all__ = ("US_EAST_1", "BucketAddress", "EndpointSettings", "is_region", "resolve")


class EndpointSettings(NamedTuple):
    """The settings of a client for addresses, as the AWS SDKs name them.

    Attributes:
        endpoint_url: a custom endpoint; empty for AWS's own.
        region: empty where none is set, which means ``us-east-1`` in S3.
        addressing_style: ``auto``, ``path`` or ``virtual``.
        use_dualstack: hosts that have IPv6 as well; ignored at a custom endpoint.
        use_fips: hosts with validated cryptography; ignored at a custom endpoint.
        use_accelerate: S3 Transfer Acceleration.
        us_east_1_regional_endpoint: ``legacy`` for the global host in ``us-east-1``, or ``regional``.
    """

    endpoint_url: str = ""
    region: str = ""
    addressing_style: str = "auto"
    use_dualstack: bool = False
    use_fips: bool = False
    use_accelerate: bool = False
    us_east_1_regional_endpoint: str = "legacy"


class BucketAddress(NamedTuple):
    """The address of requests for one bucket, and the scope of their signatures.

    Attributes:
        secure: over TLS.
        host: the name to connect to, in lower case; of IPv6 without brackets.
        port: the port to connect to.
        authority: the value of ``Host``: without the port where that is the usual one.
        root: the path that keys are appended to; ends in ``/``.
        region, service: scope of signatures.
    """

    secure: bool
    host: str
    port: int
    authority: str
    root: str
    region: str
    service: str

    def in_region(self, region: str) -> BucketAddress:
        """Return the same bucket in another region; only AWS's own hosts have the region in their name."""
        host = self.host
        if is_aws_host(host):
            before, dot, domain = host.rpartition(".amazonaws.com")
            labels = before.split(".")
            if self.region in labels:
                labels[len(labels) - 1 - labels[::-1].index(self.region)] = region
            elif labels[-1] == "s3":
                labels.append(region)
            host = f"{'.'.join(labels)}{dot}{domain}"
        return self._replace(host=host, authority=self.authority.replace(self.host, host, 1), region=region)


_LAST_PORT: Final = 65_535
_STYLES: Final = ("auto", "path", "virtual")
US_EAST_1: Final = "us-east-1"
_GLOBAL: Final = "aws-global"
"""The pseudo-region of the host that finds buckets of all regions; it signs for us-east-1."""

_COMMERCIAL: Final = "amazonaws.com"
_CHINA: Final = "amazonaws.com.cn"
# What comes before the place and the number in the name of a region -> the domain of its partition.
_DOMAINS: Final = {
    **dict.fromkeys(("af", "ap", "ca", "eu", "il", "me", "mx", "sa", "us", "us-gov"), _COMMERCIAL),
    "cn": _CHINA,
    "eu-isoe": "cloud.adc-e.uk",
    "eusc-de": "amazonaws.eu",
    "us-iso": "c2s.ic.gov",
    "us-isob": "sc2s.sgov.gov",
    "us-isof": "csp.hci.ic.gov",
}
_WITH_DUALSTACK: Final = (_COMMERCIAL, _CHINA)
_ACCELERATED: Final = ("s3-accelerate.amazonaws.com", "s3-accelerate.dualstack.amazonaws.com")

_LOWER_LABEL: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LABEL: Final = frozenset(map(str.upper, _LOWER_LABEL)) | _LOWER_LABEL
_HOST_LABEL: Final = _LABEL | frozenset("_")
_NAME: Final = _HOST_LABEL | frozenset(".")
_PATH: Final = _NAME | frozenset("/~")


def resolve(bucket: str, settings: EndpointSettings, region: str = "") -> BucketAddress | None:
    """Return the address of a bucket; ``None`` where the rules are not certain, see the module's docstring.

    Args:
        bucket: its name, or the alias of an access point.
        settings: those of the client.
        region: the one that a response named, if it is not the client's.
    """
    if not _is_covered(bucket) or settings.addressing_style not in _STYLES:
        return None
    if "fips" in region or "fips" in settings.region:
        return None
    # Only a client that was made for us-east-1 goes to the global host: one that was sent there does not.
    goes_global = settings.region in ("", US_EAST_1) and settings.us_east_1_regional_endpoint != "regional"
    region = region or settings.region or (US_EAST_1 if goes_global else _GLOBAL)
    if settings.endpoint_url:
        return _at_endpoint(bucket, settings, region)
    return _at_aws(bucket, settings, region, goes_global=goes_global)


def _is_covered(bucket: str) -> bool:
    if not 0 < len(bucket) <= 255 or not _NAME.issuperset(bucket) or not bucket.strip("."):
        return False
    return not bucket.endswith(".mrap") and not ("--" in bucket and bucket.endswith("-s3"))


def _at_aws(
    bucket: str, settings: EndpointSettings, region: str, *, goes_global: bool
) -> BucketAddress | None:
    signed_for = US_EAST_1 if region == _GLOBAL else region
    domain = _domain(signed_for)
    is_china = domain == _CHINA
    if not domain or (settings.use_fips and is_china):
        return None
    if settings.use_dualstack and domain not in _WITH_DUALSTACK:
        return None
    is_virtual = _is_host_label(bucket)
    dualstack = ".dualstack" if settings.use_dualstack else ""
    if settings.use_accelerate:
        if settings.use_fips or is_china or not is_virtual or (dualstack and region == _GLOBAL):
            return None
        host = f"s3-accelerate{dualstack}.{domain}"
    else:
        is_virtual = is_virtual and settings.addressing_style != "path"
        is_global = region == _GLOBAL or (goes_global and region == US_EAST_1)
        if is_global and not dualstack and not settings.use_fips:
            host = f"s3.{domain}"
        else:
            host = f"{'s3-fips' if settings.use_fips else 's3'}{dualstack}.{signed_for}.{domain}"
    if is_virtual:
        return _address("https", f"{bucket}.{host}", None, "/", signed_for)
    return _address("https", host, None, f"/{bucket}/", signed_for)


def _domain(region: str) -> str:
    """Return the domain of the partition of a region; empty for a region of no known form."""
    labels = region.rsplit("-", 2)
    if len(labels) != 3 or not region.isascii():
        return ""
    partition, place, number = labels
    return _DOMAINS.get(partition, "") if place.isalpha() and place.islower() and number.isdigit() else ""


def _at_endpoint(bucket: str, settings: EndpointSettings, region: str) -> BucketAddress | None:
    try:
        scheme, place, host, port, path = _split(settings.endpoint_url)
    except ValueError:
        return None
    if not _is_covered_url(settings.endpoint_url, scheme, host, port, path):
        return None
    signed_for = US_EAST_1 if region == _GLOBAL else region
    if settings.use_accelerate or not is_region(signed_for):
        return None
    if settings.use_dualstack and _domain(signed_for) not in _WITH_DUALSTACK:
        return None
    if host.startswith("s3-accelerate.") and place not in _ACCELERATED:
        return None  # which of them botocore takes for its own depends on more than the host
    base = path if path.endswith("/") else f"{path}/"
    in_host = _address(scheme, f"{bucket}.{host}", port, base, signed_for)
    in_path = _address(scheme, host, port, f"{base}{bucket}/", signed_for)
    style, is_ip = settings.addressing_style, ":" in host or _is_ipv4(host)
    if style == "path" or (style == "auto" and place not in _ACCELERATED):
        return in_path
    if _is_host_label(bucket):
        return in_path if is_ip else in_host
    if scheme == "http" and _is_host_name(bucket):
        # botocore puts names before the numbers, and signs for the pseudo-region: neither is right.
        return None if is_ip or region == _GLOBAL else in_host
    return in_path


def _split(url: str) -> tuple[str, str, str, int | None, str]:
    """Return scheme, host and port as they are written, host in lower case, port and path of a URL.

    Raises:
        ValueError: it is none.
    """
    plain = plain_parts(url)
    if plain is not None:
        scheme, host, port, path = plain
        if port and int(port) > _LAST_PORT:
            raise ValueError("a port that no host has")
        place = f"{host}:{port}" if port else host
        return scheme, place, host.lower(), int(port) if port else None, path
    from urllib.parse import urlsplit  # loads four modules, and most URLs are plain

    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.hostname or "", parts.port, parts.path


def _is_covered_url(url: str, scheme: str, host: str, port: int | None, path: str) -> bool:
    if scheme not in ("http", "https") or not host or port == 0 or not _PATH.issuperset(path):
        return False
    if "//" in path or "/." in path:  # would be normalised in one style, and not in the other
        return False
    # What urlsplit takes away or keeps elsewhere; and what it reads as a part of the host.
    if not url.isprintable() or any(sign in url for sign in " @?#"):
        return False
    return _is_ipv6(host) if ":" in host else _is_host(host)


def _address(scheme: str, host: str, port: int | None, root: str, region: str) -> BucketAddress:
    usual = 443 if scheme == "https" else 80
    port = port or usual
    name = f"[{host}]" if ":" in host else host
    authority = name if port == usual else f"{name}:{port}"
    return BucketAddress(scheme == "https", host, port, authority, root, region, "s3")


def _is_host_label(bucket: str) -> bool:
    """Whether the name can be one label of a host, so that certificates of AWS are valid for it."""
    return 3 <= len(bucket) <= 63 and _LOWER_LABEL.issuperset(bucket) and bucket[0] != "-" != bucket[-1]


def _is_host_name(bucket: str) -> bool:
    """Whether the name can be some labels of a host; certificates of AWS are valid for one only."""
    labels = bucket.split(".")
    return (
        len(bucket) >= 3
        and not _is_ipv4(bucket)
        and all(
            0 < len(label) <= 63 and _LOWER_LABEL.issuperset(label) and label[0] != "-" != label[-1]
            for label in labels
        )
    )


def is_region(region: str) -> bool:
    """Return whether botocore accepts the name of a region: a label that is no number."""
    return (
        0 < len(region) <= 63
        and _LABEL.issuperset(region)
        and not region.isdigit()
        and region[0] != "-" != region[-1]
    )


def _is_host(host: str) -> bool:
    """Whether a client can be made for the host: botocore's rule, and ``_`` which the package allows."""
    return len(host) <= 255 and all(
        0 < len(label) <= 63 and _HOST_LABEL.issuperset(label) and label[0] != "-" != label[-1]
        for label in host.removesuffix(".").split(".")
    )


def _is_ipv4(host: str) -> bool:
    numbers = host.split(".")
    return len(numbers) == 4 and all(number.isdigit() and len(number) <= 3 for number in numbers)


def _is_ipv6(host: str) -> bool:
    from socket import AF_INET6, inet_pton  # such hosts are rare; whatever connects loads it anyway

    try:
        inet_pton(AF_INET6, host)
    except OSError:
        return False
    return True
