"""WireTransport: connections, credentials, addresses and clock, shared by wire stores of one source."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.keys import is_directory_bucket
from aios3sync.options import ConnectOptions
from aios3sync.store.s3.addresses import BucketAddress
from aios3sync.store.s3.errors import WireUnavailableError
from aios3sync.store.s3.redaction import register_credentials
from aios3sync.store.wire.pool import Limits, Origin, Pool
from aios3sync.store.wire.signing import HeadWriter
from aios3sync.store.wire.sigv4 import Credentials, Signer
from aios3sync.store.wire.sources import WireSource
from aios3sync.store.wire.tls import TrustedAuthorities

if TYPE_CHECKING:
    from aios3sync.store.observer import Observer

__all__ = ("BucketRoute", "WireTransport")

# A source of credentials knows itself when to renew them; it is only not asked for every request.
_CREDENTIALS_LAST: Final = 1.0
_MULTI_REGION: Final = (".mrap", ".mrap.alias")


class BucketRoute(NamedTuple):
    """The current route to one bucket: its address, the signer of request heads, the connections."""

    address: BucketAddress
    heads: HeadWriter
    pool: Pool


class WireTransport:
    """Connections, credentials and clock of one source; opened by :meth:`open_source`.

    Attributes:
        credentials: the current ones, with which requests are signed.
        renew_at: when they have to be requested again, on the monotonic clock.
        skew: seconds that the endpoint's clock is ahead of ours; 0 until it refuses a request for that.
        observer: takes each request that has ended; ``None`` for no observer.
    """

    observer: Observer | None = None

    def __init__(self, source: WireSource, options: ConnectOptions) -> None:
        self.credentials = Credentials("", "")
        self.renew_at = 0.0
        self.skew = 0.0
        self._source = source
        self._limits = Limits(options.workers, connect=options.connect_timeout, read=options.read_timeout)
        self._resolving = anyio.Lock()
        self._addresses: dict[str, BucketAddress] = {}
        self._pools: dict[Origin, Pool] = {}
        self._tls: ssl.SSLContext | None = None

    @classmethod
    async def open(cls, client: Any, options: ConnectOptions) -> Self:
        """Open a transport for an open aioboto3 client, whose credentials and endpoint rules it uses.

        Raises:
            WireUnavailableError: the requests of this client need the client itself.
            CredentialsError: there are none, or they cannot be obtained.
        """
        # Loaded here: it loads aioboto3, which other sources do without.
        from aios3sync.store.wire.boto_config import ClientSource

        return await cls.open_source(ClientSource(client), options)

    @classmethod
    async def open_source(cls, source: WireSource, options: ConnectOptions) -> Self:
        """Open a transport with the credentials and addresses of a source, see :mod:`.sources`.

        Raises:
            WireUnavailableError: the certificate authorities cannot be read.
            CredentialsError: there are no credentials, or they cannot be obtained.
        """
        transport = cls(source, options)
        if source.renewal is not None:
            source.renewal.listeners.append(transport.expire)
        await transport.renew("Connect", "")
        if source.secure:
            # Loaded here, in a thread: a bundle of authorities has a quarter of a megabyte.
            from aios3sync.store.wire.tls import client_context

            transport._tls = await to_thread.run_sync(client_context, source.verify)
        return transport

    @property
    def limits(self) -> Limits:
        """The limits of connections."""
        return self._limits

    def authorities(self) -> TrustedAuthorities:
        """Return the trusted authorities. Blocks: files are read."""
        from aios3sync.store.wire.tls import authorities_of

        return authorities_of(self._source.verify)

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    def expire(self) -> None:
        """Make the next request obtain the credentials again: they were replaced."""
        self.renew_at = 0.0

    async def renew(self, operation: str, bucket: str, key: str | None = None) -> None:
        """Obtain the credentials from their source again; it refreshes those that are about to expire.

        Raises:
            CredentialsError: they expired, and there are no others.
        """
        found = await self._source.credentials(operation, bucket, key)
        if found != self.credentials:
            register_credentials(found.access_key, found.secret_key, found.token)
            self.credentials = found
        self.renew_at = time.monotonic() + _CREDENTIALS_LAST

    async def route_to(self, bucket: str) -> BucketRoute:
        """Return the route to ``bucket``; its address is resolved once.

        Raises:
            WireUnavailableError: the bucket is of a type that needs more than a signature.
        """
        if is_directory_bucket(bucket):
            raise WireUnavailableError("an S3 Express bucket")
        if bucket.endswith(_MULTI_REGION):
            raise WireUnavailableError("a multi-region access point")
        async with self._resolving:
            if bucket not in self._addresses:
                self._addresses[bucket] = await self._source.address(bucket)
        return self.route(self._addresses[bucket])

    def moved(self, bucket: str, address: BucketAddress) -> BucketRoute:
        """Remember that ``bucket`` is in the region of this address, and return the route to it."""
        self._addresses[bucket] = found = self._source.moved(bucket, address)
        return self.route(found)

    def route(self, address: BucketAddress) -> BucketRoute:
        """Return the route to an address, with the current credentials."""
        signer = Signer(self.credentials, address.region, address.service)
        heads = HeadWriter(signer, address.authority, address.root, self._source.user_agent)
        origin = Origin(address.host, address.port, self._tls if address.secure else None)
        if address.secure and self._tls is None:
            raise WireUnavailableError("an address that is secure where the endpoint is not")
        if origin not in self._pools:
            self._pools[origin] = Pool(origin, self._limits)
        return BucketRoute(address, heads, self._pools[origin])
