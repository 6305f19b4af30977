"""Sizes and thumbnails of images: a subscriber of the sync, not a part of the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._lazy import lazy_names

if TYPE_CHECKING:
    from aios3sync.core.keys import THUMBNAIL_PREFIX
    from aios3sync.images.size import is_image_name

__all__ = (
    "THUMBNAIL_PREFIX",
    "is_image_name",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.core.keys": "THUMBNAIL_PREFIX",
            "aios3sync.images.size": "is_image_name",
        },
    )
