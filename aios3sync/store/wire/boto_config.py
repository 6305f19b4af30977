"""The client tier: credentials, handlers and the addresses of buckets of a boto client. Sends nothing.

The rules (virtual hosts, path style, dual-stack, acceleration, access points, custom endpoints) stay in one
place: a real call of the client is prepared and signed, and stopped before it is sent. A presigned URL is no
substitute: it names the global host where a call names the regional one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from itertools import product
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.text import printable
from aios3sync.errors import CredentialsError, StoreError
from aios3sync.store.boto.credentials import renewable_of
from aios3sync.store.boto.errors import map_errors
from aios3sync.store.renewal import Renewal
from aios3sync.store.s3.addresses import BucketAddress
from aios3sync.store.s3.errors import WireUnavailableError, subject
from aios3sync.store.wire.sigv4 import Credentials

__all__ = (
    "ClientSource",
    "Internals",
    "captured",
    "internals_of",
    "refuse_customised",
    "resolve_address",
)

_EVENTS: Final = (
    *("provide-client-params", "before-parameter-build", "before-endpoint-resolution", "before-call"),
    *("request-created", "choose-signer", "before-sign", "before-send", "response-received"),
    *("before-parse", "needs-retry", "after-call", "after-call-error"),
)
_OPERATIONS: Final = (
    *("PutObject", "UploadPart", "ListObjectsV2", "ListObjects", "DeleteObjects", "HeadObject", "GetObject"),
)
_KNOWN_AUTHORS: Final = frozenset({"aioboto3", "aiobotocore", "aios3sync", "boto3", "botocore"})

_CUSTOM: Final = frozenset({"local_addr", "resolver", "socket_factory", "ssl", "ssl_context"})


UNSIGNED: Final = "requests without credentials"
"""The expected reason: requests are anonymous on purpose, or fail at once for lack of credentials."""


class Internals(NamedTuple):
    """The private attributes of a client that the wire transport needs.

    Attributes:
        credentials: the source of credentials, ``None`` where requests are not signed.
        verify: True, False or the path of a CA bundle.
        proxy: whether requests go through a proxy.
        customised: whether connections are made with certificates, resolvers or TLS of the caller's own.
        handlers: all handlers of the requests that the transport sends itself.
    """

    credentials: Any
    verify: bool | str
    proxy: bool
    customised: bool
    handlers: tuple[Any, ...]


class ClientSource:
    """Credentials and addresses of an open aioboto3 client, see :mod:`aios3sync.store.wire.sources`.

    Args:
        client: open, and prepared for BotoStore.

    Raises:
        WireUnavailableError: the requests of this client need the client itself.
    """

    def __init__(self, client: Any) -> None:
        internals = internals_of(client, client.meta.endpoint_url)
        refuse_customised(internals)
        self.verify: bool | str = internals.verify
        self.secure: bool = client.meta.endpoint_url.startswith("https:")
        self.renewal: Renewal | None = renewable_of(client)
        self.user_agent = ""
        self._client = client
        self._credentials = internals.credentials

    async def credentials(self, operation: str, bucket: str, key: str | None = None) -> Credentials:
        """Return the client's credentials, which refresh themselves before they expire."""
        try:
            with map_errors(operation, bucket, key):
                frozen = await self._credentials.get_frozen_credentials()
        except RuntimeError as error:  # how botocore says that a refresh brought expired ones
            text = f"{subject(operation, bucket, key)}: {printable(str(error))}"
            facts: dict[str, Any] = {"operation": operation, "bucket": bucket, "key": key}
            raise CredentialsError(text, code="Expired", **facts) from error
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    async def address(self, bucket: str) -> BucketAddress:
        """Prepare a call of the client, and return the address that it would be sent to."""
        address, self.user_agent = await resolve_address(self._client, bucket)
        return address

    def moved(self, _bucket: str, address: BucketAddress) -> BucketAddress:
        """Return the address as it is: only its host contains a region."""
        return address


def internals_of(client: Any, url: str) -> Internals:
    """Read the private attributes of ``client``; ``url`` is where its requests go.

    Raises:
        WireUnavailableError: the client does not have the structure of aiobotocore 2.
    """
    try:
        http = client._endpoint.http_session  # noqa: SLF001 - see the docstring of the module
        arguments = http._connector_args or {}  # noqa: SLF001
        emitter = client.meta.events._emitter  # noqa: SLF001
        handlers = emitter._handlers  # noqa: SLF001
        return Internals(
            credentials=client._request_signer._credentials,  # noqa: SLF001
            verify=http._verify,  # noqa: SLF001
            proxy=bool(http._proxy_config.proxy_url_for(url)),  # noqa: SLF001
            customised=bool(http._cert_file) or not arguments.keys().isdisjoint(_CUSTOM),  # noqa: SLF001
            handlers=tuple(_handlers(handlers)),
        )
    except (AttributeError, TypeError) as error:
        raise WireUnavailableError(f"a client of an unknown make ({type(error).__name__})") from error


