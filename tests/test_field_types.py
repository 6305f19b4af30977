"""Options of any value: each field ends with a value of its type, or is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.parts import MIB
from aios3sync.errors import UsageError
from aios3sync.index.follow.report import FollowOptions
from aios3sync.options import ConnectOptions, SyncOptions
from aios3sync.stats.options import StatsOptions

CLASSES = [SyncOptions, ConnectOptions, StatsOptions, FollowOptions]
FIELDS = [(kind, item.name) for kind in CLASSES for item in fields(kind)]
HINTS = {kind: get_type_hints(kind) for kind in CLASSES}

each_field = pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda it: getattr(it, "__name__", it))

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=40),
    st.builds(object),
    st.sampled_from(["16M", "5", "24h", "1.5", "True", "auto", "off", "0x10", "-1", "1e3", "", "nan"]),
    st.just(Path("place")),
)
VALUES = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=3),
    st.tuples(PLAIN, PLAIN),
    st.sets(st.text(max_size=3), max_size=2),
    st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), PLAIN, max_size=2),
)


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, read from the hint alone."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return is_of(value, parts[0])
    if origin in (Union, UnionType):
        return any(is_of(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple:
        return type(value) is tuple and all(is_of(item, parts[0]) for item in value)
    if origin is Mapping:
        pairs = value.items() if isinstance(value, Mapping) else [(0, 0)]
        return all(isinstance(name, str) and isinstance(text, str) for name, text in pairs)
    if hint is NoneType:
        return value is None
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint


@each_field
@given(value=VALUES)
@settings(deadline=None, max_examples=40)
def test_a_field_ends_with_a_value_of_its_type_or_is_refused(kind: type, name: str, value: Any) -> None:
    refusal, options = "", None
    try:
        options = kind(**{name: value})
    except UsageError as error:
        refusal = str(error)
    if options is None:
        assert refusal.startswith(f"{name}: ")
    else:
        assert is_of(getattr(options, name), HINTS[kind][name])


@each_field
def test_every_default_is_of_its_type(kind: type, name: str) -> None:
    assert is_of(getattr(kind(), name), HINTS[kind][name])


@pytest.mark.parametrize(
    ("kind", "given_", "meant"),
    [
        (SyncOptions, {"part_size": "16M"}, 16 * MIB),
        (SyncOptions, {"multipart_threshold": "1.5g"}, 1536 * MIB),
        (SyncOptions, {"max_delete": "5"}, 5),
        (SyncOptions, {"max_delete_ratio": "0.25"}, 0.25),
        (SyncOptions, {"max_manifest_age": "24h"}, 86400.0),
        (SyncOptions, {"list_workers": "4"}, 4),
        (SyncOptions, {"exclude": ["*.tmp"]}, ("*.tmp",)),
        (SyncOptions, {"rules": [["exclude", "*"]]}, (("exclude", "*"),)),
        (SyncOptions, {"manifest": Path("state.json")}, "state.json"),
        (SyncOptions, {"manifest": False}, False),
        (ConnectOptions, {"memory": "1G"}, 1024 * MIB),
        (ConnectOptions, {"bandwidth": "10M"}, 10 * MIB),
        (ConnectOptions, {"workers": "8"}, 8),
        (ConnectOptions, {"read_timeout": "1m"}, 60.0),
        (ConnectOptions, {"ca_bundle": Path("authority.pem")}, "authority.pem"),
        (StatsOptions, {"max_age": "1h"}, 3600.0),
        (StatsOptions, {"gzip": ["css"]}, ("css",)),
        (FollowOptions, {"wait": "10"}, 10.0),
    ],
    ids=repr,
)
def test_text_is_read_as_on_the_command_line(kind: type, given_: dict[str, Any], meant: object) -> None:
    name = next(iter(given_))
    value = getattr(kind(**given_), name)
    assert (value, type(value)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (SyncOptions, {"metadata": {"a": 1}}),
        (SyncOptions, {"tags": {1: "a"}}),
        (SyncOptions, {"metadata": "a=1"}),
        (SyncOptions, {"exclude": "*.tmp"}),
        (SyncOptions, {"exclude": [1]}),
        (SyncOptions, {"files": {"a": "b"}}),
        (SyncOptions, {"dry_run": "no"}),
        (SyncOptions, {"dry_run": 1}),
        (SyncOptions, {"max_delete": True}),
        (SyncOptions, {"max_delete": 5.5}),
        (SyncOptions, {"part_size": "sixteen"}),
        (SyncOptions, {"acl": None}),
        (SyncOptions, {"sse_customer_key": "text"}),
        (SyncOptions, {"manifest": True}),
        (ConnectOptions, {"endpoint_url": b"http://127.0.0.1"}),
        (ConnectOptions, {"lane": ["wire"]}),
        (ConnectOptions, {"workers": None}),
        (ConnectOptions, {"read_timeout": float("nan")}),
        (StatsOptions, {"mode": 1}),
    ],
    ids=repr,
)
def test_what_cannot_be_read_so_is_an_error_of_usage(kind: type, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))}: "):
        kind(**wrong)


def test_a_key_is_not_shown() -> None:
    with pytest.raises(UsageError) as raised:
        SyncOptions(sse_customer_key="s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr")  # type: ignore[arg-type]
    assert "s3cr3t" not in str(raised.value)
