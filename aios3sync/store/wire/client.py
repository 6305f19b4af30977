"""What the wire lane needs of an aioboto3 client and botocore offers to nobody: the one place that asks.

Everything private is read by :func:`internals_of`; what is not where it is expected makes the lane
unavailable, which is no failure: BotoStore serves then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product
from typing import Any, Final, NamedTuple

from aios3sync.store.wire.boto_config import WireUnavailableError

__all__ = ("Internals", "internals_of", "refuse_customised")

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
"""The reason that is no surprise: they are anonymous on purpose, or fail at once for want of credentials."""


class Internals(NamedTuple):
    """What is reachable only through private attributes of a client.

    Attributes:
        credentials: the source of credentials, ``None`` where requests are not signed.
        verify: True, False or the path of a CA bundle.
        proxy: whether requests go through a proxy.
        customised: whether connections are made with certificates, resolvers or TLS of the caller's own.
        handlers: everything that is called for one of the requests which the lane sends itself.
    """

    credentials: Any
    verify: bool | str
    proxy: bool
    customised: bool
    handlers: tuple[Any, ...]


def internals_of(client: Any, url: str) -> Internals:
    """Read the private attributes of ``client``; ``url`` is where its requests go.

    Raises:
        WireUnavailableError: the client is not made as aiobotocore 2 makes it.
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
    """Raise WireUnavailableError where requests of our own would be other requests than the client's."""
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
    """The module that a handler comes from."""
    while isinstance(handler, partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    return str(getattr(handler, "__module__", None) or type(handler).__module__)


def _is_switched_off(handler: Any) -> bool:
    """Moto adds a handler to every client as soon as it is imported, which does nothing until it mocks."""
    return getattr(handler, "enabled", None) is False


def _is_stranger(module: str) -> bool:
    return module.partition(".")[0] not in _KNOWN_AUTHORS
