"""Names AWS's own endpoint, and checks the URLs of others, wherever they are given. Pure."""

from __future__ import annotations

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Final
from aios3sync.errors import UsageError

__all__ = ("AWS", "check_bucket_in_endpoint", "checked_endpoint", "host_of", "plain_parts")

AWS: Final = "aws"
"""The name of AWS's own endpoint: buckets are global, so the region does not matter."""
_URL: Final = lazy_pattern(
    r"(?i)https?://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@\[\]:]+)(?::(?P<port>\d{1,5}))?(?:/[^\s?#]*)?"
)
_QUOTES: Final = "\"'"
_AWS_HOSTS: Final = (".amazonaws.com", ".amazonaws.com.cn")
_BUCKET_IN_URL: Final = (
    "the URL of the endpoint names the bucket {bucket!r} as well ({url}); leave it out, for s3://{bucket} "
    "names it: --endpoint-url {better}"
)
_PORT_DIGITS: Final = 5
_EXAMPLE: Final = "http://127.0.0.1:8333"


def checked_endpoint(text: str, origin: str) -> str:
    """Return the URL in a text, without white space and a pair of quotes around it.

    Environment files and secrets of containers keep both. Any host that can be looked up is accepted, one
    with ``_`` too, as docker compose names its services.

    Args:
        text: what was given.
        origin: the option, variable or setting that it comes from.

    Raises:
        UsageError: it is no URL of HTTP, or holds credentials, which are then not repeated.
    """
    url = text.strip()
    if len(url) >= 2 and url[0] == url[-1] and url[0] in _QUOTES:
        url = url[1:-1].strip()
    if "@" in url:
        raise UsageError(
            f"{origin}: the URL holds a user name or a password, which would end up in logs; leave them out "
            "and give the keys as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in a profile"
        )
    if "?" in url or "#" in url:
        raise UsageError(f"{origin}: the URL holds a query or a fragment; write for example {_EXAMPLE}")
    found = _split(url)
    if found is None or not 0 < int(found[1] or 80) < 65_536:
        hint = f"http://{url} or https://{url}" if _is_without_scheme(url) else _EXAMPLE
        raise UsageError(f"{origin}: {text!r} is not a URL; write for example {hint}")
    return url


def host_of(url: str) -> str:
    """Return the host of a URL in lower case, of IPv6 in brackets; empty where it is no URL of HTTP."""
    found = _split(url)
    return "" if found is None else found[0].lower()


def _split(url: str) -> tuple[str, str] | None:
    """Return the host and the port, which may be empty, of a URL of HTTP; ``None`` for anything else."""
    plain = plain_parts(url)
    if plain is not None:  # as most are: no pattern has to be compiled
        return plain[1], plain[2]
    found = _URL.fullmatch(url)
    return None if found is None else (found["host"], found["port"] or "")


def plain_parts(url: str) -> tuple[str, str, str, str] | None:
    """Return scheme, host, port and path of a plain URL of HTTP, the last two perhaps empty.

    ``None`` for any other text, which may be a URL as well: of a host in brackets, or of a path that is more
    than letters, digits and slashes. The port has up to five digits, and may be one that no host has.
    """
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    host, colon, port = place.partition(":")
    names = f"{host.replace('.', '').replace('-', '')}{path.replace('/', '')}"
    if scheme not in ("http", "https") or not (host and names.isalnum() and url.isascii()):
        return None
    if colon and not (port.isdigit() and len(port) <= _PORT_DIGITS):
        return None
    return scheme, host, port, slash + path


def check_bucket_in_endpoint(url: str, bucket: str) -> None:
    """Refuse an endpoint that names the bucket as well: objects would get keys that begin with its name.

    Args:
        url: of the endpoint.
        bucket: of a request.

    Raises:
        UsageError: the path of the URL ends with the bucket, or it is the address of a bucket of AWS.
    """
    base, _, last = url.rstrip("/").rpartition("/")
    if "://" in base and last == bucket:
        raise UsageError(_BUCKET_IN_URL.format(url=url, bucket=bucket, better=base))
    scheme, _, host = url.partition("://")
    if host.startswith(f"{bucket}.s3") and host.rstrip("/").endswith(_AWS_HOSTS):
        better = f"{scheme}://{host[len(bucket) + 1 :]}"
        raise UsageError(_BUCKET_IN_URL.format(url=url, bucket=bucket, better=better))


def _is_without_scheme(url: str) -> bool:
    return "//" not in url and _URL.fullmatch(f"http://{url}") is not None
