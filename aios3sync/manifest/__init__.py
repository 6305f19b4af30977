"""The local state of a pair: which file was uploaded as which object. One protocol, two formats, no S3."""

from __future__ import annotations

from aios3sync._lazy import lazy_names
from aios3sync._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aios3sync.manifest.admin import ManifestFacts, StoredManifest
    from aios3sync.manifest.protocol import Binding

__all__ = (
    "Binding",
    "ManifestFacts",
    "StoredManifest",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.manifest.admin": "ManifestFacts StoredManifest",
            "aios3sync.manifest.protocol": "Binding",
        },
    )
