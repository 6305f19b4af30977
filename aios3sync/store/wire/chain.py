"""botocore's own chain of credentials, and nothing more of it: roles, SSO, processes, containers, machines.

The chain waits for files, programs and services, so it is asked in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError
from botocore.session import Session

from aios3sync.store.wire.keys import KeysUnavailableError, cleaned_keys
from aios3sync.store.wire.sigv4 import Credentials

__all__ = ("ChainKeys", "find_in_chain")


class ChainKeys:
    """Credentials that botocore found; it refreshes those that say when they expire.

    Args:
        found: what botocore found.
    """

    def __init__(self, found: Any) -> None:
        self._found = found

    def __repr__(self) -> str:
        return f"ChainKeys({self._found.method})"

    @property
    def waits(self) -> bool:
        """Whether :meth:`current` may have to wait for others: botocore asks some minutes before the end."""
        needed = getattr(self._found, "refresh_needed", None)
        return needed is not None and bool(needed())

    def current(self) -> Credentials:
        """Return the keys of now, see :class:`~aios3sync.store.wire.keys.Keys`."""
        method = str(self._found.method)
        with _unavailable(method):
            frozen = self._found.get_frozen_credentials()
        return cleaned_keys(frozen.access_key, frozen.secret_key, frozen.token, method)


def find_in_chain(profile: str | None, region: str | None) -> ChainKeys | None:
    """Ask the chain of credentials from its beginning; ``None`` where it has none. Blocks.

    Args:
        profile: the profile of an option, or ``None``.
        region: where roles are asked for, or ``None`` to leave that to botocore.

    Raises:
        KeysUnavailableError: something in the chain has them, and they cannot be had.
    """
    core = Session()
    if profile is not None:
        core.set_config_variable("profile", profile)
    if region is not None:
        core.set_config_variable("region", region)
    with _unavailable("unknown"):
        found = core.get_credentials()
    return None if found is None else ChainKeys(found)


@contextmanager
def _unavailable(method: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise KeysUnavailableError from error
    except RuntimeError as error:  # how botocore says that a refresh brought expired ones
        cause = CredentialRetrievalError(provider=method, error_msg=str(error))
        raise KeysUnavailableError from cause
