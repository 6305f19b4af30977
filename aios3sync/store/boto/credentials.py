"""RenewableCredentials: the credentials that a client signs with, replaced when they are refused.

botocore searches the chain of credentials once, and refreshes only credentials with an expiry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiobotocore.session import get_session
from anyio import to_thread
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from aios3sync.options import ConnectOptions
from aios3sync.store.renewal import Renewal
from aios3sync.store.s3.credential_values import cleaned
from aios3sync.store.s3.redaction import register_credentials

__all__ = ("RenewableCredentials", "chain_of", "make_renewable", "renewable_of")

_LOG: Final = logging.getLogger(__name__)

Chain = Callable[[], Any]
"""Searches the chain again; blocks, and returns credentials or ``None``."""


class RenewableCredentials(Renewal):
    """Credentials of a client, which replace those that botocore found.

    Args:
        found: what botocore found.
        chain: finds new ones.
        clock: seconds, never going back.
    """

    def __init__(self, found: Any, chain: Chain, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._found = found
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the credentials that botocore found."""
        return getattr(self._found, name)

    async def get_frozen_credentials(self) -> Any:
        """Return the current key, secret and token, refreshed by botocore if they have an expiry.

        Raises:
            CredentialRetrievalError: a refresh brought expired ones, which botocore calls a RuntimeError.
            CredentialsError: they cannot be sent, see :mod:`aios3sync.store.s3.credential_values`.
        """
        try:
            frozen = await self._found.get_frozen_credentials()
        except RuntimeError as error:
            provider = getattr(self._found, "method", "unknown")
            raise CredentialRetrievalError(provider=provider, error_msg=str(error)) from error
        register_credentials(frozen.access_key, frozen.secret_key, frozen.token)
        return _cleaned(frozen, str(self.method))

    async def _replace(self) -> bool:
        """Search the chain; its errors are logged, as the refusal that led here says more."""
        fresh = await self._asked_anew()
        if fresh is None:
            return False
        self._found = fresh
        return True

    async def _asked_anew(self) -> Any:
        try:
            fresh = await to_thread.run_sync(self._chain)
            if fresh is None or await fresh.get_frozen_credentials() == await self._frozen_or_none():
                return None
        except (BotoCoreError, ClientError, OSError, RuntimeError) as error:
            _LOG.debug("the chain of credentials has nothing: %s", type(error).__name__)
            return None
        return fresh

    async def _frozen_or_none(self) -> Any:
        try:
            return await self._found.get_frozen_credentials()
        except (BotoCoreError, ClientError, OSError, RuntimeError):
            return None


def make_renewable(client: Any, chain: Chain | None) -> None:
    """Make the credentials of our client renewable, if it signs at all and there is a chain."""
    signer = getattr(client, "_request_signer", None)
    found = getattr(signer, "_credentials", None)
    if signer is not None and found is not None and chain is not None:
        signer._credentials = RenewableCredentials(found, chain)  # noqa: SLF001 - there is no other way


def renewable_of(client: Any) -> RenewableCredentials | None:
    """Return the credentials of a client, if they are renewable."""
    found = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    return found if isinstance(found, RenewableCredentials) else None


def chain_of(options: ConnectOptions, session: Any = None) -> Chain | None:
    """Return a function that runs the chain of credentials again: files, processes and services.

    Args:
        options: name the profile, where the session is our own.
        session: the caller's own aioboto3 session. Credentials that were set explicitly have no chain, and
            credentials of another type are not taken for the same identity.
    """
    if session is None:
        return partial(_own, options.profile)
    core = getattr(session, "_session", None)
    held = getattr(core, "_credentials", None)
    if core is None or getattr(held, "method", None) == "explicit":
        return None
    return partial(_of_session, core)


def _own(profile: str | None) -> Any:
    core = get_session()
    if profile is not None:
        core.set_config_variable("profile", profile)
    return _run(core)


def _of_session(core: Any) -> Any:
    held = getattr(core, "_credentials", None)
    fresh = _run(core)
    return fresh if getattr(fresh, "method", None) == getattr(held, "method", None) else None


def _run(core: Any) -> Any:
    """Search on a loop of this thread: reading files and waiting for processes blocks no other."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(core.get_component("credential_provider").load_credentials())


def _cleaned(frozen: Any, method: str) -> Any:
    """Return the credentials without white space around them, whatever their source."""
    return frozen._replace(
        access_key=cleaned("access_key", frozen.access_key, method),
        secret_key=cleaned("secret_key", frozen.secret_key, method),
        token=cleaned("token", frozen.token, method) or None,
    )
