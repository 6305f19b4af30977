"""The stand-ins for ``typing``, in processes of command lines: that of pytest has loaded it."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import sys
assert "typing" not in sys.modules, "some module of this environment loads it at the start"
sys.argv = ["aios3sync", "sync"]
import aios3sync.__main__
import aios3sync._typing as names
assert "typing" not in sys.modules
"""


def run(program: str) -> str:
    """Run a program in a process without ``typing``; return what it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + program], capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_module_can_be_loaded() -> None:
    """Also those that derive from classes that were made of stand-ins, with ``typing`` itself."""
    program = """
import importlib
import aios3sync.cli.everyday, aios3sync.store.wire.blocking_pages, aios3sync.sync.small_changes
import pkgutil, aios3sync
for found in pkgutil.walk_packages(aios3sync.__path__, "aios3sync."):
    importlib.import_module(found.name)
print("typing" in sys.modules)
"""
    assert run(program) == "True\n"


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ("ConnectOptions(lane='wire').lane", "wire"),
        ("ConnectOptions(memory='2M').memory", str(2 * 2**20)),
        ("ConnectOptions(processes='3').processes", "3"),
        ("ConnectOptions(ca_bundle=__import__('pathlib').PurePath('a')).ca_bundle", "a"),
        ("SyncOptions(max_manifest_age='2h').max_manifest_age", "7200.0"),
        ("SyncOptions(exclude=['a', 'b']).exclude", "('a', 'b')"),
        ("ConnectOptions(lane='x')", "lane: 'x' is not one of auto, wire, boto"),
        ("ConnectOptions(workers='many')", "workers: 'many' is not a whole number"),
        ("ConnectOptions(ca_bundle=3)", "ca_bundle: 3 (int) is not a text"),
        ("SyncOptions(max_delete=True)", "max_delete: True (bool) is not a whole number"),
        ("CHECKS", "('auto', 'list', 'content')"),
    ],
)
def test_the_types_of_options_are_read(options: str, result: str) -> None:
    """Values are converted and refused in the same words as in an application."""
    program = f"""
from aios3sync.options import CHECKS, ConnectOptions, SyncOptions
from aios3sync.errors import UsageError
try:
    print({options})
except UsageError as error:
    print(error)
"""
    here: dict[str, object] = {}
    exec(f"from aios3sync.options import *; from aios3sync.errors import UsageError\n{program}", here)  # noqa: S102
    assert run(program) == f"{result}\n"


def test_types_of_options_that_typing_itself_has_written() -> None:
    """A module that is loaded later takes its names from ``typing``."""
    program = """
from aios3sync.stats.options import StatsOptions
from aios3sync.errors import UsageError
print(StatsOptions.of({"mode": "detailed", "max_age": "2h"}).max_age)
try:
    StatsOptions.of({"mode": "x"})
except UsageError as error:
    print(error)
"""
    assert run(program) == "7200.0\nmode: 'x' is not one of quick, sampled, detailed\n"


def test_the_stand_ins_have_the_names_of_typing() -> None:
    """Every name that a module takes is there, and an application gets those of ``typing``."""
    import typing

    import aios3sync._typing as names

    program = "print(' '.join(vars(names)))"
    every = {*typing.__all__} - {"TYPE_CHECKING"}
    here = {name for name in every if vars(names).get(name) is getattr(typing, name)}
    assert "Protocol" in here
    assert {*run(program).split()} & every == here


@pytest.mark.parametrize(
    "first", ["import aios3sync", "from aios3sync import SyncOptions", "import aios3sync.options"]
)
def test_an_application_gets_typing_whatever_it_imports_first(first: str) -> None:
    """So that libraries for validation can read the types of options."""
    program = f"""
{first}
import typing
from aios3sync.options import SyncOptions
print(typing.get_type_hints(SyncOptions)["check"])
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True
    )
    assert ended.stdout == "typing.Literal['auto', 'list', 'content']\n"


def test_a_sync_of_a_module_that_is_run() -> None:
    """``python -m aios3sync sync`` has the stand-ins, until the program loads ``typing``."""
    ended = subprocess.run(
        [sys.executable, "-v", "-m", "aios3sync", "sync", "--help"],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    loaded = ended.stderr
    assert loaded.index("import 'aios3sync._typing'") < loaded.index("import 'typing'")
