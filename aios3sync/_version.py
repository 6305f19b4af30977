"""The version of the package, for its face and for user agents."""

from __future__ import annotations

__all__ = ("__version__",)

__version__ = "0.1.0"
