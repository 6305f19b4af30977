"""Endpoint profiles in the user's state directory, one small file for each endpoint.

They never fail a run: a file that is damaged, of another version or of another endpoint is ignored, and where
nothing can be written the next run observes the same facts again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress

from aios3sync._typing import Final
from aios3sync.local.state import state_directory
from aios3sync.store.endpoint_profile import EndpointProfile

__all__ = ("profile_path", "read_profile", "write_profile")

_LARGEST: Final = 64 * 1024


def profile_path(endpoint: str) -> str:
    """Return the path of the file of an endpoint; empty where there is no state directory."""
    directory = state_directory()
    if not directory:
        return ""
    digest = hashlib.sha256(endpoint.encode("utf-8", "surrogatepass")).hexdigest()
    return os.path.join(directory, "endpoints", f"{digest[:32]}.json")


def read_profile(profile: EndpointProfile) -> None:
    """Add the facts in the file of the endpoint to ``profile``. Blocks; raises nothing."""
    path = profile_path(profile.endpoint)
    if not path:
        return
    try:
        with open(path, "rb") as file:
            profile.take(json.loads(file.read(_LARGEST)))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as error:
        _note("what is kept of the endpoint is not read", path, error)


def write_profile(profile: EndpointProfile) -> None:
    """Write the facts, with those that other runs have written meanwhile. Blocks; raises nothing."""
    path = profile_path(profile.endpoint)
    if not path:
        return
    read_profile(profile)
    content = json.dumps(profile.as_document(), indent=1).encode()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        _replace_file(path, content)
    except OSError as error:
        _note("what was learnt of the endpoint is not kept", path, error)
    else:
        profile.changed = False


def _replace_file(path: str, content: bytes) -> None:
    """Replace a file atomically: another run reads the old one or the new one. Only its owner can read it."""
    temporary = f"{path}.tmp-{os.urandom(6).hex()}"  # tempfile loads ten modules
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _note(text: str, path: str, error: Exception) -> None:
    import logging  # ten milliseconds that hardly any run needs

    logging.getLogger(__name__).debug("%s: %s: %s", text, path, error)
