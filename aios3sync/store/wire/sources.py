"""Sources of credentials and addresses for wire transports: the first certain one of three tiers is used.

=======  ==========================================  ================================  ====================
tier     credentials                                 addresses of buckets              loads
=======  ==========================================  ================================  ====================
static   plain: of the environment or of a profile   rules of our own                  nothing of botocore
chain    botocore's chain: roles, web identity,      rules of our own                  botocore, in a thread
         SSO, processes, containers, machines
client   those of an aioboto3 client: the caller's   a call of the client, prepared    aioboto3
         own, or one that is opened for it           and signed, and not sent
=======  ==========================================  ================================  ====================

The settings of the first two (region, endpoint, style, certificates, …) are read by ``settings.py``. The
client tier (``boto_config.py``) serves all other cases: a session or client of the caller's, an unknown
setting, a missing or broken profile, a bucket whose address the rules do not cover, a proxy, requests without
credentials. Cases that it cannot serve either (S3 Express, multi-region access points, event handlers of the
caller's own) go through the client itself.
"""

from __future__ import annotations

import importlib
import logging
import os
from functools import partial
from typing import Final, NoReturn, Protocol

import anyio
from anyio import to_thread

from aios3sync.errors import CredentialsError, UsageError
from aios3sync.options import ConnectOptions
from aios3sync.store.renewal import Renewal
from aios3sync.store.s3.addresses import BucketAddress, resolve
from aios3sync.store.s3.aws_files import UnknownSettingsError
from aios3sync.store.s3.errors import WireUnavailableError
from aios3sync.store.wire.credentials import (
    CredentialProvider,
    CredentialsUnavailableError,
    static_credentials,
)
from aios3sync.store.wire.settings import Settings, read_settings
from aios3sync.store.wire.signing import USER_AGENT
from aios3sync.store.wire.sigv4 import Credentials

__all__ = ("ConfiguredSource", "WireSource", "open_configured")

_LOG: Final = logging.getLogger(__name__)
_NO_KEYS: Final = "there are no credentials"
_OPENING: Final = "opening the S3 client"


class WireSource(Protocol):
    """Credentials and addresses for a wire transport.

    Attributes:
        verify: True, False or the path of certificate authorities, as botocore's option.
        secure: whether requests go over TLS.
        renewal: replaces the credentials when they are refused; ``None`` where nothing does.
        user_agent: what the client calls itself, known with the first address.
    """

    @property
    def verify(self) -> bool | str: ...  # noqa: D102 - see above
    @property
    def secure(self) -> bool: ...  # noqa: D102 - see above
    @property
    def renewal(self) -> Renewal | None: ...  # noqa: D102 - see above
    @property
    def user_agent(self) -> str: ...  # noqa: D102 - see above

    async def credentials(self, operation: str, bucket: str, key: str | None = None) -> Credentials:
        """Return the current credentials; the arguments are for error messages.

        Raises:
            CredentialsError: they expired or cannot be sent, and there are no others.
        """
        ...

    async def address(self, bucket: str) -> BucketAddress:
        """Return the address of a bucket.

        Raises:
            WireUnavailableError: it has no address that a wire transport can use.
        """
        ...

    def moved(self, bucket: str, address: BucketAddress) -> BucketAddress:
        """Return the address of a bucket that turned out to be in the region of ``address``.

        ``address`` has the region of the bucket, but a host that was derived from another region's.
        """
        ...


class NoKeysError(WireUnavailableError):
    """The environment, the files and the services have no credentials; a client reports it."""


