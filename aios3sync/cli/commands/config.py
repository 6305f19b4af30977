"""``aios3sync config``: shows the options and their origins; prints the schema of the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click
from click.core import ParameterSource

from aios3sync._dataclass import defaults_of
from aios3sync._namedtuple import NamedTuple
from aios3sync.cli.config_file import PROFILE_MARK, find_config_file
from aios3sync.cli.options import option_name
from aios3sync.cli.output.lines import json_bytes, standard_lines
from aios3sync.cli.program_command import SETTINGS, ProgramGroup, sync_of
from aios3sync.cli.settings import known_options
from aios3sync.cli.values import FILE
from aios3sync.core.text import printable
from aios3sync.errors import UsageError
from aios3sync.options import ConnectOptions, SyncOptions
from aios3sync.store.s3.endpoint_config import endpoint_url

__all__ = ("config_command",)

_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)|(?<=[?&]password=)[^&\s]*")
_BUILT_IN: Final = "built in"
_AWS: Final = {
    "profile": ("AWS_DEFAULT_PROFILE", "AWS_PROFILE"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}


class _Effective(NamedTuple):
    """An option, its value, and the origin of the value."""

    name: str
    value: Any
    origin: str


@click.group("config", cls=ProgramGroup, short_help="Show settings and where they come from.")
def config_command() -> None:
    """Show the settings of options and where they come from, and the schema of the configuration file."""


@config_command.command("show")
@click.argument("profile", required=False, metavar="[@PROFILE]")
@click.option("--all", "every", is_flag=True, help="Also what is built in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--config-file", type=FILE, metavar="FILE", help="The configuration file.")
@click.option("--no-config", is_flag=True, help="Read no configuration file.")
def _show(
    profile: str | None, *, every: bool, as_json: bool, config_file: str | None, no_config: bool
) -> int:
    """Show the settings of a sync and where each comes from: the environment, a profile, the file.

    Passwords in URLs are not shown.
    """
    if profile is not None and not profile.startswith(PROFILE_MARK):
        raise UsageError(f"{profile!r} is no profile; write {PROFILE_MARK}{profile}")
    places = [profile] if profile else [".", "s3://bucket"]
    files = ["--no-config"] if no_config else ["--config-file", config_file] if config_file else []
    context = sync_of(click.get_current_context()).make_context("sync", [*places, *files])
    path = None if no_config else config_file or find_config_file(os.environ)
    lines = standard_lines()[0]
    found = [one for one in _effective(context) if every or one.origin != _BUILT_IN]
    if profile:
        origin = f"profile {profile[1:]} of {path}"
        found[:0] = [_Effective(name, context.params[name], origin) for name in ("source", "target")]
    if as_json:
        settings = {one.name: {"value": _shown(one.value), "origin": one.origin} for one in found}
        lines.raw(json_bytes({"file": path, "settings": settings}))
        return 0
    lines.line(f"configuration file: {path or 'none'}")
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        lines.line(printable(f"{one.name:{width}}  {_text(one.value)}  ({one.origin})"))
    if not every:
        lines.line("all else is built in (--all shows it)")
    return 0


@config_command.command("schema")
def _schema() -> int:
    """Print the JSON Schema of the configuration file, for editors that complete and check it."""
    from aios3sync.cli.schema import config_schema

    standard_lines()[0].raw(json_bytes(config_schema(sync_of(click.get_current_context())), indent=True))
    return 0


def _effective(context: click.Context) -> Iterator[_Effective]:
    """Yield all options of a sync; those of the environment and of the file with their origins."""
    settings: Mapping[str, Any] = context.meta[SETTINGS]
    built_in = {**defaults_of(ConnectOptions), **defaults_of(SyncOptions)}
    for name, option in known_options(sync_of(context)).items():
        shown = max(option.opts, key=len)[2:]
        value = context.params.get(name)
        if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT:
            yield _Effective(shown, _flag(option, value), f"variable {option.envvar}")
        elif name in settings:
            yield _Effective(shown, _flag(option, value), ", then ".join(settings[name].origins))
        else:
            yield _of_aws(name, context) or _Effective(shown, built_in.get(name, value), _BUILT_IN)


def _flag(option: click.Option, value: Any) -> Any:
    """Return the value as it is written in a file: --no-fsync is true where the field ``fsync`` is false."""
    if option.type.name == "pair":
        return [f"{name}={text}" for name, text in value]
    return True if option.is_flag and option.flag_value is False else value


def _of_aws(name: str, context: click.Context) -> _Effective | None:
    """Return a setting of the connection that the AWS environment or configuration has."""
    if name == "endpoint_url":
        url = endpoint_url(ConnectOptions(profile=context.params.get("profile")))
        return _Effective("endpoint-url", url, "AWS environment or configuration") if url else None
    for variable in _AWS.get(name, ()):
        if os.environ.get(variable):
            return _Effective(option_name(name)[2:], os.environ[variable], f"variable {variable}")
    return None


def _shown(value: Any) -> Any:
    """Return the value without passwords in URLs."""
    if isinstance(value, str):
        return _PASSWORD.sub("***", value)
    if isinstance(value, bytes):
        return "set" if value else ""
    if isinstance(value, Mapping):
        return {name: _shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return value if isinstance(value, bool | int | float) or value is None else str(value)


def _text(value: Any) -> str:
    shown = _shown(value)
    if isinstance(shown, bool):
        return "true" if shown else "false"
    if isinstance(shown, list):
        return ", ".join(map(str, shown)) or "none"
    return "unset" if shown in (None, "") else str(shown)
