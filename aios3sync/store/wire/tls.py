"""TLS contexts and the trusted authorities. Reads files, so it is called in a thread.

Upload processes load this module: its top-level imports are only those that they need to start.
"""

from __future__ import annotations

import os
import ssl

from aios3sync._namedtuple import NamedTuple

__all__ = (
    "TrustedAuthorities",
    "authorities_of",
    "client_context",
    "context_of",
)


class TrustedAuthorities(NamedTuple):
    """The trusted certificate authorities.

    Attributes:
        checked: False accepts any certificate.
        cafile, capath: a bundle or a directory of authorities; without either, those of the system.
    """

    checked: bool = True
    cafile: str | None = None
    capath: str | None = None


def context_of(authorities: TrustedAuthorities) -> ssl.SSLContext:
    """Return a context for connections to an endpoint; raises OSError if the authorities cannot be read."""
    context = ssl.create_default_context(cafile=authorities.cafile, capath=authorities.capath)
    if not authorities.checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def client_context(verify: bool | str) -> ssl.SSLContext:
    """Return a context that checks certificates against the system's authorities, a bundle's, or not at all.

    Args:
        verify: True, False, or the path of a file or directory of authorities.

    Raises:
        WireUnavailableError: the bundle cannot be read.
    """
    try:
        return context_of(authorities_of(verify))
    except OSError as error:
        from aios3sync.store.s3.errors import WireUnavailableError

        raise WireUnavailableError(f"a CA bundle that cannot be read ({type(error).__name__})") from error


def authorities_of(verify: bool | str) -> TrustedAuthorities:
    """Return the authorities that botocore's ``verify`` names."""
    if isinstance(verify, str):
        return (
            TrustedAuthorities(capath=verify) if os.path.isdir(verify) else TrustedAuthorities(cafile=verify)
        )
    if verify and not _system_has_authorities():
        from importlib.resources import files

        # Images without ca-certificates; botocore brings a bundle of its own, and trusts it as well.
        return TrustedAuthorities(cafile=str(files("botocore").joinpath("cacert.pem")))
    return TrustedAuthorities(verify)


def _system_has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or bool(paths.capath and os.listdir(paths.capath))
