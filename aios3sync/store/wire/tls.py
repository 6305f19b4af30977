"""The TLS of connections: who is trusted. It reads files, so it is called in a thread."""

from __future__ import annotations

import os
import ssl
from importlib.resources import files

from aios3sync.store.wire.boto_config import WireUnavailableError
from aios3sync.store.wire.trust import Trust, context_of

__all__ = ("client_context", "trust_of")


def client_context(verify: bool | str) -> ssl.SSLContext:
    """A context that checks certificates against the system's authorities, or a bundle's, or not at all.

    Args:
        verify: True, False, or the path of a file or directory of authorities.

    Raises:
        WireUnavailableError: the bundle cannot be read.
    """
    try:
        return context_of(trust_of(verify))
    except OSError as error:
        raise WireUnavailableError(f"a CA bundle that cannot be read ({type(error).__name__})") from error


def trust_of(verify: bool | str) -> Trust:
    """What botocore's ``verify`` means."""
    if isinstance(verify, str):
        return Trust(capath=verify) if os.path.isdir(verify) else Trust(cafile=verify)
    if verify and not _system_has_authorities():
        # Images without ca-certificates; botocore brings a bundle of its own, and trusts it as well.
        return Trust(cafile=str(files("botocore").joinpath("cacert.pem")))
    return Trust(verify)


def _system_has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or bool(paths.capath and os.listdir(paths.capath))
