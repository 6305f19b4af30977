"""Redacts the credentials of this process, which no message may quote.

They are kept for the process, not for a session: an endpoint may quote in one session what another one has
sent.
"""

from __future__ import annotations

from functools import partial

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import re

__all__ = ("forget_secrets", "quotes_secret", "redacted", "register_credentials", "register_secrets")

_MOST: Final = 256
"""Secrets that are kept; temporary credentials come and go."""
_ISSUED: Final = ("AKIA", "ASIA")
"""The prefixes of issued access key ids. Any other short id is a chosen name ("test",
"minioadmin"): no secret by itself, and a word that many messages contain."""
_LONG_ID: Final = 16
"""Length from which an access key id is no chosen name."""
_PREFIX_LENGTH: Final = 16
"""Characters by which a partly quoted secret is recognised."""
_SHORT: Final = 8
"""Length below which a secret may be part of any word, and counts only as a separate word."""

_patterns: dict[str, re.Pattern[str]] = {}
"""By secret; each is compiled when there is a first message to look at."""


def register_credentials(access_key: str, secret_key: str, token: str | None) -> None:
    """Remember the credentials that requests are signed with."""
    if access_key.startswith(_ISSUED) or len(access_key) >= _LONG_ID:
        register_secrets(access_key)
    register_secrets(secret_key, token or "")


def register_secrets(*secrets: str) -> None:
    """Remember texts that no message may quote; beyond the limit the oldest are dropped."""
    for secret in secrets:
        if secret in _patterns or not _is_recognisable(secret):
            continue
        _patterns[secret] = lazy_pattern(partial(_pattern, secret))
        if len(_patterns) > _MOST:
            del _patterns[next(iter(_patterns))]


def quotes_secret(message: str) -> bool:
    """Return whether a message contains one of the secrets, or the beginning of one."""
    return any(pattern.search(message) for pattern in _patterns.values())


def redacted(text: str) -> str:
    """Return a text with ``***`` instead of each secret, or of the quoted part of one."""
    for pattern in _patterns.values():
        text = pattern.sub("***", text)
    return text


def forget_secrets() -> None:
    """Forget all secrets: tests register some that are words of messages in other tests."""
    _patterns.clear()


def _is_recognisable(secret: str) -> bool:
    """Return whether a secret cannot be a word of prose: it is long, or has both letters and digits."""
    has_letter = any(map(str.isalpha, secret))
    return len(secret) >= _SHORT or (has_letter and any(map(str.isdigit, secret)))


def _pattern(secret: str) -> str:
    import re
    from urllib.parse import quote

    if len(secret) < _SHORT:
        return rf"(?<!\w){re.escape(secret)}(?!\w)"
    whole = sorted({secret, quote(secret, safe="")}, key=len, reverse=True)
    beginning = re.escape(secret[:_PREFIX_LENGTH]) + r"[\w/+=%-]*"
    return "|".join([*map(re.escape, whole), beginning])
