"""The former module path of :mod:`aios3sync.catalog`: its public names, with a warning, for one more release.

It imports nothing until a name is used, and then by the text of the new path: the index does not depend on
the catalog.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aios3sync.catalog import (
        Catalog,
        CatalogChange,
        CatalogCollector,
        CatalogListing,
        CatalogMetrics,
        CopyResult,
        DatasetEntry,
        ModelEntry,
        PassedOver,
        Registration,
    )

__all__ = (
    "Catalog",
    "CatalogChange",
    "CatalogCollector",
    "CatalogListing",
    "CatalogMetrics",
    "CopyResult",
    "DatasetEntry",
    "ModelEntry",
    "PassedOver",
    "Registration",
)

_NEW_PATH: Final = "aios3sync.catalog"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{__name__} is now {_NEW_PATH}; write 'from {_NEW_PATH} import {name}'",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(import_module(_NEW_PATH), name)


def __dir__() -> list[str]:
    return sorted(__all__)
