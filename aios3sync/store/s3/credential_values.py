"""Cleans credentials as people paste them: strips white space, and refuses what no header can hold.

A line end in a token would end a header and begin another one. No message repeats a credential.
"""

from __future__ import annotations

from aios3sync._typing import Any, Final
from aios3sync.errors import CredentialsError

__all__ = ("clean_credentials", "cleaned")

_NAMES: Final = {
    "access_key": ("the access key id", "AWS_ACCESS_KEY_ID", "aws_access_key_id"),
    "secret_key": ("the secret access key", "AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    "token": ("the session token", "AWS_SESSION_TOKEN", "aws_session_token"),
}
"""The attributes of credentials: how messages name them, their variables, and their settings in a profile."""


def cleaned(name: str, value: str | None, method: str = "") -> str:
    """Return one value without the white space around it; empty for a token that is missing.

    Args:
        name: ``access_key``, ``secret_key`` or ``token``.
        value: as it was found.
        method: where it was found, as botocore names its sources.

    Raises:
        CredentialsError: it is empty, or it holds what no header can hold.
    """
    text = (value or "").strip()
    words = _NAMES[name][0]
    if not text and (value or name != "token"):
        raise _refused(f"{words} is empty{_place(name, method)}")
    # A secret is never sent; the others go into a header, which has no white space within a word.
    wrong = "\r" in text or "\n" in text if name == "secret_key" else not _fits_a_header(text)
    if wrong:
        raise _refused(f"{words} holds white space or a character that cannot be sent{_place(name, method)}")
    return text


def clean_credentials(found: Any) -> None:
    """Clean credentials from the environment or a profile, in place.

    Args:
        found: credentials of botocore, or ``None``. Those that refresh themselves come from a service: they
            are left alone.

    Raises:
        CredentialsError: see :func:`cleaned`.
    """
    if found is None or hasattr(found, "refresh_needed"):
        return
    for name in _NAMES:
        value = getattr(found, name)
        text = cleaned(name, value, str(found.method))
        if value is not None and text != value:
            setattr(found, name, text)


def _fits_a_header(text: str) -> bool:
    return text.isascii() and all("!" <= letter <= "~" for letter in text)


def _place(name: str, method: str) -> str:
    variable, setting = _NAMES[name][1:]
    return f"; look at {variable}" if method == "env" else f"; look at {setting} ({method or variable})"


def _refused(text: str) -> CredentialsError:
    return CredentialsError(f"the credentials cannot be used: {text}", code="InvalidCredentials")
