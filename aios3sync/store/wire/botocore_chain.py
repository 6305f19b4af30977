"""Finds credentials through botocore's own chain: roles, SSO, processes, containers, machines.

The chain reads files and waits for programs and services, so it is called in a thread. Nothing else of
botocore is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError
from botocore.session import Session

from aios3sync.store.wire.credentials import CredentialsUnavailableError, cleaned_credentials
from aios3sync.store.wire.sigv4 import Credentials

__all__ = ("ChainCredentials", "find_in_chain")


class ChainCredentials:
    """Credentials that botocore found; it refreshes those that say when they expire.

    Args:
        found: what botocore found.
    """

    def __init__(self, found: Any) -> None:
        self._found = found

    def __repr__(self) -> str:
        return f"ChainCredentials({self._found.method})"

    @property
    def waits(self) -> bool:
        """Whether :meth:`current` may have to fetch new ones: botocore begins minutes before the end."""
        needed = getattr(self._found, "refresh_needed", None)
        return needed is not None and bool(needed())

    def current(self) -> Credentials:
        """Return the current credentials, see :class:`.credentials.CredentialProvider`."""
        method = str(self._found.method)
        with _unavailable(method):
            frozen = self._found.get_frozen_credentials()
        return cleaned_credentials(frozen.access_key, frozen.secret_key, frozen.token, method)


def find_in_chain(profile: str | None, region: str | None) -> ChainCredentials | None:
    """Search the whole chain of credentials; ``None`` where it has none. Blocks.

    Args:
        profile: the profile of an option, or ``None``.
        region: where roles are requested, or ``None`` to leave that to botocore.

    Raises:
        CredentialsUnavailableError: a place of the chain has them, but they cannot be obtained.
    """
    core = Session()
    if profile is not None:
        core.set_config_variable("profile", profile)
    if region is not None:
        core.set_config_variable("region", region)
    with _unavailable("unknown"):
        found = core.get_credentials()
    return None if found is None else ChainCredentials(found)


@contextmanager
def _unavailable(method: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CredentialsUnavailableError from error
    except RuntimeError as error:  # how botocore says that a refresh brought expired ones
        cause = CredentialRetrievalError(provider=method, error_msg=str(error))
        raise CredentialsUnavailableError from cause