class ConfiguredSource(Renewal):
    """The static tier and the chain tier: settings of the environment and the AWS files.

    Args:
        options: how to reach S3.
        settings: what was read.
        provider: of plain credentials, or of those of the chain.
    """

    def __init__(self, options: ConnectOptions, settings: Settings, provider: CredentialProvider) -> None:
        super().__init__()
        self.verify = settings.verify
        self.user_agent = USER_AGENT
        self.secure = not settings.endpoint.endpoint_url.lower().startswith("http:")
        self._options = options
        self._settings = settings
        self._provider = provider
        self._present = Credentials("", "")
        self._refreshing = anyio.Lock()

    @property
    def renewal(self) -> Renewal:
        """The source itself: it looks for new credentials."""
        return self

    async def credentials(self, operation: str, bucket: str, key: str | None = None) -> Credentials:
        """Return the current credentials, see :class:`WireSource`."""
        async with self._refreshing:  # many requests find out at once that a refresh is due
            provider = self._provider
            try:
                if provider.waits:
                    self._present = await to_thread.run_sync(provider.current, abandon_on_cancel=True)
                else:
                    self._present = provider.current()
            except CredentialsUnavailableError as error:
                await _raise_mapped(error, operation, bucket, key)
            return self._present

    async def address(self, bucket: str) -> BucketAddress:
        """Return the address of a bucket by the rules, see :class:`WireSource`."""
        found = resolve(bucket, self._settings.endpoint)
        if found is None:
            raise WireUnavailableError("a bucket whose address botocore has to resolve")
        if self._settings.proxies and await to_thread.run_sync(_is_proxied, found):
            raise WireUnavailableError("an HTTP proxy")
        return found

    def moved(self, bucket: str, address: BucketAddress) -> BucketAddress:
        """Return the address by the rules; the address of a custom endpoint stays."""
        settings = self._settings.endpoint
        found = None if settings.endpoint_url else resolve(bucket, settings, address.region)
        return found or address

    async def _replace(self) -> bool:
        """Read the environment and the files again; missing credentials are logged, not raised."""
        try:
            found = await to_thread.run_sync(partial(_found_anew, self._options), abandon_on_cancel=True)
        except (CredentialsError, CredentialsUnavailableError, OSError, UsageError) as error:
            _LOG.debug("there are no other credentials: %s", type(error.__cause__ or error).__name__)
            return False
        if found is None or found[1] == self._present:
            return False
        self._provider = found[0]
        return True


async def open_configured(options: ConnectOptions) -> ConfiguredSource | None:
    """Open the static or the chain tier; ``None`` where neither is certain.

    Raises:
        NoKeysError: the chain of credentials has none.
        CredentialsError: the credentials cannot be obtained, or cannot be sent.
        UsageError: the URL of the endpoint is invalid, or holds credentials.
    """
    if options.anonymous:
        return None
    try:
        settings = await to_thread.run_sync(read_settings, options, os.environ)
    except UnknownSettingsError as error:
        _LOG.debug("botocore is asked: %s", error)
        return None
    try:
        provider = await to_thread.run_sync(
            partial(_found_provider, options, settings, settings.region), abandon_on_cancel=True
        )
    except CredentialsUnavailableError as error:
        await _raise_mapped(error, _OPENING, "", None)
    if provider is None:
        raise NoKeysError(_NO_KEYS)
    return ConfiguredSource(options, settings, provider)


def _found_provider(
    options: ConnectOptions, settings: Settings | None, region: str | None
) -> CredentialProvider | None:
    """Return plain credentials, or those of the chain, which is searched where nothing else is certain."""
    try:
        if settings is not None:
            return static_credentials(options, settings, os.environ)
    except UnknownSettingsError as error:
        _LOG.debug("the chain of credentials is asked: %s", error)
    # Loaded here: it loads botocore.
    from aios3sync.store.wire.botocore_chain import find_in_chain

    return find_in_chain(options.profile, region)


def _found_anew(options: ConnectOptions) -> tuple[CredentialProvider, Credentials] | None:
    settings = None
    try:
        settings = read_settings(options, os.environ)
    except UnknownSettingsError as error:
        _LOG.debug("the chain of credentials is asked: %s", error)
    provider = _found_provider(options, settings, options.region)
    return None if provider is None else (provider, provider.current())


def _is_proxied(address: BucketAddress) -> bool:
    # Loaded here: it takes as long as the rest of this module.
    from aios3sync.store.wire.proxies import is_proxied

    return is_proxied(f"{'https' if address.secure else 'http'}://{address.authority}{address.root}")


async def _raise_mapped(
    error: CredentialsUnavailableError, operation: str, bucket: str, key: str | None
) -> NoReturn:
    """Raise the error of botocore as an error of ours, with the message that a client would have."""
    # Loaded here: it loads aiohttp, whose errors it knows as well.
    errors = await to_thread.run_sync(importlib.import_module, "aios3sync.store.boto.errors")
    with errors.map_errors(operation, bucket, key):
        raise error.__cause__ or error
    raise error
