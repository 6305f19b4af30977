"""Finds plain credentials in the environment and in the AWS files, without botocore.

The places are tried in the order of botocore.
"""

from __future__ import annotations

from collections.abc import Mapping

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final, Protocol
from aios3sync.errors import CredentialsError
from aios3sync.options import ConnectOptions
from aios3sync.store.s3.aws_files import AwsProfile, Section, UnknownSettingsError
from aios3sync.store.s3.credential_values import cleaned
from aios3sync.store.wire.settings import Settings
from aios3sync.store.wire.sigv4 import Credentials

__all__ = (
    "CredentialProvider",
    "CredentialsUnavailableError",
    "StaticCredentials",
    "cleaned_credentials",
    "static_credentials",
)

_TOKENS: Final = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


class CredentialsUnavailableError(Exception):
    """The credentials cannot be obtained; the cause is what botocore raised."""


class CredentialProvider(Protocol):
    """Returns the current credentials."""

    @property
    def waits(self) -> bool:
        """Whether :meth:`current` may have to fetch new ones, which takes a while."""
        ...

    def current(self) -> Credentials:
        """Return the current credentials. Blocks while :attr:`waits`.

        Raises:
            CredentialsUnavailableError: they expired, and there are no others.
            CredentialsError: they cannot be sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Plain credentials: they never expire, and are never refreshed."""

    credentials: Credentials

    @property
    def waits(self) -> bool:
        """Never."""
        return False

    def current(self) -> Credentials:
        """Return them, always the same."""
        return self.credentials


class _Found(NamedTuple):
    """Credentials as they were found, and the name that botocore has for the place."""

    access_key: str
    secret_key: str
    token: str | None
    method: str

    def __repr__(self) -> str:
        return f"_Found({self.method})"


def static_credentials(
    options: ConnectOptions, settings: Settings, environment: Mapping[str, str]
) -> StaticCredentials:
    """Return the plain credentials of the environment or of a profile.

    Those of the environment come first, unless an option names a profile; then those of the credentials file,
    then those of the configuration file. None is used where a role, a program or a service is configured.

    Raises:
        UnknownSettingsError: botocore has to find the credentials, or to say what is wrong with them.
    """
    if settings.by_chain or options.anonymous:
        raise UnknownSettingsError("the credentials come from somewhere else")
    found = None if options.profile is not None else _of_environment(environment)
    found = found or _of_files(settings.profile)
    if found is None:
        raise UnknownSettingsError("there are no plain keys")
    try:
        return StaticCredentials(cleaned_credentials(*found))
    except CredentialsError:
        raise UnknownSettingsError("the keys cannot be sent") from None


def cleaned_credentials(access_key: str, secret_key: str, token: str | None, method: str) -> Credentials:
    """Return credentials without white space around them.

    Raises:
        CredentialsError: they cannot be sent, see :mod:`aios3sync.store.s3.credential_values`.
    """
    return Credentials(
        cleaned("access_key", access_key, method),
        cleaned("secret_key", secret_key, method),
        cleaned("token", token, method),
    )


def _of_environment(environment: Mapping[str, str]) -> _Found | None:
    access_key = environment.get("AWS_ACCESS_KEY_ID", "")
    if not access_key:
        return None
    token = next(filter(None, (environment.get(name) for name in _TOKENS)), None)
    return _Found(access_key, environment.get("AWS_SECRET_ACCESS_KEY", ""), token, "env")


def _of_files(profile: AwsProfile) -> _Found | None:
    return _of_section(profile.credentials, "shared-credentials-file") or _of_section(
        profile.config, "config-file"
    )


def _of_section(section: Section | None, method: str) -> _Found | None:
    if section is None or "aws_access_key_id" not in section:
        return None
    values = [
        section.get("aws_access_key_id"),
        section.get("aws_secret_access_key", ""),
        section.get("aws_security_token", section.get("aws_session_token", "")),
    ]
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        raise UnknownSettingsError("a key is a block of settings")
    return _Found(texts[0], texts[1], texts[2], method)
