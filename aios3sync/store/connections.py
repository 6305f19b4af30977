"""Connections: the transports and the client of a session's stores, opened when first needed.

The tiers and what each of them loads are listed in :mod:`aios3sync.store.wire.sources`.
"""

from __future__ import annotations

import importlib
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.errors import UsageError
from aios3sync.options import ConnectOptions
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ObjectStore, StoreCapabilities
from aios3sync.store.renewal import AllRenewed, Renewal
from aios3sync.store.s3.endpoint import capabilities_at
from aios3sync.store.s3.endpoint_config import endpoint_url
from aios3sync.store.wrappers.session_state import SessionState

if TYPE_CHECKING:
    from aios3sync.store.observer import Observer
    from aios3sync.store.wire.transport import WireTransport

__all__ = ("Connections", "load")

_LOG: Final = logging.getLogger(__name__)

_loaded: Final[set[str]] = set()


async def load(*modules: str) -> None:
    """Import modules in a thread, so that importing them here afterwards takes no time.

    botocore and its dependencies take from a third of a second to two seconds, and many runs never need them.
    So they are imported late, and in a thread, as the import would block the event loop.
    """
    if not _loaded.issuperset(modules):
        await to_thread.run_sync(lambda: list(map(importlib.import_module, modules)))
        _loaded.update(modules)


class Connections:
    """The wire transports and the client of one session; each is opened once, by the first store of its kind.

    Args:
        options: how to reach S3.
        closing: closes everything that is opened here.
        access: takes the credentials, so that they are replaced when they are refused.
        session: the caller's own aioboto3 session, or ``None``.
        client: the caller's own open client, or ``None``; it is not closed.
        observer: takes each request that has ended; ``None`` for no observer.
    """

    def __init__(
        self,
        options: ConnectOptions,
        closing: AsyncExitStack,
        access: SessionState,
        session: Any = None,
        client: Any = None,
        observer: Observer | None = None,
    ) -> None:
        self._options = options
        self._observer = observer
        self._closing = closing
        self._access = access
        self._session = session
        self._client = client
        self._configured: WireTransport | None = None
        self._of_client: WireTransport | None = None
        # A session or a client of the caller's has settings that only itself knows.
        self._may_configure = session is None and client is None and options.lane != "boto"
        self._has_keys = True
        self._has_client = False
        self._may_adapt = options.lane != "boto"
        self._renewals: list[Renewal] = []
        self._warned = False

    async def open_store(
        self, bucket: str, endpoint: str, profile: EndpointProfile, **reading: Any
    ) -> ObjectStore:
        """Open the store of a bucket; one caller at a time.

        Args:
            bucket: a name, an access-point alias or an ARN.
            endpoint: its URL, or ``aws``.
            profile: of the endpoint.
            reading: ``sse_customer_key`` and ``request_payer`` for requests that read.

        Raises:
            CredentialsError: there are none, or they cannot be obtained.
            UsageError: an option or a setting is invalid.
        """
        await load("aios3sync.store.wire.store", "aios3sync.store.wire.sources")
        from aios3sync.store.s3.errors import WireUnavailableError

        if self._may_configure:
            try:
                transport = await self._open_configured()
                if transport is not None:
                    known = _known(endpoint, bucket, profile)
                    return await _wire_store(transport, bucket, known, profile, **reading)
            except WireUnavailableError as error:
                _LOG.debug("a client is opened for %s", error)
        return await self._open_by_client(bucket, profile, **reading)

    async def _open_configured(self) -> WireTransport | None:
        """Open the static or the chain tier; ``None`` where neither is certain."""
        if self._configured is None:
            from aios3sync.store.s3.errors import WireUnavailableError
            from aios3sync.store.wire.sources import NoKeysError, open_configured
            from aios3sync.store.wire.transport import WireTransport

            try:
                source = await open_configured(self._options)
            except NoKeysError:
                self._has_keys = self._may_configure = False
                raise
            if source is None:
                self._may_configure = False  # asking once more would take as long
                return None
            try:
                self._configured = await WireTransport.open_source(source, self._options)
                self._configured.observer = self._observer
            except WireUnavailableError:
                self._may_configure = False
                raise
            self._closing.push_async_callback(self._configured.aclose)
            self._renew_by(source.renewal)
        return self._configured

    async def _open_by_client(self, bucket: str, profile: EndpointProfile, **reading: Any) -> ObjectStore:
        await load("aios3sync.store.boto", "aios3sync.store.wire.boto_config")
        from aios3sync.store.boto import BotoStore
        from aios3sync.store.s3.errors import WireUnavailableError

        if not self._has_client:
            await self._open_client()
        if self._may_adapt:
            await self._open_wire_of_client()
        known = _known(self._client.meta.endpoint_url, bucket, profile)
        try:
            if self._of_client is not None:
                return await _wire_store(self._of_client, bucket, known, profile, **reading)
        except WireUnavailableError as error:
            self._without_wire(error)
        return BotoStore(self._client, bucket, known, profile=profile, observer=self._observer, **reading)

    async def _open_client(self) -> None:
        """Open the client, or prepare the caller's."""
        from aios3sync.store.boto import adopt_client, open_client, renewable_of

        if self._client is None:
            options = self._options
            if self._session is None:  # what the environment and the configuration say is cleaned as well
                url = await to_thread.run_sync(endpoint_url, options)
                options = replace(options, endpoint_url=url)
            opening = open_client(options, self._session, has_keys=self._has_keys)
            self._client = await self._closing.enter_async_context(opening)
        else:
            adopt_client(self._client)
        self._renew_by(renewable_of(self._client))
        self._has_client = True

    async def _open_wire_of_client(self) -> None:
        """Open the wire transport that uses the client; after a cancellation the next store opens it."""
        from aios3sync.store.s3.errors import WireUnavailableError
        from aios3sync.store.wire.transport import WireTransport

        try:
            self._of_client = await WireTransport.open(self._client, self._options)
            self._of_client.observer = self._observer
        except WireUnavailableError as error:
            self._may_adapt = False
            self._without_wire(error)
        else:
            self._may_adapt = False
            self._closing.push_async_callback(self._of_client.aclose)

    def _renew_by(self, renewal: Renewal | None) -> None:
        if renewal is not None:
            self._renewals.append(renewal)
            self._access.credentials = AllRenewed(self._renewals) if self._renewals[1:] else renewal

    def _without_wire(self, reason: Exception) -> None:
        """Use BotoStore and log that once, unless the options demand the wire transport."""
        if self._options.lane == "wire":
            raise UsageError(f"lane: 'wire' cannot serve {reason}; use 'auto'") from reason
        from aios3sync.store.wire.boto_config import UNSIGNED

        if not self._warned:
            level = logging.DEBUG if str(reason) == UNSIGNED else logging.WARNING
            _LOG.log(level, "requests go through botocore, which is slower: %s", reason)
            self._warned = True


def _known(endpoint: str, bucket: str, profile: EndpointProfile) -> StoreCapabilities:
    known = capabilities_at(endpoint, bucket)
    if profile.etags == "unknown" and known.conditional_delete:
        profile.etags = "md5"  # AWS documents it; responses show encryption that makes others
    return known


async def _wire_store(
    transport: WireTransport, bucket: str, known: StoreCapabilities, profile: EndpointProfile, **reading: Any
) -> ObjectStore:
    from aios3sync.store.wire.store import open_wire

    return await open_wire(transport, bucket, known, profile, **reading)
