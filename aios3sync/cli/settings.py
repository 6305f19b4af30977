"""Converts settings of a configuration file to values of options, checked and with their origins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

from aios3sync._namedtuple import NamedTuple
from aios3sync.cli.config_file import SettingsLayer, near
from aios3sync.cli.values import Located
from aios3sync.core.keys import CATALOG_SCHEME, SCHEME
from aios3sync.errors import UsageError
from aios3sync.options import VARIABLES

__all__ = (
    "EXCLUSIVE",
    "PLACES",
    "Setting",
    "known_options",
    "located",
    "merged",
    "option_keys",
    "replaced_by",
    "variable_of",
)

EXCLUSIVE: Final = (
    ("delete", "delete_tracked"),
    ("manifest", "no_manifest"),
    ("symlinks", "no_follow_symlinks"),
    ("json", "events"),
)
"""Mutually exclusive options; one of higher precedence replaces the others."""
PLACES: Final = ("source", "target")
"""The settings of a profile that are not options."""
_REMOTE: Final = (SCHEME, CATALOG_SCHEME)
_OWN: Final = frozenset({"config_file", "no_config", "help", "help_connection"})
_SECRET: Final = ("secret", "password", "access-key", "token")


class Setting(NamedTuple):
    """The value of one option in a configuration file.

    Attributes:
        value: as click accepts it in a map of defaults; a tuple of strings for an option that may be
            repeated.
        origins: where it comes from.
    """

    value: Any
    origins: tuple[str, ...]


def known_options(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command that a configuration file may set, by their parameters.

    A file has the options of ``sync``, see :func:`~aios3sync.cli.program_command.sync_of`.
    """
    options = (param for param in command.params if isinstance(param, click.Option))
    return {param.name: param for param in options if param.name and param.name not in _OWN}


def variable_of(option: click.Option) -> str:
    """Return the environment variable of an option: the common prefix and its name."""
    name = max(option.opts, key=len)
    return VARIABLES + name.lstrip("-").replace("-", "_").upper()


def option_keys(options: Iterable[click.Option]) -> dict[str, tuple[click.Option, bool]]:
    """Return the keys in a file for some options, each with whether it turns the option on."""
    keys: dict[str, tuple[click.Option, bool]] = {}
    for option in options:
        for names, turns_on in ((option.opts, True), (option.secondary_opts, False)):
            keys.update({name[2:]: (option, turns_on) for name in names if name.startswith("--")})
    return keys


def merged(
    layers: Sequence[SettingsLayer], options: Mapping[str, click.Option]
) -> tuple[dict[str, Setting], list[str]]:
    """Return the settings of all layers; later ones take precedence.

    Options that may be repeated add up: one more on the command line does not replace those of a profile. The
    second value has their names in the order of their values, which matters where the last rule wins.

    Raises:
        UsageError: a key is no option, or its value is invalid; the message names the file and the key.
    """
    keys = option_keys(options.values())
    found: dict[str, Setting] = {}
    order: list[str] = []
    for number, layer in enumerate(layers):
        places = PLACES if number else ()  # the first layer is that of every command
        here: dict[str, Setting] = {}
        for key, raw in layer.values.items():
            name = key.replace("_", "-")
            if name in places:
                continue
            if name not in keys:
                raise UsageError(f"{layer.origin}: {_unknown(key, keys, places)}")
            option, turns_on = keys[name]
            assert option.name is not None  # noqa: S101 - an option has a name
            value = _value(layer, key, raw, option, turns_on=turns_on)
            if value is not None:
                here[option.name] = Setting(value, (layer.origin,))
                order += [option.name] * len(value) if option.multiple else []
        found = _above(found, here, options)
    return found, order


def replaced_by(higher: Iterable[str]) -> set[str]:
    """Return the options of lower precedence that these options replace; see EXCLUSIVE."""
    given = set(higher)
    return {other for group in EXCLUSIVE if not given.isdisjoint(group) for other in group}


def _above(
    lower: Mapping[str, Setting], higher: Mapping[str, Setting], options: Mapping[str, click.Option]
) -> dict[str, Setting]:
    replaced = replaced_by(higher)
    found = {name: setting for name, setting in lower.items() if name not in replaced}
    for name, setting in higher.items():
        if options[name].multiple and name in found:
            before = found.pop(name)
            setting = Setting((*before.value, *setting.value), (*before.origins, *setting.origins))
        found[name] = setting
    return found


def _unknown(key: str, keys: Mapping[str, Any], places: tuple[str, ...]) -> str:
    if key in PLACES:
        return f"{key!r} belongs into a profile: write it below [profiles.NAME]"
    if any(word in key.replace("_", "-").lower() for word in _SECRET):
        return f"{key!r} is no setting: credentials belong into the AWS configuration or the environment"
    known = {**keys, **dict.fromkeys(places)}
    proposal = near(key.replace("_", "-"), known)
    return f"{key!r} is no setting{proposal}; settings are the options of 'aios3sync sync'"


def _value(layer: SettingsLayer, key: str, raw: Any, option: click.Option, *, turns_on: bool) -> Any:
    """Return a value as click accepts it; ``None`` where the value leaves the option out."""
    place = f"{layer.origin}: {key}"
    if option.is_flag:
        if not isinstance(raw, bool):
            raise UsageError(f"{place}: {raw!r} is not true or false")
        if option.secondary_opts:
            return raw is turns_on
        return option.flag_value is not False if raw else None
    if option.count:
        return _number(place, raw)
    if raw is True and isinstance(option.flag_value, str):
        return option.flag_value  # an option whose value may be left out
    items = _items(place, raw, option)
    if isinstance(option.type, Located):
        items = [option.type.within(layer.directory, item) for item in items]
    value = tuple(items) if option.multiple else ",".join(items)
    try:
        option.type_cast_value(click.Context(click.Command("")), value)
    except click.BadParameter as error:
        raise UsageError(f"{place}: {error.message.rstrip('.')}") from None
    return value


def _number(place: str, raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise UsageError(f"{place}: {raw!r} is not a whole number")
    return raw


def _items(place: str, raw: Any, option: click.Option) -> list[str]:
    """Return the strings of a value: several for lists and tables, if the option may be repeated."""
    takes_several = option.multiple or option.type.name == "names"
    if isinstance(raw, dict) and option.type.name == "pair":
        return [f"{name}={_text(place, value)}" for name, value in raw.items()]
    if isinstance(raw, list) and takes_several:
        return [_text(place, value) for value in raw]
    return [_text(place, raw)]


def _text(place: str, raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        kind = {bool: "true or false", list: "a list", dict: "a table"}.get(type(raw), type(raw).__name__)
        raise UsageError(f"{place}: {kind} is no value of this option; give one text or number")
    return str(raw)


def located(layer: SettingsLayer, key: str) -> str | None:
    """Return the source or the target of a profile; a relative directory is relative to the file."""
    raw = layer.values.get(key)
    if raw is None:
        return None
    text = _text(f"{layer.origin}: {key}", raw)
    return text if text.startswith(_REMOTE) else os.path.join(layer.directory, os.path.expanduser(text))
