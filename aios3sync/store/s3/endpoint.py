"""What the name of an endpoint says: whether it is AWS, and what it can do. Pure, and light to load."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aios3sync.store.protocol import StoreCapabilities

__all__ = ("AWS", "capabilities_at", "is_aws_host", "is_aws_url")

AWS: Final = "aws"
"""The name of AWS's own endpoint: buckets are global, so the region does not matter."""
_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn")


def is_aws_host(host: str) -> bool:
    """Return whether a host is one of AWS's own."""
    return host.endswith(_AWS_DOMAINS)


def is_aws_url(url: str) -> bool:
    """Return whether a URL leads to a host of AWS's own."""
    return is_aws_host(urlsplit(url).hostname or "")


def capabilities_at(url: str, bucket: str = "") -> StoreCapabilities:
    """Return what the endpoint of ``url`` is known to do: AWS's own sorts and has conditional deletes.

    Directory buckets (S3 Express, ``--x-s3``) and Outposts sort nothing.
    """
    from aios3sync.core.keys import is_directory_bucket  # not at the top: upload processes load this module

    host = urlsplit(url).hostname or ""
    special = "s3express" in host or "outpost" in host or "outpost" in bucket or is_directory_bucket(bucket)
    documented = is_aws_host(host) and not special
    return StoreCapabilities(sorted_listing=documented, conditional_delete=documented)
