"""Derives facts from the name of an endpoint: whether it is AWS, and what it can do. Pure, quick to load."""

from __future__ import annotations

from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.endpoints import AWS, host_of
from aios3sync.store.protocol import StoreCapabilities

if TYPE_CHECKING:
    from aios3sync.store.endpoint_profile import EndpointProfile

__all__ = ("capabilities_at", "is_aws_host", "is_aws_url", "observed_capabilities")

_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn")


def is_aws_host(host: str) -> bool:
    """Return whether a host is one of AWS's own."""
    return host.endswith(_AWS_DOMAINS)


def is_aws_url(url: str) -> bool:
    """Return whether a URL leads to a host of AWS's own."""
    return is_aws_host(host_of(url))


def capabilities_at(url: str, bucket: str = "") -> StoreCapabilities:
    """Return what an endpoint is known to do: AWS's own sorts and has conditional deletes.

    Directory buckets (S3 Express, ``--x-s3``) and Outposts sort nothing.

    Args:
        url: of the endpoint; :data:`~aios3sync.core.endpoints.AWS` for one of AWS's own, whatever its region.
        bucket: a name, an access-point alias or an ARN.
    """
    from aios3sync.core.keys import is_directory_bucket  # not at the top: upload processes load this module

    host = host_of(url)
    special = "s3express" in host or "outpost" in host or "outpost" in bucket or is_directory_bucket(bucket)
    documented = (url == AWS or is_aws_host(host)) and not special
    return StoreCapabilities(sorted_listing=documented, conditional_delete=documented)


def observed_capabilities(known: StoreCapabilities, profile: EndpointProfile) -> StoreCapabilities:
    """Return what an endpoint can do, from its name and its responses."""
    opaque = known.opaque_etags or profile.etags == "opaque"
    ordered = profile.list_order == "bytes" or (known.sorted_listing and not profile.list_order)
    if (opaque, ordered) == (known.opaque_etags, known.sorted_listing):
        return known
    return StoreCapabilities(ordered, known.conditional_delete, opaque)
