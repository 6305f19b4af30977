"""Makes the JSON Schema of the configuration file from the options of ``sync``."""

from __future__ import annotations

from typing import Any

import click

from aios3sync.cli.settings import PLACES, known_options, option_keys

__all__ = ("config_schema",)

_NUMBERS = {"integer": "integer", "float": "number"}
_WITH_UNIT = frozenset({"size", "seconds"})


def config_schema(sync: click.Command) -> dict[str, Any]:
    """Return the schema of ``aios3sync.toml``, and of ``[tool.aios3sync]`` in ``pyproject.toml``.

    Args:
        sync: the command whose options they have.
    """
    keys = option_keys(known_options(sync).values())
    settings = {key: _schema(option) for key, (option, _) in sorted(keys.items())}
    places = {
        "source": {
            "type": "string",
            "description": "A directory, relative to this file, or s3://BUCKET/PREFIX.",
        },
        "target": {"type": "string", "description": "The other side; one of the two is a bucket."},
    }
    assert tuple(places) == PLACES  # noqa: S101 - a profile has these
    profile = {"type": "object", "properties": {**places, **settings}, "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "aios3sync.toml",
        "description": "Settings of aios3sync, named as its options without the dashes.",
        "type": "object",
        "properties": {
            **settings,
            "profiles": {
                "type": "object",
                "description": "Named pairs of source and target: aios3sync sync @NAME.",
                "additionalProperties": profile,
            },
        },
        "additionalProperties": False,
    }


def _schema(option: click.Option) -> dict[str, Any]:
    described = {"description": option.help or ""}
    if option.is_flag:
        return {"type": "boolean", **described}
    one = _type(option)
    if option.multiple:
        several: list[dict[str, Any]] = [one, {"type": "array", "items": one}]
        if option.type.name == "pair":
            several.append({"type": "object", "additionalProperties": {"type": ["string", "number"]}})
        return {"anyOf": several, **described}
    if option.type.name == "names":
        return {"anyOf": [one, {"type": "array", "items": one}], **described}
    return {**one, **described}


def _type(option: click.Option) -> dict[str, Any]:
    if option.count:
        return {"type": "integer"}
    if isinstance(option.type, click.Choice):
        return {"enum": list(option.type.choices)}
    if option.type.name in _WITH_UNIT:
        return {"type": ["string", "number"]}
    if option.type.name in _NUMBERS:
        return {"type": _NUMBERS[option.type.name]}
    if isinstance(option.flag_value, str):
        return {"type": ["string", "boolean"]}
    return {"type": "string"}
