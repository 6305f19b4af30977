"""Finds and reads the configuration file and its profiles.

It is ``aios3sync.toml``, or the table ``[tool.aios3sync]`` of ``pyproject.toml``, in the working directory or
the nearest directory above it, up to the root of the repository or the user's home. A file of another user is
refused: it could name another bucket and turn deletes on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Any, Final
from aios3sync.errors import UsageError
from aios3sync.options import VARIABLES

__all__ = (
    "PROFILE_MARK",
    "VARIABLE",
    "ConfigFile",
    "SettingsLayer",
    "find_config_file",
    "near",
    "read_config_file",
)

PROFILE_MARK: Final = "@"
"""Prefix of the name of a profile on the command line."""
VARIABLE: Final = f"{VARIABLES}CONFIG"
"""The variable that names the file; the option --config-file takes precedence."""
_NAME: Final = "aios3sync.toml"
_PROJECT: Final = "pyproject.toml"
_TABLE: Final = b"[tool.aios3sync"
_PROFILES: Final = "profiles"


class SettingsLayer(NamedTuple):
    """Settings of one source, by the names of options without their dashes.

    Attributes:
        origin: name of the source in messages.
        directory: base of relative paths.
        values: in the types of TOML.
    """

    origin: str
    directory: str
    values: Mapping[str, Any]


class ConfigFile(NamedTuple):
    """A configuration file that was read.

    Attributes:
        path: of the file.
        defaults: settings of every command.
        profiles: settings by name; each may have a source and a target.
    """

    path: str
    defaults: Mapping[str, Any]
    profiles: Mapping[str, Mapping[str, Any]]

    def layers(self, profile: str | None = None) -> list[SettingsLayer]:
        """Return the settings of the file; those of the profile come last.

        Raises:
            UsageError: there is no such profile.
        """
        directory = os.path.dirname(os.path.abspath(self.path))
        found = [SettingsLayer(self.path, directory, self.defaults)]
        if profile is not None:
            if profile not in self.profiles:
                raise UsageError(
                    f"{self.path} has no profile {profile!r}{near(profile, self.profiles)}; "
                    f"a directory of that name is ./{PROFILE_MARK}{profile}"
                )
            found.append(
                SettingsLayer(f"profile {profile} of {self.path}", directory, self.profiles[profile])
            )
        return found


def find_config_file(environment: Mapping[str, str]) -> str | None:
    """Return the path of the configuration file; ``None`` where there is none.

    Raises:
        UsageError: the nearest file belongs to another user.
    """
    if environment.get(VARIABLE):
        return environment[VARIABLE]
    try:
        directory = os.getcwd()
    except OSError:
        return None
    home = os.path.expanduser("~")
    while True:
        for name in (_NAME, _PROJECT):
            path = os.path.join(directory, name)
            if os.path.isfile(path) and (name == _NAME or _has_table(path)):
                return _trusted(path)
        parent = os.path.dirname(directory)
        if directory in (home, parent) or os.path.exists(os.path.join(directory, ".git")):
            return None
        directory = parent


def _has_table(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _TABLE in file.read()
    except OSError:
        return False


def _trusted(path: str) -> str:
    owner = os.stat(path).st_uid if hasattr(os, "getuid") else None
    if owner is not None and owner not in (0, os.getuid()):
        raise UsageError(
            f"{path} belongs to another user (uid {owner}); name it with --config-file if you trust it, "
            "or give --no-config"
        )
    return path


def read_config_file(path: str) -> ConfigFile:
    """Read a configuration file.

    Raises:
        UsageError: it cannot be read, is not TOML, or has the wrong structure.
    """
    import tomllib  # few runs have such a file

    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{path!r} cannot be read: {error.strerror}; name a file of TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {' '.join(str(error).split())}") from None
    if os.path.basename(path) == _PROJECT:
        content = content.get("tool", {}).get("aios3sync", {})
    defaults = dict(content)
    profiles = defaults.pop(_PROFILES, {})
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise UsageError(f"{path}: profiles are tables; write [profiles.NAME] above their settings")
    return ConfigFile(path, defaults, profiles)


def near(name: str, known: Mapping[str, Any]) -> str:
    """Return a phrase that proposes known names similar to an unknown one."""
    from difflib import get_close_matches

    found = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(one) for one in found)}?" if found else ""
