"""The TLS of connections: who is trusted. It reads files, so it is called in a thread."""

from __future__ import annotations

import os
import ssl
from importlib.resources import files

from aios3sync.store.wire.address import WireUnavailableError

__all__ = ("client_context",)


def client_context(verify: bool | str) -> ssl.SSLContext:
    """A context that checks certificates against the system's authorities, or a bundle's, or not at all.

    Args:
        verify: True, False, or the path of a file or directory of authorities.

    Raises:
        WireUnavailableError: the bundle cannot be read.
    """
    try:
        if isinstance(verify, str):
            is_directory = os.path.isdir(verify)
            return ssl.create_default_context(
                cafile=None if is_directory else verify, capath=verify if is_directory else None
            )
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif not _system_has_authorities():
            # Images without ca-certificates; botocore brings a bundle of its own, and trusts it as well.
            context.load_verify_locations(cadata=files("botocore").joinpath("cacert.pem").read_text())
    except OSError as error:
        raise WireUnavailableError(f"a CA bundle that cannot be read ({type(error).__name__})") from error
    return context


def _system_has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or bool(paths.capath and os.listdir(paths.capath))
