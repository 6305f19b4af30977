"""Identifies what a multipart upload sends: a later run continues it only if that is the same. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from aios3sync._dataclass import defaults_of
from aios3sync.store.protocol import PutOptions

__all__ = ("version_of",)


def version_of(facts: Sequence[Any], options: PutOptions) -> str:
    """Return a digest of what is sent, in which parts, and how it is stored.

    With a customer-provided key it is empty, and the upload is not continued: nothing that depends on the key
    is written to disk.

    Args:
        facts: what is sent and in which parts, as values of JSON.
        options: those of CreateMultipartUpload.
    """
    if options.sse_customer_key:
        return ""
    import json  # few runs have large objects

    stored = {name: getattr(options, name) for name in defaults_of(PutOptions) if name != "sse_customer_key"}
    stored |= {"metadata": sorted(options.metadata.items()), "tags": sorted(options.tags.items())}
    return hashlib.sha256(json.dumps([*facts, stored], sort_keys=True).encode()).hexdigest()
