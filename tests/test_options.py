"""The options: every value is checked once, when they are made, and the message names the option."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.parts import GIB, MIB
from aios3sync.errors import UsageError
from aios3sync.field_types import parse_size
from aios3sync.options import CHECKS, LANES, SYMLINK_MODES, ConnectOptions, SyncOptions


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", MIB),
        ("16M", 16 * MIB),
        ("16MiB", 16 * MIB),
        ("16MB", 16 * MIB),
        ("16 mib", 16 * MIB),
        (" 1.5g ", 3 * GIB // 2),
        ("2T", 2048 * GIB),
        ("10k", 10240),
        ("7B", 7),
        ("0.5k", 512),
        ("1.0001", 1),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """A number and a unit, powers of 1024, with or without ``i`` and ``B``."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "1e3", "1,5M", "16 X", "1P", "0x10", "1.", ".5", "9" * 400 + "T"]
)
def test_what_is_no_size(text: str) -> None:
    """Anything else is an error of usage that quotes the text and shows a size."""
    with pytest.raises(UsageError, match="is not a size; write for example"):
        parse_size(text)


@given(st.integers(0, 10**15 - 1))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_bytes_read_back(size: int) -> None:
    """A number of bytes is itself, to the last digit."""
    assert parse_size(str(size)) == size


@pytest.mark.parametrize(
    "changes",
    [
        {"addressing": "dns"},
        {"lane": "fast"},
        {"workers": 0},
        {"workers": 10_001},
        {"memory": MIB - 1},
        {"max_attempts": 0},
        {"bandwidth": -1},
        {"connect_timeout": 0},
        {"read_timeout": -1.0},
        {"read_timeout": float("nan")},
        {"endpoint_url": "localhost:9000"},
        {"endpoint_url": "ftp://host"},
        {"endpoint_url": "http://"},
        {"endpoint_url": ""},
    ],
    ids=repr,
)
def test_connect_options_refuse(changes: dict[str, Any]) -> None:
    """A connection that cannot work is refused where it is described, by the name of the option."""
    name = next(iter(changes))
    with pytest.raises(UsageError, match=name.rpartition("_")[2] if "timeout" in name else name):
        ConnectOptions(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"endpoint_url": "http://127.0.0.1:8333"},
        {"endpoint_url": "https://s3.example.com/path"},
        {"workers": 1, "memory": MIB, "max_attempts": 1},
        {"lane": LANES[-1], "addressing": "virtual"},
    ],
    ids=repr,
)
def test_connect_options_allow(changes: dict[str, Any]) -> None:
    """The edges of what is allowed are allowed."""
    options = ConnectOptions(**changes)
    assert all(getattr(options, name) == value for name, value in changes.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"check": "size"},
        {"delete": True},
        {"delete": "all"},
        {"symlinks": "copy"},
        {"sse": "KMS"},
        {"checksum": "md5"},
        {"rules": (("only", "*.py"),)},
        {"stat_fields": ("size", "atime")},
        {"stat_fields": ("mtime",)},
        {"part_size": 5 * MIB - 1},
        {"part_size": 5 * GIB + 1},
        {"multipart_threshold": 0},
        {"multipart_threshold": 5 * GIB + 1},
        {"max_delete": -1},
        {"max_delete_ratio": 1.01},
        {"max_delete_ratio": -0.01},
        {"max_delete_ratio": float("nan")},
        {"max_manifest_age": -1},
        {"include": "*.py"},
        {"exclude": "*.py"},
        {"rules": "*.py"},
        {"files": "a.txt"},
        {"gzip": "json"},
        {"gzip": (".json",)},
        {"stat_fields": "size"},
        {"protected_prefixes": "thumbs/"},
    ],
    ids=repr,
)
def test_sync_options_refuse(changes: dict[str, Any]) -> None:
    """A sync that cannot be meant is refused before anything is read, by the name of the option."""
    name = next(iter(changes))
    with pytest.raises(UsageError, match=f"^{name}: "):
        SyncOptions(**changes)
    with pytest.raises(UsageError, match=f"^{name}: "):
        SyncOptions.of(None, changes)


@pytest.mark.parametrize(
    "changes",
    [
        *({"check": check} for check in CHECKS),
        *({"symlinks": mode} for mode in SYMLINK_MODES),
        *({"delete": mode} for mode in ("off", "tracked", "mirror")),
        {"part_size": 5 * MIB, "multipart_threshold": 1},
        {"part_size": 5 * GIB, "multipart_threshold": 5 * GIB},
        {"max_delete": 0, "max_delete_ratio": 0},
        {"max_delete_ratio": 1},
        {"stat_fields": ("size",)},
        {"max_manifest_age": 0},
    ],
    ids=repr,
)
def test_sync_options_allow(changes: dict[str, Any]) -> None:
    """The edges of what is allowed are allowed."""
    options = SyncOptions(**changes)
    assert all(getattr(options, name) == value for name, value in changes.items())


def test_unknown_options_are_named() -> None:
    """A misspelt keyword of sync() is an error that lists the known ones."""
    with pytest.raises(UsageError, match=r"'exlude' is not a sync option; known are: .*\bexclude\b"):
        SyncOptions.of(None, {"exlude": ["*.py"]})


def test_changes_are_laid_over_options() -> None:
    """Keyword arguments win over the options object, which stays as it was; lists become tuples."""
    base = SyncOptions(delete="mirror", exclude=("a",))
    changed = SyncOptions.of(base, {"exclude": ["b", "c"], "dry_run": True})
    assert changed == dataclasses.replace(base, exclude=("b", "c"), dry_run=True)
    assert base.exclude == ("a",)
    assert SyncOptions.of(base, {}) == base
    assert SyncOptions.of(None, {}) == SyncOptions()


def test_the_order_of_rules() -> None:
    """Excludes come before includes, so that an include takes back; ordered rules come last and win."""
    options = SyncOptions(
        exclude=("*", "x"), include=("*.py",), rules=(("exclude", "test_*"), ("include", "y"))
    )
    assert options.ordered_rules() == (
        ("exclude", "*"),
        ("exclude", "x"),
        ("include", "*.py"),
        ("exclude", "test_*"),
        ("include", "y"),
    )


def test_nothing_is_deleted_by_default() -> None:
    """By default nothing optional is done."""
    options = SyncOptions()
    assert (options.delete, options.dry_run, options.allow_empty_source) == ("off", False, False)
    overrides = (options.delete_protected, options.delete_excluded, options.delete_despite_errors)
    assert overrides == (False, False, False)


def test_options_are_frozen_and_cross_a_process_border() -> None:
    """Options cannot be changed during a run, and can be sent to another process."""
    sync, connect = SyncOptions(include=("a",)), ConnectOptions(region="eu-central-1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        sync.delete = "mirror"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        connect.region = None  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(sync)) == sync  # noqa: S301 - our own pickle
    assert pickle.loads(pickle.dumps(connect)) == connect  # noqa: S301 - our own pickle


def test_the_customers_key_is_not_shown_p16() -> None:
    """A secret never reaches a log through repr()."""
    assert "secret" not in repr(SyncOptions(sse_customer_key=b"secret" * 5))
