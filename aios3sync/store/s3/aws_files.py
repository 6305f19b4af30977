"""The AWS configuration and credentials files, read by the rules of botocore, without botocore.

The rules are those of ``botocore.configloader`` and ``botocore.session``: a setting whose value begins on the
next line contains settings of its own; ``[profile NAME]`` is split as a shell splits words; settings of a
profile in the credentials file take precedence over those in the configuration file. Reads files, so it is
called in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from aios3sync._dataclass import dataclass, field
from aios3sync._typing import Final

__all__ = ("AwsProfile", "Section", "UnknownSettingsError", "profile_name", "read_profile")

Section = dict[str, "str | dict[str, str]"]
"""The settings below one heading; a nested block is a dictionary."""

_CONFIG: Final = "~/.aws/config"
_CREDENTIALS: Final = "~/.aws/credentials"


class UnknownSettingsError(Exception):
    """The settings of the environment and the files are not certain here; botocore resolves or rejects them.

    The message names settings and never repeats a value.
    """


@dataclass(frozen=True, slots=True)
class AwsProfile:
    """The settings of one profile in the files.

    Attributes:
        name: the profile; ``None`` where none was chosen.
        exists: whether it is in one of the files.
        settings: those of both files; the credentials file comes first.
        credentials: its section of the credentials file, ``None`` where it has none.
        config: its section of the configuration file, ``None`` where it has none.
        services: the sections that profiles refer to with ``services``.
        path: the configuration file, as messages name it.
    """

    name: str | None
    exists: bool
    path: str
    settings: Section = field(repr=False)
    credentials: Section | None = field(repr=False)
    config: Section | None = field(repr=False)
    services: dict[str, Section] = field(repr=False)

    def text(self, name: str) -> str | None:
        """Return a setting; ``None`` where it is not set.

        Raises:
            UnknownSettingsError: it is a block of settings.
        """
        value = self.settings.get(name)
        if isinstance(value, dict):
            raise UnknownSettingsError(f"{name} of a profile is a block of settings")
        return value

    def block(self, name: str) -> dict[str, str]:
        """Return a block of settings; empty where it is not set.

        Raises:
            UnknownSettingsError: it is no block.
        """
        return _block(self.settings, name)

    def service(self, name: str) -> dict[str, str]:
        """Return the settings of one service in the ``services`` section of the profile.

        Raises:
            UnknownSettingsError: there is no such section, or the settings are no block.
        """
        section = self.text("services")
        if section is None:
            return {}
        if not self.services.get(section):
            raise UnknownSettingsError("the services section of the profile does not exist")
        return _block(self.services[section], name)


def _block(section: Section, name: str) -> dict[str, str]:
    value = section.get(name, {})
    if isinstance(value, str):
        raise UnknownSettingsError(f"{name} is no block of settings")
    return value


def profile_name(chosen: str | None, environment: Mapping[str, str]) -> str | None:
    """Return the profile that an option or the environment names; ``None`` for the default one."""
    if chosen is not None:
        return chosen
    return environment.get("AWS_DEFAULT_PROFILE", environment.get("AWS_PROFILE"))


def read_profile(chosen: str | None, environment: Mapping[str, str]) -> AwsProfile:
    """Read the settings of a profile from both files.

    Args:
        chosen: the profile of an option, or ``None``.
        environment: names the files and, without an option, the profile.

    Raises:
        UnknownSettingsError: a file is not well-formed.
    """
    path = environment.get("AWS_CONFIG_FILE", _CONFIG)
    sections = _sections(path)
    credentials = _sections(environment.get("AWS_SHARED_CREDENTIALS_FILE", _CREDENTIALS))
    name = profile_name(chosen, environment)
    key = "default" if name is None else name
    profiles = _named(sections, "profile")
    return AwsProfile(
        name=name,
        exists=key in profiles or key in credentials,
        path=_expanded(path),
        settings={**profiles.get(key, {}), **credentials.get(key, {})},
        credentials=credentials.get(key),
        config=profiles.get(key),
        services=_named(sections, "services"),
    )


def _expanded(path: str) -> str:
    # os.path and not pathlib, which raises where there is no home directory to put in the place of "~".
    return os.path.expanduser(os.path.expandvars(path))


def _sections(path: str) -> dict[str, Section]:
    path = _expanded(path)
    if not os.path.isfile(path):
        return {}
    # Loaded here: keys of the environment come without any file.
    from configparser import Error, RawConfigParser

    parser = RawConfigParser()
    try:
        parser.read([path])  # with the encoding of the system, as botocore does
    except (Error, UnicodeDecodeError) as error:
        raise UnknownSettingsError(f"{path} is not well-formed ({type(error).__name__})") from None
    return {
        heading: {option: _value(parser.get(heading, option)) for option in parser.options(heading)}
        for heading in parser.sections()
    }


def _value(text: str) -> str | dict[str, str]:
    if not text.startswith("\n"):
        return text
    nested = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise UnknownSettingsError("a line of a block of settings has no '='")
        nested[name.strip()] = value.strip()
    return nested


def _named(sections: Mapping[str, Section], kind: str) -> dict[str, Section]:
    """Return the sections ``[KIND NAME]`` by name; the default one needs no kind. The last of two counts."""
    found = {}
    for heading, section in sections.items():
        if heading.startswith(kind):
            words = _words(heading)
            if len(words) == 2:
                found[words[1]] = section
        elif heading == "default" and kind == "profile":
            found[heading] = section
    return found


def _words(heading: str) -> list[str]:
    import shlex

    try:
        return shlex.split(heading)
    except ValueError:
        return []
