"""What this process signs with: texts that no message may hold, whoever wrote it.

They are kept for the process, not for a session: an endpoint may quote to one session what another one sent.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

__all__ = ("is_quoted_in", "keep_secret")

_MOST: Final = 256
"""Texts that are kept; temporary credentials come and go."""
_BEGINNING: Final = 16
"""Characters by which a text is recognised that is quoted in part."""
_SHORT: Final = 8
"""A text that is shorter may be part of any word, and counts only as a word."""

_kept: dict[str, re.Pattern[str]] = {}


def keep_secret(*texts: str) -> None:
    """Remember texts that belong to credentials."""
    for text in texts:
        if not text or text in _kept:
            continue
        forms = {text, quote(text, safe=""), text[:_BEGINNING]} if len(text) >= _SHORT else {text}
        pattern = "|".join(map(re.escape, sorted(forms)))
        _kept[text] = re.compile(pattern if len(text) >= _SHORT else rf"(?<!\w)(?:{pattern})(?!\w)")
        if len(_kept) > _MOST:
            del _kept[next(iter(_kept))]


def is_quoted_in(message: str) -> bool:
    """Whether a message holds one of them."""
    return any(pattern.search(message) for pattern in _kept.values())
