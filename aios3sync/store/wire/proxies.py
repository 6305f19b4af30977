"""Decides whether requests go through a proxy, by botocore's rules: those of the standard library."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ("is_proxied",)


def is_proxied(url: str) -> bool:
    """Return whether the environment, or the system, names a proxy for requests to a URL.

    Blocks: on some systems the settings are read.
    """
    parts = urlsplit(url)
    return bool(getproxies().get(parts.scheme)) and not proxy_bypass(parts.netloc)
