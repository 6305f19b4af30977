"""The interface to S3: one protocol, two implementations of it, and wrappers that serve both."""

from __future__ import annotations

from aios3sync._lazy import lazy_names
from aios3sync._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aios3sync.core.checksums import ObjectChecksum
    from aios3sync.store.protocol import (
        Body,
        CopySource,
        DeleteError,
        DeleteItem,
        GetResult,
        HeadResult,
        ListedPart,
        ListedUpload,
        ListedVersion,
        ListPage,
        ObjectStore,
        PartHead,
        PutOptions,
        PutResult,
        RangeRead,
        RestoreRequest,
        StoreCapabilities,
        VersionPage,
    )
    from aios3sync.store.wrappers.base import ForwardingStore, StoreCall

__all__ = (
    "Body",
    "CopySource",
    "DeleteError",
    "DeleteItem",
    "ForwardingStore",
    "GetResult",
    "HeadResult",
    "ListPage",
    "ListedPart",
    "ListedUpload",
    "ListedVersion",
    "ObjectChecksum",
    "ObjectStore",
    "PartHead",
    "PutOptions",
    "PutResult",
    "RangeRead",
    "RestoreRequest",
    "StoreCall",
    "StoreCapabilities",
    "VersionPage",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.store.protocol": (
                "Body CopySource DeleteError DeleteItem GetResult HeadResult ListPage ListedPart "
                "ListedUpload ListedVersion ObjectStore PartHead PutOptions PutResult RangeRead "
                "RestoreRequest StoreCapabilities VersionPage"
            ),
            "aios3sync.core.checksums": "ObjectChecksum",
            "aios3sync.store.wrappers.base": "ForwardingStore StoreCall",
        },
    )