def refuse_customised(internals: Internals) -> None:
    """Raise WireUnavailableError where requests of our own would differ from those of the client."""
    if internals.credentials is None:
        raise WireUnavailableError(UNSIGNED)
    if internals.proxy:
        raise WireUnavailableError("an HTTP proxy")
    if internals.customised:
        raise WireUnavailableError("connections of the caller's own making")
    active = [handler for handler in internals.handlers if not _is_switched_off(handler)]
    strangers = sorted({name for name in map(_author, active) if _is_stranger(name)})
    if strangers:
        raise WireUnavailableError(f"event handlers of its own ({', '.join(strangers)})")


def _handlers(trie: Any) -> Iterator[Any]:
    for event, operation in product(_EVENTS, _OPERATIONS):
        found: Iterable[Any] = trie.prefix_search(f"{event}.s3.{operation}")
        yield from found


def _author(handler: Any) -> str:
    """Return the module that a handler comes from."""
    while isinstance(handler, partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    return str(getattr(handler, "__module__", None) or type(handler).__module__)


def _is_switched_off(handler: Any) -> bool:
    """Return whether a handler is switched off, such as that of moto while nothing is mocked."""
    return getattr(handler, "enabled", None) is False


def _is_stranger(module: str) -> bool:
    return module.partition(".")[0] not in _KNOWN_AUTHORS


_OPERATION: Final = "GetObject"
_KEY: Final = "k"
_SCOPE: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^,\s]*/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request(?:,|$)"
)
_KNOWN_HEADERS: Final = frozenset(
    {
        *("amz-sdk-invocation-id", "amz-sdk-request", "authorization", "host", "user-agent"),
        *("x-amz-checksum-mode", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"),
        "x-amzn-trace-id",
    }
)
_PORTS: Final = {"http": 80, "https": 443}


class _PreparedError(Exception):
    """Carries a prepared request out of the client, instead of sending it."""

    def __init__(self, request: Any) -> None:
        super().__init__("not sent")
        self.request = request


# Set in the task whose request is stopped: other calls of the same client go on meanwhile.
_stopping: ContextVar[bool] = ContextVar("aios3sync_stopping", default=False)


def _stop(request: Any, **_: Any) -> None:
    if _stopping.get():
        raise _PreparedError(request)


async def resolve_address(client: Any, bucket: str) -> tuple[BucketAddress, str]:
    """Return the address of ``bucket`` with the scope of its signatures, and the client's user agent.

    Raises:
        WireUnavailableError: botocore would send a request that the wire transport cannot send.
        CredentialsError: there is nothing to sign with.
    """
    request = await captured(client, bucket)
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    if "x-amz-s3session-token" in headers:
        raise WireUnavailableError("an S3 Express bucket")
    scope = _SCOPE.match(headers.get("authorization", ""))
    if scope is None or scope[1] == "*":
        raise WireUnavailableError("signatures other than version 4, or none")
    unknown = sorted(headers.keys() - _KNOWN_HEADERS)
    if unknown:
        raise WireUnavailableError(f"a request header of its own ({', '.join(unknown)})")
    return _address(request.url, scope[1], scope[2]), headers.get("user-agent", "")


async def captured(client: Any, bucket: str) -> Any:
    """Return the request that the client would send for one object of ``bucket``."""
    client.meta.events.register(f"before-send.s3.{_OPERATION}", _stop, unique_id="aios3sync-address")
    stopping = _stopping.set(True)
    try:
        with map_errors(_OPERATION, bucket):
            await client.get_object(Bucket=bucket, Key=_KEY)
    except _PreparedError as prepared:
        return prepared.request
    except CredentialsError:
        raise
    except StoreError as error:
        raise WireUnavailableError(f"no address ({error.code})") from error
    finally:
        _stopping.reset(stopping)
    return _unsent()


def _unsent() -> NoReturn:
    raise WireUnavailableError("a client that answers by itself")


def _address(url: str, region: str, service: str) -> BucketAddress:
    parts = urlsplit(url)
    if parts.query or not parts.hostname or parts.scheme not in _PORTS or not parts.path.endswith(f"/{_KEY}"):
        raise WireUnavailableError("an address of a form that is not known")
    usual = _PORTS[parts.scheme]
    port = parts.port or usual
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return BucketAddress(
        secure=parts.scheme == "https",
        host=parts.hostname,
        port=port,
        authority=name if port == usual else f"{name}:{port}",
        root=parts.path.removesuffix(_KEY),
        region=region,
        service=service,
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
