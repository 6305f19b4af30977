"""Who is trusted over TLS, as values that cross to other processes; it connects nowhere."""

from __future__ import annotations

import ssl
from typing import NamedTuple

__all__ = ("Trust", "context_of")


class Trust(NamedTuple):
    """Whose certificates are believed.

    Attributes:
        checked: False believes everybody.
        cafile, capath: a bundle or a directory of authorities; neither means those of the system.
    """

    checked: bool = True
    cafile: str | None = None
    capath: str | None = None


def context_of(trust: Trust) -> ssl.SSLContext:
    """A context for connections to an endpoint; raises OSError where the authorities cannot be read."""
    context = ssl.create_default_context(cafile=trust.cafile, capath=trust.capath)
    if not trust.checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
